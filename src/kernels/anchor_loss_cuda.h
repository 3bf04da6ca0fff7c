// The loss of a head with anchors on a GPU, with the assignment and the gradients of the CPU's
// criterion to the bit.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/anchor_loss.h"
#include "kernels/detection_loss_cuda.h"

namespace ps::kernels {

class AnchorLossCuda final : public DetectionLossCuda {
 public:
  // Allocates all that it will need, on the stream's device, and waits for the stream. The levels'
  // anchor_sizes are the host's, and copied.
  AnchorLossCuda(std::span<const AnchorLevel> levels,
                 const AnchorGains& gains,
                 std::int64_t max_batch,
                 std::int64_t max_boxes,
                 StreamView stream);

  void run(const float* output,
           std::int64_t batch,
           const TrueBox* boxes,
           std::int64_t box_count,
           float* gradient,
           DetectionResult* result,
           StreamView stream) override;

 private:
  AnchorGains gains_;
  std::int64_t level_cells_ = 0;  // of the largest level of a sample, once for each anchor
  std::int64_t level_slots_ = 0;  // of the level with most anchors, for one box
  DeviceBuffer sizes_;            // the levels' anchors
  DeviceBuffer cells_;            // of all levels, images and anchors; zero between runs
  DeviceBuffer next_;             // of all levels and slots
  DeviceBuffer counts_;           // positives of each level; zero between runs
};

}  // namespace ps::kernels
