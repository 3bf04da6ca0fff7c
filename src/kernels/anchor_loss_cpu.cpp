#include "kernels/anchor_loss.h"
#include "kernels/anchor_loss_math.h"
#include "kernels/lanes.h"

namespace ps::kernels::PS_ISA {
namespace {

using Index = std::int64_t;

Index assign(const GridLevel& level,
             float threshold,
             const TrueBox* boxes,
             Index count,
             Positive* positives) {
  Index found = 0;
  for (int offset = 0; offset < kCellOffsets; ++offset) {
    for (Index anchor = 0; anchor < level.anchors; ++anchor) {
      for (Index i = 0; i < count; ++i) {
        if (!is_positive(level, threshold, offset, anchor, boxes[i])) continue;
        positives[found++] = positive_of(level, offset, anchor, boxes[i]);
      }
    }
  }
  return found;
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
    const AnchorOverlap box = AnchorOverlap::of(level, p, logits);
    const float value = box.overlap.value();
    result.box += 1.0 - double{value};
    arrays.objectness[objectness_index(level, p)] = at_least(value, 0.0F);
    if (gradient != nullptr) {
      const Box slope = box.slope(terms.box_scale);
      gradient[0] -= slope.x;
      gradient[plane] -= slope.y;
      gradient[2 * plane] -= slope.width;
      gradient[3 * plane] -= slope.height;
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
