// Boxes from pictures: a network's forward pass, decoding and suppression in one. On a GPU all of
// it happens there, and only the boxes that are kept come to the host.
//
//   BoxFinder finder(detector.graph(), detector.head(), {.confidence = 0.25F});
//   finder.forward(images);
//   for (const std::vector<Detection>& of_image : finder.boxes()) ...
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <ps/nn/detection.h>
#include <ps/nn/graph.h>

namespace ps::nn {

// Used by the graph's thread. Functions throw Error{kInvalidArgument} for misuse. Its memory is for
// the largest batch so far, nothing is allocated on a GPU for another one of that size or less.
class BoxFinder {
 public:
  // The graph's output is of this head; it is prepared before forward() and outlives this, where it
  // is.
  BoxFinder(Graph& graph, const DetectionHead& head, const NmsOptions& options);
  BoxFinder(const BoxFinder&) = delete;
  BoxFinder& operator=(const BoxFinder&) = delete;
  BoxFinder(BoxFinder&&) noexcept;
  BoxFinder& operator=(BoxFinder&&) noexcept;
  ~BoxFinder();

  // As Graph::forward(), but the output stays where it is. Returns when it is there.
  void forward(std::span<const float> images);

  // Of the last forward(), which was the graph's last pass:
  // Each image's boxes, as suppress() chooses them from decode()'s rows, with the same bits for the
  // same output. Valid until the next call. An image with more candidates than a GPU's memory is
  // kept for (max_candidates, rounded up to a power of two, at most 65536) has its output
  // downloaded for the CPU.
  std::span<const std::vector<Detection>> boxes();
  // The criterion's loss, without a gradient.
  DetectionLoss loss(DetectionCriterion& criterion, std::span<const Target> targets);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ps::nn
