// The distances of many cells at once, for the files compiled per instruction set (isa.h). Not for
// other files.
#pragma once

#include "kernels/distance_math.h"
#include "kernels/lanes.h"

namespace ps::kernels::PS_ISA {

// means[side * means_stride + i] of cells i in [0, count), whose logits are planes `plane` floats
// apart: Distribution::of(...).mean of each, the same bits, but along the cells.
static inline void side_means(const float* logits,
                              std::int64_t plane,
                              std::int64_t count,
                              std::int64_t means_stride,
                              float* means) {
  constexpr std::int64_t kLanes = 64;
  for (std::int64_t side = 0; side < kSides; ++side) {
    const float* bins = logits + side * kBins * plane;
    for (std::int64_t start = 0; start < count; start += kLanes) {
      const std::int64_t size = count - start < kLanes ? count - start : kLanes;
      float* mean = means + side * means_stride + start;
      PS_INDEPENDENT_LOOP
      for (std::int64_t i = 0; i < size; ++i)
        mean[i] = Distribution::of(bins + start + i, plane).mean;
    }
  }
}

}  // namespace ps::kernels::PS_ISA
