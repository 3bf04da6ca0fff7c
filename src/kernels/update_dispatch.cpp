// The tables of update, reduce and finite by instruction set. Compiled without extra flags.
#include "kernels/finite.h"
#include "kernels/reduce.h"
#include "kernels/update.h"

namespace ps::kernels {

PS_ISA_DISPATCH(UpdateOps, update)
PS_ISA_DISPATCH(ReduceOps, reduce)
PS_ISA_DISPATCH(FiniteOps, finite)

bool all_finite(std::span<const float> values) {
  return finite(best_isa()).all(values.data(), values.size());
}

}  // namespace ps::kernels
