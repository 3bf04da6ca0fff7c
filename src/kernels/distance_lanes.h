// The distances of many cells at once, for the files compiled per instruction set (isa.h). Not for
// other files.
#pragma once

#include "kernels/distance_math.h"
#include "kernels/lanes.h"

namespace ps::kernels::PS_ISA {

// means[i] = Distribution::of(logits + i, plane).mean, the same bits, for i in [0, count <= 64).
// Bin by bin, so that the inner loops run along the cells.
static inline void means_of_block(const float* logits,
                                  std::int64_t plane,
                                  std::int64_t count,
                                  float* means) {
  float top[64];
  float total[64];
  float weighted[64];
  for (std::int64_t i = 0; i < count; ++i) top[i] = logits[i];
  for (std::int64_t bin = 1; bin < kBins; ++bin) {
    const float* x = logits + bin * plane;
    PS_INDEPENDENT_LOOP
    for (std::int64_t i = 0; i < count; ++i) top[i] = x[i] > top[i] ? x[i] : top[i];
  }
  fill(total, count, 0.0F);
  fill(weighted, count, 0.0F);
  for (std::int64_t bin = 0; bin < kBins; ++bin) {
    const float* x = logits + bin * plane;
    const auto distance = static_cast<float>(bin);
    PS_INDEPENDENT_LOOP
    for (std::int64_t i = 0; i < count; ++i) {
      const float e = exponential(x[i] - top[i]);
      total[i] += e;
      weighted[i] += distance * e;
    }
  }
  PS_INDEPENDENT_LOOP
  for (std::int64_t i = 0; i < count; ++i) means[i] = weighted[i] / total[i];
}

// means[side * means_stride + i]: of the sides of cells i in [0, count), whose logits are planes
// `plane` floats apart.
static inline void side_means(const float* logits,
                              std::int64_t plane,
                              std::int64_t count,
                              std::int64_t means_stride,
                              float* means) {
  constexpr std::int64_t kBlock = 64;
  for (std::int64_t side = 0; side < kSides; ++side) {
    for (std::int64_t start = 0; start < count; start += kBlock) {
      means_of_block(logits + side * kBins * plane + start, plane,
                     count - start < kBlock ? count - start : kBlock,
                     means + side * means_stride + start);
    }
  }
}

}  // namespace ps::kernels::PS_ISA
