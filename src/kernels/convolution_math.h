// How a convolution is cut into matrix products: shared by its workspace's size and its loops.
#pragma once

#include <cstdint>

#include "kernels/convolution.h"
#include "kernels/host_device.h"

namespace ps::kernels {

// The column matrix of a group has one row per tap (input channel and kernel position) ...
PS_HOST_DEVICE std::int64_t convolution_taps(const Convolution& shape) {
  return shape.channels / shape.groups * shape.kernel * shape.kernel;
}

// ... and one column per output pixel; this many rows of output pixels are unrolled at a time. The
// block shall stay in the second-level cache, but a product of few columns wastes its packing.
PS_HOST_DEVICE std::int64_t convolution_block_rows(const Convolution& shape) {
  constexpr std::int64_t kBlockFloats = std::int64_t{64} * 1024;
  constexpr std::int64_t kMinColumns = 384;
  const std::int64_t fitting = kBlockFloats / convolution_taps(shape);
  const std::int64_t columns = fitting < kMinColumns ? kMinColumns : fitting;
  const std::int64_t rows = (columns + shape.out_width() - 1) / shape.out_width();
  return rows < shape.out_height() ? rows : shape.out_height();
}

// The input is its own column matrix.
PS_HOST_DEVICE bool convolution_is_pointwise(const Convolution& shape) {
  return shape.kernel == 1 && shape.stride == 1 && shape.padding == 0;
}

}  // namespace ps::kernels
