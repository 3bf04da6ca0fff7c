#include <cmath>
#include <functional>
#include <numeric>

#include <ps/error.h>
#include <ps/nn/parameter.h>

#include "base/random.h"

namespace ps::nn {
namespace {

// FNV-1a: the random stream of a name.
std::uint64_t hash(const std::string& name) {
  std::uint64_t value = 0xcbf29ce484222325;
  for (const char c : name) {
    value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return value;
}

}  // namespace

Init kaiming(std::int64_t fan_in) {
  // A uniform distribution on [-b, b) has variance b^2 / 3. Uniform rather than normal, because it
  // takes no function of libm's, whose last bits differ between machines.
  return {.kind = Init::Kind::kUniform,
          .value = static_cast<float>(std::sqrt(6.0 / static_cast<double>(fan_in)))};
}

std::int64_t Parameter::size() const noexcept {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

void initialize(const Parameter& parameter, std::uint64_t seed, std::span<float> values) {
  if (static_cast<std::int64_t>(values.size()) != parameter.size()) {
    throw Error(ErrorCode::kInvalidArgument, parameter.name + ": expected memory for " +
                                                 std::to_string(parameter.size()) +
                                                 " values, got " + std::to_string(values.size()));
  }
  const float bound = parameter.init.value;
  Random random(seed, hash(parameter.name));
  for (float& value : values) {
    value = parameter.init.kind == Init::Kind::kConstant
                ? bound
                : static_cast<float>(random.uniform(-double{bound}, double{bound}));
  }
}

}  // namespace ps::nn
