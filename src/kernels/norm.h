// Sums of squares in float64, for norms over vectors that lie on several shards.
#pragma once

#include <cstddef>

#include "kernels/isa.h"

namespace ps::kernels {

struct NormOps {
  // Sum of values[i]^2. In blocks of 4096 values: each adds to 16 lanes in turn, the lanes are
  // added in order, the blocks in order. So the bits depend on the values alone; a square of a
  // float32 is exact in float64. An infinity or a NaN stays one.
  double (*squares)(const float* values, std::size_t size);
};

const NormOps& norm(Isa isa);

}  // namespace ps::kernels
