// Activation functions, elementwise.
#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace ps::kernels {

enum class ActivationKind {
  kRelu,       // max(x, 0)
  kLeakyRelu,  // x > 0 ? x : slope * x
  kSilu,       // x / (1 + e^-x)
};

struct Activation {
  ActivationKind kind = ActivationKind::kRelu;
  float slope = 0.0F;  // kLeakyRelu only
};

// The same bits on every instruction set. Arrays of `count`; the output may be one of the inputs,
// but may not overlap it otherwise.
struct ActivationOps {
  // y = f(x).
  void (*forward)(const Activation& f, const float* x, float* y, std::int64_t count);
  // dx = dy * f'(x). For kRelu, and kLeakyRelu of positive slope, y may be given as x: it has its
  // sign, so that forward may work in place. At 0 the derivative from the left is taken.
  void (*backward)(
      const Activation& f, const float* x, const float* dy, float* dx, std::int64_t count);
};

const ActivationOps& activation(Isa isa);

}  // namespace ps::kernels
