// Anchors that fit a data set's boxes: how well given ones do, and better ones where they do not.
// Not how a detector uses anchors, which is nn/detection.h's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ps/nn/detection.h>

namespace ps::vision {

// Sides of a true box, in pixels of the network's input.
struct BoxSize {
  float width = 0;
  float height = 0;
};

// An anchor fits a box by the least of the four ratios of their sides, w / w', w' / w, h / h',
// h' / h; it is usable where that is above 1 / threshold.
struct AnchorFit {
  double recall = 0;     // "BPR": the share of boxes that have a usable anchor
  double usable = 0;     // usable anchors a box, mean
  double fitness = 0;    // the best anchor's fit, mean over the boxes, 0 where it is not usable
  double mean_best = 0;  // the best anchor's fit, mean over the boxes
};

struct AnchorOptions {
  double threshold = 4.0;     // of the loss that will be trained with (anchor_t)
  double enough = 0.98;       // given anchors with a recall above it stay
  int generations = 1000;     // of random changes, of which the good ones are kept
  double least_side = 2.0;    // no anchor gets a shorter side, and boxes with one do not count
  std::uint64_t seed = 0;     // same seed, same boxes: same anchors, on any machine of one kind
  std::size_t most = 10'000;  // new anchors are fitted to so many boxes, drawn by lot
};

// Throws Error(kInvalidArgument) for no boxes, no anchors, or sides that are not above 0.
[[nodiscard]] AnchorFit fit_of(std::span<const BoxSize> boxes,
                               std::span<const nn::Anchor> anchors,
                               double threshold = 4.0);

// `count` anchors by rising area: k-means on the sides over their deviations, then generations of
// random factors on each side, a change being kept where the fitness rises. Throws
// Error(kInvalidArgument) for no boxes (that count), count 0, or sides that are not above 0.
[[nodiscard]] std::vector<nn::Anchor> find_anchors(std::span<const BoxSize> boxes,
                                                   std::size_t count,
                                                   const AnchorOptions& options = {});

struct AnchorChoice {
  std::vector<nn::Anchor> anchors;  // as many as were given, by rising area if they are new
  bool changed = false;
  AnchorFit given;   // of the anchors as given
  AnchorFit chosen;  // of those above
};

// The given anchors, or new ones where the given reach too few boxes and the new reach more. Throws
// as find_anchors().
[[nodiscard]] AnchorChoice choose_anchors(std::span<const BoxSize> boxes,
                                          std::span<const nn::Anchor> given,
                                          const AnchorOptions& options = {});

}  // namespace ps::vision
