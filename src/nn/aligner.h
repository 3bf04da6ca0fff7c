// Decides which cells of an anchor-free head answer for which true boxes of an image, and what
// their scores shall be: the task-aligned assigner of TOOD (Feng et al., 2021) as YOLOv8 uses it.
//
// 1. A box's candidates are the (at most) ten cells with the largest metric > 0 among those whose
//    centers lie in it.
// 2. A cell that is a candidate of several boxes goes to the one, of all boxes that hold its
//    center, which it overlaps most; the first of equals.
// 3. A cell's score is its metric, scaled so that a box's largest one equals the box's largest
//    overlap.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/aligned_loss.h"

namespace ps::nn {

class Aligner {
 public:
  // The levels must outlive it. cells: of all of them.
  Aligner(std::span<const kernels::AlignedLevel> levels, std::int64_t cells);

  // Appends the image's foreground. output: the image's; boxes: the batch's, of which those with
  // this number count; width and height: pixels of the input. Allocates only for more boxes than
  // ever before, if `foreground` has room for kAlignedCells each. A cell whose output is not finite
  // is no candidate.
  void assign(std::int32_t image,
              const float* output,
              std::span<const kernels::TrueBox> boxes,
              const kernels::Box& input,
              std::vector<kernels::Foreground>& foreground);

 private:
  // A box of the image.
  struct Claim {
    kernels::Box box;  // in pixels
    std::int32_t category;
    std::int64_t candidates;  // of its part of candidates_
    float best_metric;
    float best_overlap;
  };
  struct Assigned {
    std::size_t claim;
    kernels::AlignedCell cell;
  };

  void find_candidates(const kernels::AlignedImage& image);
  void settle(const kernels::AlignedImage& image);
  Assigned strongest(const kernels::AlignedImage& image, std::int32_t cell) const;
  [[nodiscard]] std::size_t level_of(std::int32_t cell) const;
  [[nodiscard]] std::span<const kernels::AlignedCell> candidates(std::size_t claim) const;

  std::span<const kernels::AlignedLevel> levels_;
  const kernels::AlignedLossOps& ops_;
  std::vector<float> boxes_;           // [4, cells] as the image says them
  std::vector<std::int32_t> claimed_;  // by how many; zero between images
  std::vector<Claim> claims_;
  std::vector<kernels::AlignedCell> candidates_;  // kAlignedCells for each claim
  std::vector<Assigned> assigned_;
};

}  // namespace ps::nn
