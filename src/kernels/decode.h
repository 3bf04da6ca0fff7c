// From a detector's raw output to boxes and probabilities, one level at a time.
#pragma once

#include <cstdint>

#include "kernels/detection.h"
#include "kernels/isa.h"

namespace ps::kernels {

// Where a level's boxes go: row by row, each center and size in pixels, with anchors objectness,
// then classes. Rows are in the order anchor, row of cells, column.
struct DecodedRows {
  float* first = nullptr;          // the first sample's first row of this level
  std::int64_t sample_floats = 0;  // from one sample's rows to the next's
};

// The same bits on every instruction set. stride: pixels of the input a cell.
struct DecodeOps {
  void (*anchors)(const GridLevel& level,
                  std::int64_t stride,
                  const float* output,
                  const DecodedRows& rows);
  // Anchor-free.
  void (*distances)(const GridLevel& level,
                    std::int64_t stride,
                    const float* output,
                    const DecodedRows& rows);
};

const DecodeOps& decode(Isa isa);

}  // namespace ps::kernels
