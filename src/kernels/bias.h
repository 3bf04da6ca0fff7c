// A bias per channel over [batch, channels, plane]; plane = height * width, or 1.
#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace ps::kernels {

struct Bias {
  std::int64_t batch = 0;
  std::int64_t channels = 0;
  std::int64_t plane = 1;
};

struct BiasOps {
  // y += bias [channels], in place.
  void (*forward)(const Bias& shape, const float* bias, float* y);
  // dbias [channels] = sum of dy over batch and plane.
  void (*backward)(const Bias& shape, const float* dy, float* dbias);
};

const BiasOps& bias(Isa isa);

}  // namespace ps::kernels
