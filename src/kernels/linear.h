// A fully connected layer: y = x * weights^T + bias.
#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace ps::kernels {

struct Linear {
  std::int64_t batch = 0;
  std::int64_t inputs = 0;
  std::int64_t outputs = 0;
  // kGemmWorkspaceFloats floats.
  float* workspace = nullptr;
};

// x, dx: [batch, inputs]; y, dy: [batch, outputs]; weights, dweights: [outputs, inputs]; bias,
// dbias: [outputs]. Nothing may overlap.
struct LinearOps {
  // `bias` may be null: there is none.
  void (*forward)(
      const Linear& linear, const float* x, const float* weights, const float* bias, float* y);
  void (*backward_data)(const Linear& linear, const float* dy, const float* weights, float* dx);
  // `dbias` may be null.
  void (*backward_weights)(
      const Linear& linear, const float* x, const float* dy, float* dweights, float* dbias);
};

const LinearOps& linear(Isa isa);

}  // namespace ps::kernels
