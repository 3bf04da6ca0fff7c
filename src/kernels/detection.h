// What the kernels of detectors share: true boxes and how one level of the output lies in memory.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace ps::kernels {

// Center and size as fractions of the network's input.
struct TrueBox {
  std::int32_t image;     // within the batch
  std::int32_t category;  // class
  float x;
  float y;
  float width;
  float height;
};

// One level of the output of a batch: a pointer to it names the first sample's first value, and
// each sample has [channels, height, width].
struct GridLevel {
  std::int64_t batch = 0;
  std::int64_t sample_floats = 0;  // from one sample's values to the next's
  std::int64_t height = 0;         // cells
  std::int64_t width = 0;
  std::int64_t classes = 0;
  std::int64_t anchors = 0;  // 0: anchor-free
  // [anchors, 2]: width and height, in cells.
  const float* anchor_sizes = nullptr;

  [[nodiscard]] PS_HOST_DEVICE std::int64_t cells() const { return height * width; }
  // With anchors: channels of one of them.
  [[nodiscard]] PS_HOST_DEVICE std::int64_t anchor_channels() const { return 5 + classes; }
};

// The parts of a detector's loss before their gains, and their weighted sum.
struct DetectionResult {
  double box;
  double objectness;
  double category;
  double dfl;
  double total;
  std::int64_t positives;
};

}  // namespace ps::kernels
