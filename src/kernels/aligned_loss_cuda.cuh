// What the files of the anchor-free loss share: aligned_assign_cuda.cu, which says which cells
// answer, and aligned_loss_cuda.cu, which takes their losses.
#pragma once

#include <cstdint>

#include "kernels/aligned_loss_math.h"
#include "kernels/detection.cuh"
#include "kernels/launch.cuh"

namespace ps::kernels::aligned {

// A level and where its parts lie among an image's chunks: what a block of add_categories takes.
struct Level {
  AlignedLevel level;
  std::int64_t first_chunk;
};

// The true boxes that have a cell among their candidates.
struct Claims {
  std::int32_t count;
  std::int32_t first;  // INT32_MAX - the first one's slot; 0: none
};

// The largest of a true box's cells, as the bits of floats that are not negative.
struct Best {
  std::int32_t metric;
  std::int32_t overlap;
};

// What a slot (a true box and a number below kAlignedCells) has come to.
struct Assigned {
  std::int32_t box;  // -1: nothing
  std::int32_t cell;
  float metric;  // overwritten with the score
  float padding;
};

// Written once all scores are known.
struct Shares {
  AlignedShares of;
  double positives;
};

struct Run {
  const Level* levels;
  std::int64_t level_count;
  std::int64_t cells;  // of an image
  AlignedGains gains;
  Box input;
  const float* output;
  std::int64_t batch;
  std::int64_t sample_floats;
  const TrueBox* boxes;
  std::int64_t box_count;
  float* gradient;
  float* said;
  Claims* claims;
  AlignedCell* candidates;
  Best* bests;
  Assigned* assigned;
  Shares* shares;
};

// Fills run.assigned, bests and shares; what claims hold is for the user of `assigned` to zero.
void assign(const Run& run, StreamView stream);

#if defined(__CUDACC__) || defined(PS_CUDA_EMULATED)

// A cell of an image.
struct Place {
  const AlignedLevel& level;
  std::int32_t cell;  // of the level

  __device__ __forceinline__ static Place of(const Run& run, std::int32_t cell) {
    std::int64_t level = 0;
    while (level + 1 < run.level_count && run.levels[level + 1].level.first_cell <= cell) ++level;
    const AlignedLevel& found = run.levels[level].level;
    return {found, cell - static_cast<std::int32_t>(found.first_cell)};
  }
};

#endif

}  // namespace ps::kernels::aligned
