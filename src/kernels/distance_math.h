// Boxes of an anchor-free head (YOLOv8's form), for CPU and GPU: each side's distance from the
// cell's center is the mean of a distribution over 0, 1, ..., 15 strides, given by 16 logits.
#pragma once

#include <cstdint>

#include "kernels/activation_math.h"
#include "kernels/bce_math.h"
#include "kernels/box_math.h"
#include "kernels/host_device.h"

namespace ps::kernels {

inline constexpr std::int64_t kBins = 16;
inline constexpr std::int64_t kSides = 4;  // left, top, right, bottom
// Channels before the classes.
inline constexpr std::int64_t kBoxChannels = kSides * kBins;

// Distances in cells.
struct Sides {
  float left;
  float top;
  float right;
  float bottom;

  // Relative to the cell's center.
  [[nodiscard]] PS_HOST_DEVICE Box box() const {
    return {.x = 0.5F * (right - left),
            .y = 0.5F * (bottom - top),
            .width = left + right,
            .height = top + bottom};
  }
};

// One side's distribution; its logits lie `stride` floats apart.
struct Distribution {
  float top;    // the largest logit
  float total;  // sum of e^(logit - top)
  float mean;

  PS_HOST_DEVICE static Distribution of(const float* logits, std::int64_t stride) {
    float top = logits[0];
    for (std::int64_t bin = 1; bin < kBins; ++bin) {
      const float x = logits[bin * stride];
      top = x > top ? x : top;
    }
    float total = 0.0F;
    float weighted = 0.0F;
    for (std::int64_t bin = 0; bin < kBins; ++bin) {
      const float e = exponential(logits[bin * stride] - top);
      total += e;
      weighted += static_cast<float>(bin) * e;
    }
    return {.top = top, .total = total, .mean = weighted / total};
  }

  [[nodiscard]] PS_HOST_DEVICE float probability(float logit) const {
    return exponential(logit - top) / total;
  }
};

// A box in pixels, from distances in cells around the center of the cell at (column, row).
PS_HOST_DEVICE Box box_in_pixels(const Sides& sides,
                                 std::int64_t column,
                                 std::int64_t row,
                                 std::int64_t stride) {
  const auto scale = static_cast<float>(stride);
  const Box box = sides.box();
  return {.x = (static_cast<float>(column) + 0.5F + box.x) * scale,
          .y = (static_cast<float>(row) + 0.5F + box.y) * scale,
          .width = box.width * scale,
          .height = box.height * scale};
}

// Of a cell, in pixels, in one dimension.
PS_HOST_DEVICE float center_of(std::int64_t cell, std::int64_t stride) {
  return (static_cast<float>(cell) + 0.5F) * static_cast<float>(stride);
}

// Whether the cell's center lies inside [low, high] pixels, in one dimension.
PS_HOST_DEVICE bool center_inside(std::int64_t cell, std::int64_t stride, float low, float high) {
  const float center = center_of(cell, stride);
  return center > low && center < high;
}

// How well a cell answers for a true box (Feng et al., TOOD, 2021): sqrt(score of the class) *
// CIoU^6.
struct Alignment {
  float metric;
  float overlap;  // max(CIoU, 0)

  PS_HOST_DEVICE static Alignment of(float logit, const Box& wanted, const Box& said) {
    const float overlap = at_least(CompleteIou::of(wanted, said).value(), 0.0F);
    const float squared = overlap * overlap;
    return {.metric = __builtin_sqrtf(sigmoid(logit)) * (squared * squared * squared),
            .overlap = overlap};
  }
};

}  // namespace ps::kernels
