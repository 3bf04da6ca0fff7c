// The whole loss of a detector's head on a GPU, assignment and gradients included: nothing of it
// comes to the host. Kinds of heads: anchor_loss_cuda.h, aligned_loss_cuda.h.
#pragma once

#include <cstdint>

#include "base/assert.h"
#include "kernels/detection.h"
#include "kernels/device.h"

namespace ps::kernels {

class DetectionLossCuda {
 public:
  DetectionLossCuda(const DetectionLossCuda&) = delete;
  DetectionLossCuda& operator=(const DetectionLossCuda&) = delete;
  virtual ~DetectionLossCuda() = default;

  // Enqueues. All pointers are the device's. output and gradient: [batch, sample]; gradient is
  // overwritten, null if not wanted. One stream at a time.
  // REQUIRES: 1 <= batch <= max_batch, 0 <= box_count <= max_boxes, boxes of the batch's images and
  // the head's classes.
  virtual void run(const float* output,
                   std::int64_t batch,
                   const TrueBox* boxes,
                   std::int64_t box_count,
                   float* gradient,
                   DetectionResult* result,
                   StreamView stream) = 0;

 protected:
  // Of what memory is kept for.
  struct Limits {
    std::int64_t batch;
    std::int64_t boxes;
  };

  DetectionLossCuda(const Limits& limits, std::int64_t levels, std::int64_t sample_floats)
      : limits_(limits), level_count_(levels), sample_floats_(sample_floats) {}

  void check(std::int64_t batch, std::int64_t box_count) const {
    PS_ASSERT(batch >= 1 && batch <= limits_.batch, "memory is for max_batch");
    PS_ASSERT(box_count >= 0 && box_count <= limits_.boxes, "memory is for max_boxes");
  }
  static DeviceBuffer allocate(int device, std::int64_t count, std::size_t size) {
    return {device, static_cast<std::size_t>(count) * size};
  }

  const Limits limits_;
  const std::int64_t level_count_;
  const std::int64_t sample_floats_;
  DeviceBuffer levels_;
  DeviceBuffer sums_;  // of blocks
};

}  // namespace ps::kernels
