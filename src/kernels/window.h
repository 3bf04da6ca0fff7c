// The geometry of a window that slides over a row of pixels: of convolution and of pooling.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace ps::kernels {

// How many positions a window of `kernel` pixels has along `size` pixels padded on both sides.
PS_HOST_DEVICE std::int64_t window_positions(std::int64_t size,
                                             std::int64_t kernel,
                                             std::int64_t stride,
                                             std::int64_t padding) {
  return (size + 2 * padding - kernel) / stride + 1;
}

// Positions [first, last).
struct WindowRange {
  std::int64_t first;
  std::int64_t last;
};

// The positions whose pixel, position * stride + shift, lies in [0, size).
PS_HOST_DEVICE WindowRange window_inside(std::int64_t positions,
                                         std::int64_t stride,
                                         std::int64_t shift,
                                         std::int64_t size) {
  const std::int64_t lower = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
  const std::int64_t upper = size <= shift ? 0 : (size - shift + stride - 1) / stride;
  const std::int64_t last = upper < positions ? upper : positions;
  return {.first = lower < last ? lower : last, .last = last};
}

}  // namespace ps::kernels
