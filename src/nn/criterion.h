// The two losses behind ps::nn::DetectionCriterion. They trust their arguments, which the class
// has checked.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include <ps/nn/detection.h>

#include "kernels/detection.h"

namespace ps::nn {

class Criterion {
 public:
  virtual ~Criterion() = default;
  // As DetectionCriterion::run.
  virtual DetectionLoss run(std::span<const float> output,
                            std::int64_t batch,
                            std::span<const kernels::TrueBox> boxes,
                            std::span<float> gradient) = 0;
};

// YOLOv5's loss for heads with anchors (YOLOv3-tiny's too).
std::unique_ptr<Criterion> anchor_criterion(const DetectionHead& head,
                                            const DetectionLossOptions& options,
                                            std::int64_t max_batch);

// YOLOv8's loss for anchor-free heads.
std::unique_ptr<Criterion> aligned_criterion(const DetectionHead& head,
                                             const DetectionLossOptions& options,
                                             std::int64_t max_batch);

// Throws kInvalidArgument in the name of `who` unless output can be of this head.
void check_head(const DetectionHead& head, const char* who);

// The level for the kernels, which see it from its first float on; anchor_sizes are the caller's.
kernels::GridLevel grid_level(const DetectionHead& head, std::size_t level, std::int64_t batch);

// [anchors, 2]: width and height.
std::vector<float> anchors_in_cells(const HeadLevel& level);

}  // namespace ps::nn
