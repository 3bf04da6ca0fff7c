// Overlap of boxes and its gradient, for CPU and GPU.
#pragma once

#include "kernels/host_device.h"

namespace ps::kernels {

// Center and size, in any one unit.
struct Box {
  float x;
  float y;
  float width;
  float height;
};

// Keeps a ratio of areas finite, as users of CIoU know it.
inline constexpr float kOverlapEpsilon = 1e-7F;
// Divisors are at least this: boxes may be infinitely thin.
inline constexpr float kLeastDivisor = 1e-37F;

PS_HOST_DEVICE float at_least(float x, float least) {
  return x < least ? least : x;  // a NaN stays
}

// atan(y / x) for x, y >= 0, relative error below 3e-7; 0 for 0 / 0. Exactly rounded operations
// only (see exponential).
PS_HOST_DEVICE float arc_tangent(float y, float x) {
  constexpr float kTan3Pi8 = 2.41421356F;
  constexpr float kTanPi8 = 0.414213562F;
  constexpr float kPi = 3.14159265F;
  const bool steep = y > kTan3Pi8 * x;
  const bool middle = y > kTanPi8 * x;
  const float numerator = steep ? -x : (middle ? y - x : y);
  const float denominator = steep ? y : (middle ? y + x : x);
  const float base = steep ? kPi / 2.0F : (middle ? kPi / 4.0F : 0.0F);
  const float t = numerator / at_least(denominator, kLeastDivisor);
  // S. Moshier's Cephes, atanf: |t| <= tan(pi / 8).
  const float w = t * t;
  float p = 8.05374449538e-2F;
  p = p * w - 1.38776856032e-1F;
  p = p * w + 1.99777106478e-1F;
  p = p * w - 3.33329491539e-1F;
  return base + (p * w * t + t);
}

// One dimension of two boxes: how far they overlap and how long both are together, with
// derivatives by the edges of the first. Where edges are equal, min and max share the derivative
// half and half.
struct Extent {
  float overlap;
  float enclosing;
  float low;        // d overlap / d low edge of the first = -low; 0, 1/2 or 1
  float high;       // d overlap / d high edge of the first
  float outer_low;  // the same for `enclosing`
  float outer_high;

  PS_HOST_DEVICE static Extent of(float a, float a_size, float b, float b_size) {
    const float a_low = a - a_size / 2.0F;
    const float a_high = a + a_size / 2.0F;
    const float b_low = b - b_size / 2.0F;
    const float b_high = b + b_size / 2.0F;
    const float low = a_low > b_low ? 1.0F : (a_low == b_low ? 0.5F : 0.0F);
    const float high = a_high < b_high ? 1.0F : (a_high == b_high ? 0.5F : 0.0F);
    const float inner = (a_high < b_high ? a_high : b_high) - (a_low > b_low ? a_low : b_low);
    const float outer = (a_high > b_high ? a_high : b_high) - (a_low < b_low ? a_low : b_low);
    const float touches = inner < 0.0F ? 0.0F : 1.0F;
    return {.overlap = at_least(inner, 0.0F),
            .enclosing = outer,
            .low = touches * low,
            .high = touches * high,
            .outer_low = 1.0F - low,
            .outer_high = 1.0F - high};
  }

  // By the center and by the size of the first.
  [[nodiscard]] PS_HOST_DEVICE float overlap_by_center() const { return high - low; }
  [[nodiscard]] PS_HOST_DEVICE float overlap_by_size() const { return 0.5F * (high + low); }
  [[nodiscard]] PS_HOST_DEVICE float enclosing_by_center() const { return outer_high - outer_low; }
  [[nodiscard]] PS_HOST_DEVICE float enclosing_by_size() const {
    return 0.5F * (outer_high + outer_low);
  }
};

// CIoU = IoU - (rho^2 / c^2 + alpha v), Zheng et al., Enhancing Geometric Factors (2020): rho is
// the centers' distance, c the enclosing box's diagonal, v = 4/pi^2 (difference of the angles
// atan(width / height))^2, alpha = v / (v - IoU + 1).
struct CompleteIou {
  Extent horizontal;
  Extent vertical;
  float joined;  // area of the union
  float iou;
  float diagonal2;  // c^2
  float distance2;  // rho^2
  float angle;      // second box's less first's
  float alpha;

  PS_HOST_DEVICE static CompleteIou of(const Box& a, const Box& b) {
    CompleteIou r{};
    r.horizontal = Extent::of(a.x, a.width, b.x, b.width);
    r.vertical = Extent::of(a.y, a.height, b.y, b.height);
    const float common = r.horizontal.overlap * r.vertical.overlap;
    r.joined = a.width * a.height + b.width * b.height - common + kOverlapEpsilon;
    r.iou = common / r.joined;
    r.diagonal2 = r.horizontal.enclosing * r.horizontal.enclosing +
                  r.vertical.enclosing * r.vertical.enclosing + kOverlapEpsilon;
    r.distance2 = (b.x - a.x) * (b.x - a.x) + (b.y - a.y) * (b.y - a.y);
    r.angle = arc_tangent(b.width, b.height) - arc_tangent(a.width, a.height);
    // 1 - IoU may round below zero, which must not cancel the epsilon.
    r.alpha = r.v() / (at_least(1.0F - r.iou, 0.0F) + r.v() + kOverlapEpsilon);
    return r;
  }

  static constexpr float kFourByPi2 = 0.405284735F;
  [[nodiscard]] PS_HOST_DEVICE float v() const { return kFourByPi2 * angle * angle; }
  [[nodiscard]] PS_HOST_DEVICE float value() const {
    return iou - (distance2 / diagonal2 + v() * alpha);
  }

  // d value / d a, alpha taken for a constant. a and b as given to of().
  [[nodiscard]] PS_HOST_DEVICE Box gradient(const Box& a, const Box& b) const {
    const float angle_scale = 2.0F * alpha * kFourByPi2 * angle /
                              at_least(a.width * a.width + a.height * a.height, kLeastDivisor);
    return {.x = by_center(horizontal, vertical.overlap, a.x - b.x),
            .y = by_center(vertical, horizontal.overlap, a.y - b.y),
            .width = by_size(horizontal, vertical.overlap, a.height) + angle_scale * a.height,
            .height = by_size(vertical, horizontal.overlap, a.width) - angle_scale * a.width};
  }

 private:
  // d IoU, the intersection changing by `common` and the first box's area by `area`.
  [[nodiscard]] PS_HOST_DEVICE float iou_change(float common, float area) const {
    return (common * (1.0F + iou) - iou * area) / joined;
  }
  [[nodiscard]] PS_HOST_DEVICE float by_center(const Extent& own, float across, float away) const {
    const float common = own.overlap_by_center() * across;
    const float diagonal = 2.0F * own.enclosing * own.enclosing_by_center();
    return iou_change(common, 0.0F) - (2.0F * away - distance2 / diagonal2 * diagonal) / diagonal2;
  }
  [[nodiscard]] PS_HOST_DEVICE float by_size(const Extent& own, float across, float side) const {
    const float common = own.overlap_by_size() * across;
    const float diagonal = 2.0F * own.enclosing * own.enclosing_by_size();
    return iou_change(common, side) + distance2 / diagonal2 * diagonal / diagonal2;
  }
};

}  // namespace ps::kernels
