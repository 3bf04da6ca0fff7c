// The tensors that a network learns or tracks: what they are, not their memory.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ps/options.h>

namespace ps::nn {

// How a parameter's first values are made.
struct Init {
  enum class Kind {
    kConstant,  // every element = value
    kUniform,   // independent, uniform in [-value, value)
  };
  Kind kind = Kind::kConstant;
  float value = 0.0F;
};

// Uniform with variance 2 / fan_in, which keeps the scale of activations through layers with ReLU
// (He et al., 2015). fan_in: how many inputs one output sums; > 0.
Init kaiming(std::int64_t fan_in);

struct Parameter {
  std::string name;                 // unique within its graph: "conv1.weight", "bn1.running_mean"
  std::vector<std::int64_t> shape;  // row-major
  // kTrained: its gradient is a gradient. kAverage: its "gradient" is a new value to be averaged.
  ParameterKind kind = ParameterKind::kTrained;
  Init init = {};

  // The number of elements.
  [[nodiscard]] std::int64_t size() const noexcept;
};

// Fills `values` as parameter.init says. The same seed and name give the same bits on every
// machine, whatever other parameters there are. Throws kInvalidArgument when values.size() !=
// size().
void initialize(const Parameter& parameter, std::uint64_t seed, std::span<float> values);

}  // namespace ps::nn
