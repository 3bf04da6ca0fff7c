// The loss of an anchor-free head on a GPU, with the assignment and the gradients of the CPU's
// criterion (its bits, unless the sum of scores rounds otherwise).
#pragma once

#include <cstdint>
#include <span>

#include "kernels/aligned_loss.h"
#include "kernels/detection_loss_cuda.h"

namespace ps::kernels {

class AlignedLossCuda final : public DetectionLossCuda {
 public:
  // Allocates all that it will need, on the stream's device, and waits for the stream. input: the
  // network's input's width and height in pixels.
  AlignedLossCuda(std::span<const AlignedLevel> levels,
                  const AlignedGains& gains,
                  const Box& input,
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
  AlignedGains gains_;
  Box input_;
  std::int64_t image_cells_;
  std::int64_t image_chunks_;
  DeviceBuffer said_;        // [batch, 4, cells]: what the images say
  DeviceBuffer claims_;      // [batch, cells]: of true boxes on a cell; zero between runs
  DeviceBuffer candidates_;  // kAlignedCells for each true box
  DeviceBuffer bests_;       // of each true box
  DeviceBuffer assigned_;    // kAlignedCells for each true box
  DeviceBuffer shares_;
};

}  // namespace ps::kernels
