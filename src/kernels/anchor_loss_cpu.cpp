#include "kernels/anchor_loss.h"
#include "kernels/anchor_math.h"
#include "kernels/lanes.h"

namespace ps::kernels::PS_ISA {
namespace {

using Index = std::int64_t;

Index assign(const GridLevel& level,
             float threshold,
             const TrueBox* boxes,
             Index count,
             Positive* positives) {
  const auto width = static_cast<float>(level.width);
  const auto height = static_cast<float>(level.height);
  Index found = 0;
  for (int offset = 0; offset < kCellOffsets; ++offset) {
    const CellOffset away = CellOffset::of(offset);
    for (Index anchor = 0; anchor < level.anchors; ++anchor) {
      const float* size = level.anchor_sizes + 2 * anchor;
      for (Index i = 0; i < count; ++i) {
        const Box box{.x = boxes[i].x * width,
                      .y = boxes[i].y * height,
                      .width = boxes[i].width * width,
                      .height = boxes[i].height * height};
        if (!takes_offset(offset, box.x, box.y, width, height) ||
            !fits_anchor(box.width, box.height, size[0], size[1], threshold)) {
          continue;
        }
        const std::int32_t column = cell_of(box.x - away.x, level.width);
        const std::int32_t row = cell_of(box.y - away.y, level.height);
        positives[found++] = {.image = boxes[i].image,
                              .anchor = static_cast<std::int32_t>(anchor),
                              .cell = row * static_cast<std::int32_t>(level.width) + column,
                              .category = boxes[i].category,
                              .x = box.x - static_cast<float>(column),
                              .y = box.y - static_cast<float>(row),
                              .width = box.width,
                              .height = box.height};
      }
    }
  }
  return found;
}

// Where the logits of a positive begin; they lie a plane of cells apart.
Index first_logit(const GridLevel& level, const Positive& positive) {
  return positive.image * level.sample_floats +
         positive.anchor * level.anchor_channels() * level.cells() + positive.cell;
}

// The classes of one positive.
template <class Loss>
double category_loss(const GridLevel& level,
                     const AnchorTerms& terms,
                     const Loss& loss,
                     Index category,
                     const float* logits,
                     float* gradient) {
  const Index plane = level.cells();
  double total = 0.0;
  for (Index i = 0; i < level.classes; ++i) {
    const LossTerm term =
        loss(logits[i * plane], i == category ? terms.positive_label : terms.negative_label);
    total += double{term.loss};
    if (gradient != nullptr) gradient[i * plane] += term.gradient * terms.category_scale;
  }
  return total;
}

template <class Loss>
PositiveLoss positives_with(const GridLevel& level,
                            const AnchorTerms& terms,
                            const Loss& loss,
                            const Positive* positives,
                            Index count,
                            const AnchorArrays& arrays) {
  const Index plane = level.cells();
  PositiveLoss result;
  for (Index i = 0; i < count; ++i) {
    const Positive& p = positives[i];
    const Index first = first_logit(level, p);
    const float* logits = arrays.output + first;
    float* gradient = arrays.gradient == nullptr ? nullptr : arrays.gradient + first;
    const float* size = level.anchor_sizes + Index{2} * p.anchor;
    const AnchorBox said = AnchorBox::of({.x = logits[0],
                                          .y = logits[plane],
                                          .width = logits[2 * plane],
                                          .height = logits[3 * plane]},
                                         size[0], size[1]);
    const Box wanted{.x = p.x, .y = p.y, .width = p.width, .height = p.height};
    const CompleteIou overlap = CompleteIou::of(said.box, wanted);
    const float value = overlap.value();
    result.box += 1.0 - double{value};
    arrays.objectness[(p.image * level.anchors + p.anchor) * plane + p.cell] =
        at_least(value, 0.0F);
    if (gradient != nullptr) {
      const Box by_box = overlap.gradient(said.box, wanted);
      gradient[0] -= by_box.x * said.slope.x * terms.box_scale;
      gradient[plane] -= by_box.y * said.slope.y * terms.box_scale;
      gradient[2 * plane] -= by_box.width * said.slope.width * terms.box_scale;
      gradient[3 * plane] -= by_box.height * said.slope.height * terms.box_scale;
    }
    if (level.classes == 1) continue;
    result.category += category_loss(level, terms, loss, p.category, logits + 5 * plane,
                                     gradient == nullptr ? nullptr : gradient + 5 * plane);
  }
  return result;
}

PositiveLoss positives(const GridLevel& level,
                       const AnchorTerms& terms,
                       const Positive* positives,
                       Index count,
                       const AnchorArrays& arrays) {
  const CrossEntropy& kind = terms.category;
  if (kind.focal_gamma > 0.0F) {
    const FocalCrossEntropy loss{kind.positive_weight, kind.focal_gamma};
    return positives_with(level, terms, loss, positives, count, arrays);
  }
  const BinaryCrossEntropy loss{kind.positive_weight};
  return positives_with(level, terms, loss, positives, count, arrays);
}

// One plane of objectness.
template <class Loss>
double plane_loss(Loss loss,
                  const float* logits,
                  const float* targets,
                  Index count,
                  float scale,
                  float* gradient) {
  constexpr Index kBlock = 512;
  float losses[kBlock];
  float unwanted[kBlock];
  double total = 0.0;
  for (Index start = 0; start < count; start += kBlock) {
    const Index size = count - start < kBlock ? count - start : kBlock;
    float* slopes = gradient == nullptr ? unwanted : gradient + start;
    PS_INDEPENDENT_LOOP
    for (Index i = 0; i < size; ++i) {
      const LossTerm term = loss(logits[start + i], targets[start + i]);
      losses[i] = term.loss;
      slopes[i] = term.gradient * scale;
    }
    total += sum(size, [&losses](Index i) { return losses[i]; });
  }
  return total;
}

template <class Loss>
double objectness_with(const GridLevel& level, Loss loss, float scale, const AnchorArrays& arrays) {
  const Index plane = level.cells();
  double total = 0.0;
  for (Index n = 0; n < level.batch; ++n) {
    for (Index anchor = 0; anchor < level.anchors; ++anchor) {
      const Index offset = n * level.sample_floats + (anchor * level.anchor_channels() + 4) * plane;
      total += plane_loss(loss, arrays.output + offset,
                          arrays.objectness + (n * level.anchors + anchor) * plane, plane, scale,
                          arrays.gradient == nullptr ? nullptr : arrays.gradient + offset);
    }
  }
  return total;
}

double objectness(const GridLevel& level, const AnchorTerms& terms, const AnchorArrays& arrays) {
  const CrossEntropy& kind = terms.objectness;
  const float scale = terms.objectness_scale;
  if (kind.focal_gamma > 0.0F) {
    const FocalCrossEntropy loss{kind.positive_weight, kind.focal_gamma};
    return objectness_with(level, loss, scale, arrays);
  }
  return objectness_with(level, BinaryCrossEntropy{kind.positive_weight}, scale, arrays);
}

}  // namespace

extern const AnchorLossOps anchor_loss_ops{
    .assign = assign, .positives = positives, .objectness = objectness};

}  // namespace ps::kernels::PS_ISA
