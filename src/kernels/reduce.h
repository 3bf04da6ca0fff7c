// Weighted sums of vectors in float32, one vector at a time. The fused update (update.h) adds its
// contributions by these very functions, so folding some of them beforehand gives the same bits.
#pragma once

#include <cstddef>

#include "kernels/isa.h"

namespace ps::kernels {

// Vectors of `size` floats, 0 included. `values` may lie at any byte address, as in a message;
// `sum` must not overlap it.
struct ReduceOps {
  void (*start)(float* sum, const float* values, float weight, std::size_t size);  // sum = w * x
  void (*add)(float* sum, const float* values, float weight, std::size_t size);    // sum += w * x
  void (*divide)(float* sum, float divisor, std::size_t size);                     // sum /= d
};

const ReduceOps& reduce(Isa isa);

}  // namespace ps::kernels
