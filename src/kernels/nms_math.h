// How much boxes overlap that are given by their corners, for CPU and GPU.
#pragma once

#include "kernels/host_device.h"

namespace ps::kernels {

struct CornerBox {
  float x1;
  float y1;
  float x2;
  float y2;
  float area;

  PS_HOST_DEVICE static CornerBox of(float x1, float y1, float x2, float y2) {
    return {.x1 = x1, .y1 = y1, .x2 = x2, .y2 = y2, .area = (x2 - x1) * (y2 - y1)};
  }

  // IoU with a box that comes later; NaN for 0 / 0.
  [[nodiscard]] PS_HOST_DEVICE float overlap(const CornerBox& box) const {
    const float left = x1 > box.x1 ? x1 : box.x1;
    const float top = y1 > box.y1 ? y1 : box.y1;
    const float right = x2 < box.x2 ? x2 : box.x2;
    const float bottom = y2 < box.y2 ? y2 : box.y2;
    const float width = right > left ? right - left : 0.0F;
    const float height = bottom > top ? bottom - top : 0.0F;
    const float common = width * height;
    return common / (area + box.area - common);
  }
};

}  // namespace ps::kernels
