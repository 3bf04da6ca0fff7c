// How a detector's raw output is laid out: what its network makes, and what loss and decoding read.
#pragma once

#include <cstdint>
#include <vector>

namespace ps::nn {

// Pixels of the network's input.
struct Anchor {
  float width = 0.0F;
  float height = 0.0F;

  friend bool operator==(const Anchor&, const Anchor&) = default;
};

// An anchor-free head says each side of a box as a distribution over this many distances,
// 0, 1, ..., 15 strides from the cell's center (Li et al., Generalized Focal Loss, 2020).
inline constexpr std::int64_t kDistanceBins = 16;

// One scale of the output: a grid of cells over the input.
struct HeadLevel {
  std::int64_t stride = 8;  // pixels of the input a cell
  std::int64_t height = 0;  // cells
  std::int64_t width = 0;
  std::vector<Anchor> anchors;  // empty: anchor-free

  [[nodiscard]] std::int64_t cells() const noexcept { return height * width; }
  friend bool operator==(const HeadLevel&, const HeadLevel&) = default;
};

// A sample's output is level after level, each [channels, height, width]. With anchors, channels =
// anchors * (5 + classes), anchor by anchor: x, y, width, height, objectness, classes. Anchor-free,
// channels = 4 * kDistanceBins + classes: left, top, right, bottom, classes. All are logits.
struct DetectionHead {
  std::int64_t classes = 1;
  std::vector<HeadLevel> levels;  // all with anchors, or none

  [[nodiscard]] bool anchor_free() const noexcept;
  [[nodiscard]] std::int64_t channels(const HeadLevel& level) const noexcept;
  // Floats of one sample's output.
  [[nodiscard]] std::int64_t size() const noexcept;
  // Boxes that one sample's output says.
  [[nodiscard]] std::int64_t candidates() const noexcept;
  // Floats of a decoded box: 5 + classes, anchor-free 4 + classes.
  [[nodiscard]] std::int64_t row_floats() const noexcept;

  friend bool operator==(const DetectionHead&, const DetectionHead&) = default;
};

}  // namespace ps::nn
