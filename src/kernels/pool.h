// Maximum over a sliding window, and the average over a whole plane.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"
#include "kernels/isa.h"
#include "kernels/window.h"

namespace ps::kernels {

// `planes` planes of height x width each. The padding (in all less than the kernel) never wins.
struct MaxPool {
  std::int64_t planes = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t kernel = 2;
  std::int64_t stride = 2;
  std::int64_t padding = 0;      // at every side
  std::int64_t padding_end = 0;  // more of it at the right and at the bottom

  [[nodiscard]] PS_HOST_DEVICE std::int64_t out_height() const {
    return window_positions(height + padding_end, kernel, stride, padding);
  }
  [[nodiscard]] PS_HOST_DEVICE std::int64_t out_width() const {
    return window_positions(width + padding_end, kernel, stride, padding);
  }
};

struct MaxPoolOps {
  // y [planes, out_height, out_width], and for each the winner's index within its plane: the first
  // of equals, be they -infinity; a NaN wins.
  void (*forward)(const MaxPool& pool, const float* x, float* y, std::int32_t* winners);
  // dx [planes, height, width]: each dy added to its winner. dx must not be dy.
  void (*backward)(const MaxPool& pool, const float* dy, const std::int32_t* winners, float* dx);
};

const MaxPoolOps& max_pool(Isa isa);

struct AveragePoolOps {
  // y [planes] = mean of each plane of x [planes, plane].
  void (*forward)(std::int64_t planes, std::int64_t plane, const float* x, float* y);
  void (*backward)(std::int64_t planes, std::int64_t plane, const float* dy, float* dx);
};

const AveragePoolOps& average_pool(Isa isa);

}  // namespace ps::kernels
