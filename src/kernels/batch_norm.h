// Batch normalization over [batch, channels, plane]: per channel, y = gamma * (x - mean) /
// sqrt(variance + epsilon) + beta (Ioffe and Szegedy, 2015). plane = height * width, or 1. With
// the activation SiLU in the same pass: its input is computed again rather than stored.
#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace ps::kernels {

struct BatchNorm {
  std::int64_t batch = 0;
  std::int64_t channels = 0;
  std::int64_t plane = 1;
  float epsilon = 1e-5F;
  const float* gamma = nullptr;  // [channels]
  const float* beta = nullptr;   // [channels]
  bool silu = false;             // y = silu of that
};

struct BatchNormBackward {
  const float* x = nullptr;         // as given to forward_training
  const float* mean = nullptr;      // [channels], as saved by forward_training
  const float* variance = nullptr;  // [channels], as saved by forward_training
  const float* dy = nullptr;
  float* dx = nullptr;  // may be null (not wanted) or dy
  float* dgamma = nullptr;
  float* dbeta = nullptr;
};

// Running statistics: next[i] = (1 - share) * running[i] + share * scale * batch[i], in float64.
struct Tracking {
  std::int64_t channels = 0;
  double share = 0.0;
  double scale = 1.0;
};

// Sums run in a fixed order: the same bits on every instruction set.
struct BatchNormOps {
  // Normalizes by the batch's own statistics and saves them: mean, variance [channels], the
  // variance over batch * plane values, biased. y may be x if no backward pass follows.
  void (*forward_training)(
      const BatchNorm& norm, const float* x, float* y, float* mean, float* variance);
  // Normalizes by the given (running) statistics. y may be x.
  void (*forward_evaluation)(
      const BatchNorm& norm, const float* x, float* y, const float* mean, const float* variance);
  // Gradients of forward_training, the statistics' dependence on x included.
  void (*backward)(const BatchNorm& norm, const BatchNormBackward& arguments);
};

const BatchNormOps& batch_norm(Isa isa);

}  // namespace ps::kernels
