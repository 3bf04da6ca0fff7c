// One register of floats, for the files compiled per instruction set (isa.h) that place their
// registers by hand. Arithmetic on it is the compiler's. Not for other files.
#pragma once

#include <cstdint>

namespace ps::kernels::PS_ISA {

#if defined(__AVX512F__)
constexpr std::int64_t kLanes = 16;
#elif defined(__AVX2__)
constexpr std::int64_t kLanes = 8;
#else
constexpr std::int64_t kLanes = 4;
#endif

using Vector __attribute__((vector_size(kLanes * sizeof(float)))) = float;

static inline Vector load(const float* from) {
  Vector value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}

static inline void store(float* to, Vector value) {
  __builtin_memcpy(to, &value, sizeof value);
}

static inline Vector broadcast(float value) {
  return value - Vector{};  // not +: 0 + -0 is 0
}

// Of the lanes, in an order that depends on their number alone.
static inline float sum_lanes(Vector value) {
  float lanes[kLanes];
  store(lanes, value);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

}  // namespace ps::kernels::PS_ISA
