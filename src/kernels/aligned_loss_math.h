// The terms of an anchor-free detector's loss, and which cells may answer for a true box, for CPU
// and GPU.
#pragma once

#include <cstdint>

#include "kernels/aligned_loss.h"
#include "kernels/bce_math.h"
#include "kernels/distance_math.h"
#include "kernels/host_device.h"

namespace ps::kernels {

// A true box in pixels of an input of that size.
PS_HOST_DEVICE Box in_pixels(const TrueBox& box, const Box& input) {
  return {.x = box.x * input.width,
          .y = box.y * input.height,
          .width = box.width * input.width,
          .height = box.height * input.height};
}

// The cells whose centers lie inside a box, in one dimension.
struct CellRange {
  std::int64_t first;
  std::int64_t last;  // not in it

  PS_HOST_DEVICE static CellRange inside(std::int64_t cells,
                                         std::int64_t stride,
                                         float center,
                                         float size) {
    const float low = center - size / 2.0F;
    const float high = center + size / 2.0F;
    // What center_inside asks for holds from some cell on, and up to some cell.
    std::int64_t first = 0;
    for (std::int64_t end = cells; first < end;) {
      const std::int64_t middle = (first + end) / 2;
      center_of(middle, stride) > low ? end = middle : first = middle + 1;
    }
    std::int64_t last = first;
    for (std::int64_t end = cells; last < end;) {
      const std::int64_t middle = (last + end) / 2;
      center_of(middle, stride) < high ? last = middle + 1 : end = middle;
    }
    return {first, last};
  }
};

// The center lies in it.
PS_HOST_DEVICE bool holds_cell(const Box& box,
                               std::int64_t column,
                               std::int64_t row,
                               std::int64_t stride) {
  return center_inside(column, stride, box.x - box.width / 2.0F, box.x + box.width / 2.0F) &&
         center_inside(row, stride, box.y - box.height / 2.0F, box.y + box.height / 2.0F);
}

// What a cell's class shall be that answers for a box, given the largest metric and overlap of the
// box's cells.
PS_HOST_DEVICE float aligned_score(float metric, float best_metric, float best_overlap) {
  return metric * best_overlap / (best_metric + 1e-9F);
}

// What the sums and the gradients are multiplied by, given the sum of all scores.
struct AlignedShares {
  double share;
  AlignedScales scales;

  PS_HOST_DEVICE static AlignedShares of(const AlignedGains& gains,
                                         double scores,
                                         std::int64_t batch) {
    const double share = 1.0 / (scores < 1.0 ? 1.0 : scores);
    const double scale = static_cast<double>(batch) * share;
    return {.share = share,
            .scales = {.box = static_cast<float>(scale * double{gains.box}),
                       .category = static_cast<float>(scale * double{gains.category}),
                       .dfl = static_cast<float>(scale * double{gains.dfl})}};
  }
};

// softplus(x), the cross-entropy against 0, and its derivative.
PS_HOST_DEVICE LossTerm against_zero(float x) {
  const Sigmoid s = Sigmoid::of(x);
  return {.loss = (x > 0.0F ? x : 0.0F) + s.tail, .gradient = s.yes};
}

// The true box in cells, relative to the center of the level's cell that answers for it.
PS_HOST_DEVICE Box wanted_of(const AlignedLevel& level, const Foreground& f) {
  const float size = 1.0F / static_cast<float>(level.stride);
  const std::int64_t column = f.cell % level.grid.width;
  const std::int64_t row = f.cell / level.grid.width;
  return {.x = f.box.x * size - (static_cast<float>(column) + 0.5F),
          .y = f.box.y * size - (static_cast<float>(row) + 0.5F),
          .width = f.box.width * size,
          .height = f.box.height * size};
}

// From the cell's center to one of the sides (see Sides) of a box relative to it.
PS_HOST_DEVICE float distance_to(const Box& box, std::int64_t side) {
  const float half = 0.5F * (side % 2 == 0 ? box.width : box.height);
  const float center = side % 2 == 0 ? box.x : box.y;
  return side < 2 ? half - center : half + center;
}

// The derivative of the box's loss by the mean of one side's distribution.
PS_HOST_DEVICE float slope_by_mean(const Box& by_box,
                                   std::int64_t side,
                                   const AlignedScales& scales,
                                   float score) {
  const float box_scale = -scales.box * score;
  const float by_size = side % 2 == 0 ? by_box.width : by_box.height;
  const float by_center = 0.5F * (side % 2 == 0 ? by_box.x : by_box.y);
  return box_scale * (side < 2 ? by_size - by_center : by_size + by_center);
}

// What the distribution focal loss of one side is multiplied by.
PS_HOST_DEVICE float dfl_slope(const AlignedScales& scales, float score) {
  return scales.dfl * score / static_cast<float>(kSides);
}

// One side's logits: the distribution focal loss against a distance in cells, and what the
// gradient consists of.
struct SideTerms {
  Distribution said;
  std::int64_t near;  // the bins below and above the distance share it
  float share;        // of the bin above
  double loss;

  PS_HOST_DEVICE static SideTerms of(const float* logits, std::int64_t plane, float distance) {
    // The last bin is the longest distance.
    constexpr float kLongest = static_cast<float>(kBins - 1) - 0.01F;
    const float wanted = distance < 0.0F ? 0.0F : (distance > kLongest ? kLongest : distance);
    SideTerms terms{.said = Distribution::of(logits, plane),
                    .near = static_cast<std::int64_t>(wanted),
                    .share = 0.0F,
                    .loss = 0.0};
    terms.share = wanted - static_cast<float>(terms.near);
    const float* low = logits + terms.near * plane;
    const float expected = low[0] * (1.0F - terms.share) + low[plane] * terms.share;
    terms.loss = double{terms.said.top + logarithm(terms.said.total) - expected};
    return terms;
  }

  // by_mean: the rest of the loss's derivative by the distribution's mean. dfl: what this loss is
  // multiplied by.
  PS_HOST_DEVICE void write_gradient(
      const float* logits, std::int64_t plane, float by_mean, float dfl, float* gradient) const {
    for (std::int64_t bin = 0; bin < kBins; ++bin) {
      const float p = said.probability(logits[bin * plane]);
      const float wanted = bin == near ? 1.0F - share : (bin == near + 1 ? share : 0.0F);
      gradient[bin * plane] =
          by_mean * p * (static_cast<float>(bin) - said.mean) + dfl * (p - wanted);
    }
  }
};

}  // namespace ps::kernels
