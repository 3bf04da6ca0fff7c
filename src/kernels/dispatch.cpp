// The tables of every instruction set, by name. Compiled without extra flags.
#include "kernels/gemm.h"
#include "kernels/isa.h"

namespace ps::kernels {

PS_ISA_DISPATCH(GemmOps, gemm)

}  // namespace ps::kernels
