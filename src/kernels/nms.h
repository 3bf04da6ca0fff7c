// Greedy suppression of boxes that overlap a better one.
#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace ps::kernels {

// Corners, an array of `count` for each. categories: null for suppression across them.
struct CornerBoxes {
  std::int64_t count = 0;
  const float* x1 = nullptr;
  const float* y1 = nullptr;
  const float* x2 = nullptr;
  const float* y2 = nullptr;
  const std::int32_t* categories = nullptr;
};

struct NmsOps {
  // Goes through the boxes, best first: one is kept unless its IoU with a kept one of its category
  // is above `threshold` (0 / 0 is not). Ends after `most` kept ones. kept: their indices, room for
  // min(count, most); returns how many. workspace: kNmsFloats * min(count, most) floats.
  std::int64_t (*keep)(const CornerBoxes& boxes,
                       float threshold,
                       std::int64_t most,
                       std::int32_t* kept,
                       float* workspace);
};

inline constexpr std::int64_t kNmsFloats = 6;

const NmsOps& nms(Isa isa);

}  // namespace ps::kernels
