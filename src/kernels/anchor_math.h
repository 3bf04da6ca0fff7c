// Boxes of a head with anchors (YOLOv5's and YOLOv3's form), for CPU and GPU.
#pragma once

#include <cstdint>

#include "kernels/bce_math.h"
#include "kernels/box_math.h"
#include "kernels/host_device.h"

namespace ps::kernels {

// The box that four logits say, in cells, relative to its cell's corner:
// x = 2 s(t) - 1/2, width = (2 s(t))^2 anchor, s the sigmoid.
struct AnchorBox {
  Box box;
  Box slope;  // d box / d logits, each by its own

  PS_HOST_DEVICE static float center(float s) { return 2.0F * s - 0.5F; }
  PS_HOST_DEVICE static float size(float s, float anchor) { return 4.0F * s * s * anchor; }

  PS_HOST_DEVICE static AnchorBox of(const Box& logits, float anchor_width, float anchor_height) {
    const Sigmoid x = Sigmoid::of(logits.x);
    const Sigmoid y = Sigmoid::of(logits.y);
    const Sigmoid w = Sigmoid::of(logits.width);
    const Sigmoid h = Sigmoid::of(logits.height);
    const float width = size(w.yes, anchor_width);
    const float height = size(h.yes, anchor_height);
    return {.box = {.x = center(x.yes), .y = center(y.yes), .width = width, .height = height},
            .slope = {.x = 2.0F * x.yes * x.no,
                      .y = 2.0F * y.yes * y.no,
                      .width = 2.0F * width * w.no,
                      .height = 2.0F * height * h.no}};
  }
};

// Whether no side of the box is `threshold` times its anchor's or more, nor the reverse.
PS_HOST_DEVICE bool fits_anchor(
    float width, float height, float anchor_width, float anchor_height, float threshold) {
  const float w = width / anchor_width;
  const float h = height / anchor_height;
  return w < threshold && 1.0F / w < threshold && h < threshold && 1.0F / h < threshold;
}

// The cells that answer for a center: its own (0), and the neighbours (1 left, 2 above, 3 right,
// 4 below) that it lies less than half a cell away from, if they are inside the grid.
inline constexpr int kCellOffsets = 5;

struct CellOffset {
  float x;
  float y;

  PS_HOST_DEVICE static CellOffset of(int offset) {
    return {.x = offset == 1 ? 0.5F : (offset == 3 ? -0.5F : 0.0F),
            .y = offset == 2 ? 0.5F : (offset == 4 ? -0.5F : 0.0F)};
  }
};

// Whether `distance` from an edge of the grid is in the first half of a cell that has a neighbour
// on that side.
PS_HOST_DEVICE bool near_neighbour(float distance) {
  return distance > 1.0F &&
         distance - static_cast<float>(static_cast<std::int32_t>(distance)) < 0.5F;
}

PS_HOST_DEVICE bool takes_offset(int offset, float x, float y, float width, float height) {
  switch (offset) {
    case 1:
      return near_neighbour(x);
    case 2:
      return near_neighbour(y);
    case 3:
      return near_neighbour(width - x);
    case 4:
      return near_neighbour(height - y);
    default:
      return true;
  }
}

// A coordinate in cells to the cell it lies in, kept inside the grid. Not NaN.
PS_HOST_DEVICE std::int32_t cell_of(float coordinate, std::int64_t cells) {
  const auto last = static_cast<float>(cells - 1);
  const float bounded = coordinate < 0.0F ? 0.0F : (coordinate > last ? last : coordinate);
  return static_cast<std::int32_t>(bounded);
}

}  // namespace ps::kernels
