// Loops and sums for the files compiled per instruction set (isa.h): vectorised by the compiler,
// with the same bits on every one of them. Not for other files.
#pragma once

#include <cstdint>

// Before a loop whose iterations are independent, even where an output is an input (y == x).
#if defined(__clang__)
#define PS_INDEPENDENT_LOOP _Pragma("clang loop vectorize(assume_safety)")
#else
#define PS_INDEPENDENT_LOOP _Pragma("GCC ivdep")
#endif

namespace ps::kernels::PS_ISA {

// Sum of term(i) over [0, count): float in 16 lanes (a fixed order that vectors of every width
// can follow), float64 across blocks of 4096.
template <class Term>
static inline double sum(std::int64_t count, const Term& term) {
  constexpr std::int64_t kLanes = 16;
  constexpr std::int64_t kBlock = 4096;
  double total = 0.0;
  for (std::int64_t start = 0; start < count; start += kBlock) {
    const std::int64_t end = count - start < kBlock ? count : start + kBlock;
    float lanes[kLanes] = {};
    std::int64_t i = start;
    for (; i + kLanes <= end; i += kLanes) {
      for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
    }
    for (std::int64_t lane = 0; i < end; ++i, ++lane) lanes[lane] += term(i);
    // As a tree: one after the other they would cost more than a short array's terms.
    double halves[kLanes / 2];
    for (std::int64_t lane = 0; lane < kLanes / 2; ++lane) {
      halves[lane] = double{lanes[lane]} + double{lanes[lane + kLanes / 2]};
    }
    for (std::int64_t half = kLanes / 4; half > 0; half /= 2) {
      for (std::int64_t lane = 0; lane < half; ++lane) halves[lane] += halves[lane + half];
    }
    total += halves[0];
  }
  return total;
}

static inline void fill(float* y, std::int64_t count, float value) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = value;
}

}  // namespace ps::kernels::PS_ISA
