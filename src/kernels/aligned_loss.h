// The loss of an anchor-free detector: which cells answer best for a true box, then boxes,
// distances and classes of those cells, and the classes of all.
#pragma once

#include <cstdint>

#include "kernels/box_math.h"
#include "kernels/detection.h"
#include "kernels/isa.h"

namespace ps::kernels {

struct AlignedLevel {
  GridLevel grid;
  std::int64_t stride = 8;      // pixels of the input a cell
  std::int64_t offset = 0;      // floats of a sample's output before this level
  std::int64_t first_cell = 0;  // cells of an image before this level's
};

// What one image's output says.
struct AlignedImage {
  const AlignedLevel* levels = nullptr;
  std::int64_t level_count = 0;
  std::int64_t cells = 0;         // of all levels
  const float* output = nullptr;  // the image's first value
  float* boxes = nullptr;         // [4, cells]: center and size in pixels
};

struct AlignedCell {
  std::int32_t cell;  // of the image's cells
  float metric;       // > 0
  float overlap;
};

// The most cells that answer for a true box.
inline constexpr std::int64_t kAlignedCells = 10;

// A cell that answers for a true box.
struct Foreground {
  std::int32_t image;
  std::int32_t level;
  std::int32_t cell;  // of the level's: row * width + column
  std::int32_t category;
  float score;  // what the class's probability shall be; the weight of the other terms
  Box box;      // in pixels
};

// What gradients are multiplied by.
struct AlignedScales {
  float box = 1.0F;
  float category = 1.0F;
  float dfl = 1.0F;
};

struct AlignedGains {
  float box = 1.0F;
  float category = 1.0F;
  float dfl = 1.0F;
};

// Sums over the foreground, not yet scaled.
struct AlignedLoss {
  double box = 0.0;       // score * (1 - CIoU)
  double category = 0.0;  // the cross-entropy against the score, less that against 0
  double dfl = 0.0;       // score * mean over sides of the cross-entropy of the distribution
};

// Gradients' bits are the same on every instruction set. output: the first sample's first value;
// `gradient` lies like it and may be null: not wanted.
struct AlignedLossOps {
  // Fills image.boxes.
  void (*locate)(const AlignedImage& image);
  // The cells with the largest metric for the box (in pixels) among those whose centers it holds,
  // the best first, equals by their number; image.boxes are filled. found: room for kAlignedCells;
  // returns how many.
  std::int64_t (*align)(const AlignedImage& image,
                        const Box& box,
                        std::int64_t category,
                        AlignedCell* found);
  // The sum over all cells and classes of the cross-entropy against 0; overwrites the gradient of
  // the classes.
  double (*categories)(const AlignedLevel& level,
                       float scale,
                       const float* output,
                       float* gradient);
  // Adds what the foreground, at most one for each cell, changes. Comes after `categories`.
  AlignedLoss (*foreground)(const AlignedLevel* levels,
                            const AlignedScales& scales,
                            const Foreground* foreground,
                            std::int64_t count,
                            const float* output,
                            float* gradient);
};

const AlignedLossOps& aligned_loss(Isa isa);

}  // namespace ps::kernels
