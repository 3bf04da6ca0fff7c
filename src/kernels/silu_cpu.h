// SiLU of values that are computed on the way, for the files compiled per instruction set (isa.h).
// In two loops over pieces that stay in the first-level cache: in one, a value's operations are so
// long a chain that a core cannot look far enough ahead (a tenth slower). Not for other files.
#pragma once

#include <cstdint>

#include "kernels/activation_math.h"
#include "kernels/lanes.h"

namespace ps::kernels::PS_ISA {

constexpr std::int64_t kSiluPiece = 512;

// at(i): the input, z, of the function.
template <class Input>
static inline void silu(const Input& at, float* y, std::int64_t count) {
  float input[kSiluPiece];
  float power[kSiluPiece];
  for (std::int64_t first = 0; first < count; first += kSiluPiece) {
    const std::int64_t piece = count - first < kSiluPiece ? count - first : kSiluPiece;
    float* out = y + first;
    for (std::int64_t i = 0; i < piece; ++i) {
      input[i] = at(first + i);
      power[i] = exponential(-input[i]);
    }
    for (std::int64_t i = 0; i < piece; ++i) out[i] = Silu::forward(input[i], power[i]);
  }
}

// dx may be dy.
template <class Input>
static inline void silu_backward(const Input& at, const float* dy, float* dx, std::int64_t count) {
  float input[kSiluPiece];
  float power[kSiluPiece];
  for (std::int64_t first = 0; first < count; first += kSiluPiece) {
    const std::int64_t piece = count - first < kSiluPiece ? count - first : kSiluPiece;
    const float* slope = dy + first;
    float* out = dx + first;
    for (std::int64_t i = 0; i < piece; ++i) {
      input[i] = at(first + i);
      power[i] = exponential(-input[i]);
    }
    PS_INDEPENDENT_LOOP
    for (std::int64_t i = 0; i < piece; ++i) {
      out[i] = Silu::backward(input[i], slope[i], power[i]);
    }
  }
}

}  // namespace ps::kernels::PS_ISA
