// The tables of the server's kernels by instruction set. Compiled without extra flags.
#include "kernels/compensate.h"
#include "kernels/finite.h"
#include "kernels/norm.h"
#include "kernels/reduce.h"
#include "kernels/update.h"

namespace ps::kernels {

PS_ISA_DISPATCH(UpdateOps, update)
PS_ISA_DISPATCH(ReduceOps, reduce)
PS_ISA_DISPATCH(FiniteOps, finite)
PS_ISA_DISPATCH(NormOps, norm)
PS_ISA_DISPATCH(CompensateOps, compensate)

bool all_finite(std::span<const float> values) {
  return finite(best_isa()).all(values.data(), values.size());
}

}  // namespace ps::kernels
