// How long a worker's steps take: drawn from a seed, and what is known of them beforehand.
#pragma once

#include <cstdint>
#include <string>

#include "base/random.h"

namespace pssim {

// What --compute says: "constant", "exponential" or "lognormal:SIGMA".
struct ComputeShape {
  enum class Kind : std::uint8_t { kConstant, kExponential, kLognormal };
  Kind kind = Kind::kConstant;
  double sigma = 0.0;  // of the logarithm
};
// Throws ps::Error(kInvalidArgument), which says what is understood.
ComputeShape parse_compute(const std::string& text);

struct ComputeTime {
  ComputeShape shape;
  double mean_seconds = 0.1;  // of a worker that is not slow
  double straggler = 1.0;     // the last worker takes so many times as long, always

  // Of one step of `rank`, with the worker's own stream of numbers.
  double draw(bool slow, ps::Random& random) const;
  [[nodiscard]] bool is_random() const { return shape.kind != ComputeShape::Kind::kConstant; }
};

// The expectation of the longest of `workers` steps, seconds: what a synchronous step waits for.
// By integration; the last worker is the slow one.
double expected_longest(const ComputeTime& time, std::uint32_t workers);

}  // namespace pssim
