#include "kernels/convolution.h"

#include "kernels/convolution_math.h"

namespace ps::kernels {

std::int64_t convolution_workspace_floats(const Convolution& shape) {
  const std::int64_t columns =
      convolution_is_pointwise(shape)
          ? 0
          : convolution_taps(shape) * convolution_block_rows(shape) * shape.out_width();
  return kGemmWorkspaceFloats + columns;
}

}  // namespace ps::kernels
