// The loss of a detector with anchors, one level of its output at a time: which cells answer for
// which true box, then box and class of those cells, and the objectness of all.
#pragma once

#include <cstdint>

#include "kernels/detection.h"
#include "kernels/isa.h"

namespace ps::kernels {

// A cell's anchor that answers for a true box. The box is in cells, relative to its cell's corner.
struct Positive {
  std::int32_t image;
  std::int32_t anchor;
  std::int32_t cell;  // row * width + column
  std::int32_t category;
  float x;
  float y;
  float width;
  float height;
};

// One scale of a head with anchors.
struct AnchorLevel {
  GridLevel grid;
  std::int64_t offset = 0;  // floats of a sample's output before this level
  double balance = 1.0;     // how much its objectness counts
};

// The most positives that one true box has per anchor.
inline constexpr std::int64_t kPositivesPerAnchor = 5;

// A cross-entropy over logits: focal if focal_gamma > 0 (bce_math.h).
struct CrossEntropy {
  float positive_weight = 1.0F;
  float focal_gamma = 0.0F;
};

struct AnchorTerms {
  CrossEntropy category;
  CrossEntropy objectness;
  float positive_label = 1.0F;  // what the true class's probability shall be
  float negative_label = 0.0F;  // and all others'
  // What a gradient is multiplied by: that of one positive's 1 - CIoU, of one positive's
  // cross-entropy of one class, and of one cell's objectness.
  float box_scale = 1.0F;
  float category_scale = 1.0F;
  float objectness_scale = 1.0F;
};

// What all levels' terms are made of.
struct AnchorGains {
  CrossEntropy category_loss;
  CrossEntropy objectness_loss;
  float label_smoothing = 0.0F;  // e: true class 1 - e / 2, others e / 2
  float threshold = 4.0F;        // no side of a matched box is that many times its anchor's
  float box = 1.0F;
  float objectness = 1.0F;
  float category = 1.0F;
};

// Sums, not yet scaled.
struct PositiveLoss {
  double box = 0.0;       // of 1 - CIoU
  double category = 0.0;  // of the cross-entropies; 0 for one class
};

struct AnchorArrays {
  const float* output = nullptr;
  // [batch, anchors, cells]: what each objectness shall be.
  float* objectness = nullptr;
  // Lies like the output; null: not wanted.
  float* gradient = nullptr;
};

// Gradients' bits are the same on every instruction set.
struct AnchorLossOps {
  // Fills `positives` (room for count * anchors * kPositivesPerAnchor) and returns how many. Their
  // order: offset (see takes_offset), anchor, true box (is_positive).
  std::int64_t (*assign)(const GridLevel& level,
                         float threshold,
                         const TrueBox* boxes,
                         std::int64_t count,
                         Positive* positives);
  // Adds to the gradient, and writes max(CIoU, 0) of each positive to `objectness`: where several
  // meet, the last one's stays.
  PositiveLoss (*positives)(const GridLevel& level,
                            const AnchorTerms& terms,
                            const Positive* positives,
                            std::int64_t count,
                            const AnchorArrays& arrays);
  // The sum over all cells; overwrites the gradient of the objectness.
  double (*objectness)(const GridLevel& level,
                       const AnchorTerms& terms,
                       const AnchorArrays& arrays);
};

const AnchorLossOps& anchor_loss(Isa isa);

}  // namespace ps::kernels
