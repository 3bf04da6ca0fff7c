// The two losses behind ps::nn::DetectionCriterion. They trust their arguments, which the class
// has checked.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include <ps/nn/detection.h>

#include "kernels/aligned_loss.h"
#include "kernels/anchor_loss.h"
#include "kernels/detection.h"

namespace ps::nn {

// What a DetectionCriterion was made of. No two have the same id.
struct CriterionSpec {
  DetectionHead head;
  DetectionLossOptions options;
  std::int64_t max_batch = 0;
  std::uint64_t id = 0;
};

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

// What the kernels need to know of a head with anchors; made once. Moved, not copied: levels name
// what lies in sizes.
struct AnchorLevels {
  AnchorLevels(const DetectionHead& head,
               const DetectionLossOptions& options,
               std::int64_t max_batch);
  AnchorLevels(const AnchorLevels&) = delete;
  AnchorLevels& operator=(const AnchorLevels&) = delete;
  AnchorLevels(AnchorLevels&&) = default;
  AnchorLevels& operator=(AnchorLevels&&) = default;
  ~AnchorLevels() = default;

  std::vector<std::vector<float>> sizes;  // anchors_in_cells of each level
  std::vector<kernels::AnchorLevel> levels;
};
kernels::AnchorGains anchor_gains(const DetectionLossOptions& options);

// The same of an anchor-free head.
std::vector<kernels::AlignedLevel> aligned_levels(const DetectionHead& head,
                                                  std::int64_t max_batch);
kernels::AlignedGains aligned_gains(const DetectionLossOptions& options);
// The size of its input in pixels.
kernels::Box input_size(const DetectionHead& head);

// What DetectionCriterion refuses, with its words: throw kInvalidArgument.
void check_criterion(const DetectionHead& head,
                     const DetectionLossOptions& options,
                     std::int64_t max_batch);
void check_batch(std::int64_t batch, std::int64_t max_batch);
// Targets as the kernels read them; boxes: room for all.
void to_boxes(std::span<const Target> targets,
              std::int64_t batch,
              std::int64_t classes,
              kernels::TrueBox* boxes);

// Throws kInvalidArgument in the name of `who` unless output can be of this head.
void check_head(const DetectionHead& head, const char* who);

// The level for the kernels, which see it from its first float on; anchor_sizes are the caller's.
kernels::GridLevel grid_level(const DetectionHead& head, std::size_t level, std::int64_t batch);

// [anchors, 2]: width and height.
std::vector<float> anchors_in_cells(const HeadLevel& level);

}  // namespace ps::nn
