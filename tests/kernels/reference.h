// What the kernels' tests share: numbers from a seed, and comparison with a float64 reference.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "kernels/isa.h"
#include "support/catch.h"

namespace ps::kernels {

// Uniform in [low, high).
inline std::vector<float> random_floats(std::int64_t count,
                                        std::uint64_t seed,
                                        double low = -1.0,
                                        double high = 1.0) {
  Random random(seed);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(random.uniform(low, high));
  return values;
}

// The largest |actual - expected| relative to max(1, |expected|).
template <class Expected>
double worst_error(const std::vector<float>& actual, const std::vector<Expected>& expected) {
  REQUIRE(actual.size() == expected.size());
  double worst = 0.0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double wanted = static_cast<double>(expected[i]);
    const double error =
        std::abs(static_cast<double>(actual[i]) - wanted) / std::max(1.0, std::abs(wanted));
    // A NaN must not pass for a small error.
    if (!(error <= worst)) worst = std::isnan(error) ? INFINITY : error;
  }
  return worst;
}

// Each test runs for every instruction set that this machine has: a Catch2 generator.
inline Isa any_isa() {
  const auto isas = available_isas();
  const Isa isa = GENERATE_COPY(from_range(isas.begin(), isas.end()));
  return isa;
}

}  // namespace ps::kernels
