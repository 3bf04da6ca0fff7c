// First values: the same everywhere, of the right scale.
#include <cmath>
#include <vector>

#include <ps/error.h>
#include <ps/nn/parameter.h>

#include "support/catch.h"

namespace ps::nn {

TEST_CASE("nn: first values depend on seed and name alone", "[unit]") {
  const Parameter weight{.name = "fc.weight", .shape = {10, 100}, .init = kaiming(100)};
  const Parameter other{.name = "fc2.weight", .shape = {10, 100}, .init = kaiming(100)};
  std::vector<float> a(1000);
  std::vector<float> b(1000);
  initialize(weight, 7, a);
  initialize(weight, 7, b);
  REQUIRE(a == b);
  initialize(weight, 8, b);
  REQUIRE(a != b);
  initialize(other, 7, b);
  REQUIRE(a != b);
}

TEST_CASE("nn: Kaiming's variance is 2 / fan_in, within its bound", "[unit]") {
  const std::int64_t fan_in = GENERATE(9, 288, 4096);
  const Parameter weight{.name = "w", .shape = {50000}, .init = kaiming(fan_in)};
  std::vector<float> values(50000);
  initialize(weight, 1, values);
  double squares = 0.0;
  double sum = 0.0;
  for (const float value : values) {
    REQUIRE(std::abs(value) <= weight.init.value);
    squares += double{value} * double{value};
    sum += double{value};
  }
  const double variance = 2.0 / static_cast<double>(fan_in);
  REQUIRE(squares / 50000.0 == Approx(variance).epsilon(0.02));
  REQUIRE(std::abs(sum / 50000.0) < 4.0 * std::sqrt(variance / 50000.0));
}

TEST_CASE("nn: memory of the wrong size is refused by name", "[unit]") {
  const Parameter weight{.name = "fc.bias", .shape = {3}};
  std::vector<float> values(4);
  REQUIRE_THROWS_WITH(initialize(weight, 1, values), Catch::Contains("fc.bias"));
}

}  // namespace ps::nn
