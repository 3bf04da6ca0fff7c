// A late gradient corrected to first order for what the weights did meanwhile (DC-ASGD). The
// arithmetic: update_math.h.
#pragma once

#include <cstddef>

#include "kernels/isa.h"
#include "kernels/update_math.h"

namespace ps::kernels {

// Vectors of `size` floats, 0 included. The gradient may lie at any byte address; `out` may be the
// gradient, and overlaps nothing else.
struct CompensatePass {
  std::size_t size = 0;
  const float* gradient = nullptr;
  const float* weights = nullptr;  // that the gradient is to be applied to
  const float* pulled = nullptr;   // that it was taken at
  float* out = nullptr;
};

struct CompensateOps {
  void (*constant)(const CompensatePass& pass, float lambda);
  void (*adaptive)(const CompensatePass& pass,
                   const AdaptiveCompensation& rule,
                   float* mean_square);
};

const CompensateOps& compensate(Isa isa);

}  // namespace ps::kernels
