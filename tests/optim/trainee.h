// What the optimizers' tests share: one parameter in training, and comparison with float64.
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>
#include <variant>
#include <vector>

#include "base/random.h"
#include "optim/optimizer.h"
#include "support/catch.h"

namespace ps::optim {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

inline ModelOptions with(ps::Optimizer rule) {
  ModelOptions options;
  options.optimizer = std::move(rule);
  return options;
}

inline float decay_of(const ps::Optimizer& rule) {
  return std::visit(
      [](const auto& r) {
        if constexpr (requires { r.weight_decay; }) return r.weight_decay;
        return 0.0F;
      },
      rule);
}

inline Floats random_floats(std::size_t count, std::uint64_t seed, double low, double high) {
  Random random(seed);
  Floats values(count);
  for (float& value : values) value = static_cast<float>(random.uniform(low, high));
  return values;
}

// Within 2e-6 relative; an expected 0 must be met exactly.
inline void check_close(const Floats& actual, const Doubles& expected) {
  REQUIRE(actual.size() == expected.size());
  double worst = 0.0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (actual[i] == expected[i]) continue;
    const double error = std::abs(actual[i] - expected[i]) / std::abs(expected[i]);
    if (!(error <= worst)) worst = error;
  }
  CHECK(worst <= 2e-6);
}

// Updated in place.
struct Trainee {
  Optimizer optimizer;
  Optimizer::Step step;
  Floats weights;
  Optimizer::ChunkState state;

  Trainee(const ModelOptions& options, Floats initial, std::uint32_t workers = 1)
      : optimizer(options, workers),
        step{.weight_decay = decay_of(options.optimizer)},
        weights(std::move(initial)),
        state(optimizer.make_state(weights.size())) {}

  bool apply(const std::vector<Contribution>& contributions) {
    return optimizer.apply(step,
                           {.old_weights = weights,
                            .new_weights = weights,
                            .folded = {},
                            .contributions = contributions},
                           state);
  }
  bool apply(const Floats& gradient) { return apply({{.weight = 1.0, .values = gradient}}); }

  // State k of every element.
  [[nodiscard]] Floats states(std::size_t k) const {
    const auto all = state.floats.as<float>().subspan(k * weights.size(), weights.size());
    return {all.begin(), all.end()};
  }
};

}  // namespace ps::optim
