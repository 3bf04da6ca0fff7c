// Which cells' anchors answer for a true box, and what the terms of their loss are multiplied by,
// for CPU and GPU.
#pragma once

#include <cstdint>

#include "kernels/anchor_loss.h"
#include "kernels/anchor_math.h"
#include "kernels/detection.h"
#include "kernels/host_device.h"

namespace ps::kernels {

static_assert(kCellOffsets == kPositivesPerAnchor);

// In cells.
PS_HOST_DEVICE Box in_cells(const GridLevel& level, const TrueBox& box) {
  const auto width = static_cast<float>(level.width);
  const auto height = static_cast<float>(level.height);
  return {.x = box.x * width,
          .y = box.y * height,
          .width = box.width * width,
          .height = box.height * height};
}

// Whether the true box has a positive at that offset of its cell for that anchor.
PS_HOST_DEVICE bool is_positive(
    const GridLevel& level, float threshold, int offset, std::int64_t anchor, const TrueBox& from) {
  const Box box = in_cells(level, from);
  const float* size = level.anchor_sizes + 2 * anchor;
  return takes_offset(offset, box.x, box.y, static_cast<float>(level.width),
                      static_cast<float>(level.height)) &&
         fits_anchor(box.width, box.height, size[0], size[1], threshold);
}

// Which it is. REQUIRES: is_positive().
PS_HOST_DEVICE Positive positive_of(const GridLevel& level,
                                    int offset,
                                    std::int64_t anchor,
                                    const TrueBox& from) {
  const Box box = in_cells(level, from);
  const CellOffset away = CellOffset::of(offset);
  const std::int32_t column = cell_of(box.x - away.x, level.width);
  const std::int32_t row = cell_of(box.y - away.y, level.height);
  return {.image = from.image,
          .anchor = static_cast<std::int32_t>(anchor),
          .cell = row * static_cast<std::int32_t>(level.width) + column,
          .category = from.category,
          .x = box.x - static_cast<float>(column),
          .y = box.y - static_cast<float>(row),
          .width = box.width,
          .height = box.height};
}

// Where the logits of a positive begin; they lie a plane of cells apart.
PS_HOST_DEVICE std::int64_t first_logit(const GridLevel& level, const Positive& positive) {
  return positive.image * level.sample_floats +
         positive.anchor * level.anchor_channels() * level.cells() + positive.cell;
}

// Where its objectness lies in [batch, anchors, cells].
PS_HOST_DEVICE std::int64_t objectness_index(const GridLevel& level, const Positive& positive) {
  return (positive.image * level.anchors + positive.anchor) * level.cells() + positive.cell;
}

// What one positive's terms and one cell's objectness count in a level's means. The batch times a
// mean over the batch's cells is a sum over the batch of means over a sample's: hence `cell`.
struct AnchorShares {
  double box;
  double category;
  double cell;

  PS_HOST_DEVICE static AnchorShares of(const AnchorLevel& level, std::int64_t positives) {
    const GridLevel& grid = level.grid;
    const double share = positives == 0 ? 0.0 : 1.0 / static_cast<double>(positives);
    return {.box = share,
            .category = share / static_cast<double>(grid.classes),
            .cell = level.balance / static_cast<double>(grid.anchors * grid.cells())};
  }

  [[nodiscard]] PS_HOST_DEVICE AnchorTerms terms(const AnchorGains& gains,
                                                 std::int64_t images) const {
    const auto batch = static_cast<double>(images);
    return {.category = gains.category_loss,
            .objectness = gains.objectness_loss,
            .positive_label = 1.0F - 0.5F * gains.label_smoothing,
            .negative_label = 0.5F * gains.label_smoothing,
            .box_scale = static_cast<float>(batch * double{gains.box} * box),
            .category_scale = static_cast<float>(batch * double{gains.category} * category),
            .objectness_scale = static_cast<float>(double{gains.objectness} * cell)};
  }
};

// The box that a positive's logits say, and how well it overlaps the wanted one.
struct AnchorOverlap {
  AnchorBox said;
  Box wanted;
  CompleteIou overlap;

  // logits: the positive's first.
  PS_HOST_DEVICE static AnchorOverlap of(const GridLevel& level,
                                         const Positive& p,
                                         const float* logits) {
    const std::int64_t plane = level.cells();
    const float* size = level.anchor_sizes + std::int64_t{2} * p.anchor;
    const AnchorBox said = AnchorBox::of({.x = logits[0],
                                          .y = logits[plane],
                                          .width = logits[2 * plane],
                                          .height = logits[3 * plane]},
                                         size[0], size[1]);
    const Box wanted{.x = p.x, .y = p.y, .width = p.width, .height = p.height};
    return {.said = said, .wanted = wanted, .overlap = CompleteIou::of(said.box, wanted)};
  }

  // What the logits' gradients are lowered by.
  [[nodiscard]] PS_HOST_DEVICE Box slope(float scale) const {
    const Box by_box = overlap.gradient(said.box, wanted);
    return {.x = by_box.x * said.slope.x * scale,
            .y = by_box.y * said.slope.y * scale,
            .width = by_box.width * said.slope.width * scale,
            .height = by_box.height * said.slope.height * scale};
  }
};

}  // namespace ps::kernels
