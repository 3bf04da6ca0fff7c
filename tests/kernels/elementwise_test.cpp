// Activations, bias, addition: against float64, and bit for bit between instruction sets.
#include <cmath>
#include <vector>

#include "kernels/activation.h"
#include "kernels/activation_math.h"
#include "kernels/add.h"
#include "kernels/bias.h"
#include "kernels/reference.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

double value(const Activation& f, double x) {
  if (f.kind == ActivationKind::kSilu) return x / (1.0 + std::exp(-x));
  if (x > 0.0) return x;
  return f.kind == ActivationKind::kRelu ? 0.0 : double{f.slope} * x;
}

double derivative(const Activation& f, double x) {
  // Central differences; for the piecewise linear ones exact away from 0.
  const double step = 1e-5;
  return (value(f, x + step) - value(f, x - step)) / (2.0 * step);
}

Activation any_activation() {
  return GENERATE(Activation{ActivationKind::kRelu}, Activation{ActivationKind::kLeakyRelu, 0.1F},
                  Activation{ActivationKind::kSilu});
}

}  // namespace

TEST_CASE("activation: exponential is exact to 2e-7 and total", "[unit]") {
  for (double x = -86.9; x < 86.9; x += 0.0371) {
    const auto argument = static_cast<float>(x);
    const double expected = std::exp(double{argument});
    CAPTURE(argument);
    REQUIRE(std::abs(double{exponential(argument)} - expected) < 2e-7 * expected);
  }
  REQUIRE(exponential(0.0F) == 1.0F);
  REQUIRE(exponential(-0.0F) == 1.0F);
  REQUIRE(std::isnan(exponential(NAN)));
  REQUIRE(exponential(-INFINITY) == exponential(-87.0F));
  REQUIRE(exponential(INFINITY) == exponential(87.0F));
  REQUIRE(exponential(-87.0F) > 0.0F);
}

TEST_CASE("activation: value and derivative equal the float64 reference", "[unit]") {
  const Isa isa = any_isa();
  const Activation f = any_activation();
  const std::int64_t count = GENERATE(0, 1, 7, 33, 1021);
  auto x = random_floats(count, 11, -9.0, 9.0);
  for (float& v : x) {
    if (std::abs(v) < 1e-3F) v = 0.5F;  // no central difference across the kink
  }
  const auto dy = random_floats(count, 12);
  std::vector<double> y_expected;
  std::vector<double> dx_expected;
  for (std::size_t i = 0; i < x.size(); ++i) {
    y_expected.push_back(value(f, double{x[i]}));
    dx_expected.push_back(double{dy[i]} * derivative(f, double{x[i]}));
  }
  CAPTURE(to_string(isa), static_cast<int>(f.kind), count);
  std::vector<float> y(x.size(), NAN);
  activation(isa).forward(f, x.data(), y.data(), count);
  REQUIRE(worst_error(y, y_expected) < 1e-6);

  SECTION("out of place") {
    std::vector<float> dx(x.size(), NAN);
    activation(isa).backward(f, x.data(), dy.data(), dx.data(), count);
    REQUIRE(worst_error(dx, dx_expected) < 1e-6);
  }
  SECTION("in place") {
    auto in_place = x;
    activation(isa).forward(f, in_place.data(), in_place.data(), count);
    REQUIRE(in_place == y);
    const bool from_output = f.kind != ActivationKind::kSilu;
    auto gradient = dy;
    activation(isa).backward(f, from_output ? y.data() : x.data(), gradient.data(), gradient.data(),
                             count);
    REQUIRE(worst_error(gradient, dx_expected) < 1e-6);
  }
}

TEST_CASE("activation: every instruction set gives the same bits", "[unit]") {
  const Isa isa = any_isa();
  const Activation f = any_activation();
  const auto x = random_floats(1021, 13, -100.0, 100.0);
  const auto dy = random_floats(1021, 14);
  std::vector<float> expected(x.size());
  std::vector<float> actual(x.size());
  activation(Isa::kScalar).forward(f, x.data(), expected.data(), 1021);
  activation(isa).forward(f, x.data(), actual.data(), 1021);
  REQUIRE(actual == expected);
  activation(Isa::kScalar).backward(f, x.data(), dy.data(), expected.data(), 1021);
  activation(isa).backward(f, x.data(), dy.data(), actual.data(), 1021);
  REQUIRE(actual == expected);
}

TEST_CASE("activation: a NaN stays visible", "[unit]") {
  const Isa isa = any_isa();
  const std::vector<float> x{1.0F, NAN, -1.0F};
  const std::vector<float> dy{1.0F, 1.0F, NAN};
  std::vector<float> y(3);
  activation(isa).forward({.kind = ActivationKind::kSilu}, x.data(), y.data(), 3);
  REQUIRE(std::isnan(y[1]));
  activation(isa).backward({.kind = ActivationKind::kSilu}, x.data(), dy.data(), y.data(), 3);
  REQUIRE(std::isnan(y[1]));
  REQUIRE(std::isnan(y[2]));
}

TEST_CASE("bias: added per channel, its gradient summed per channel", "[unit]") {
  const Isa isa = any_isa();
  const std::int64_t batch = GENERATE(1, 3);
  const std::int64_t channels = GENERATE(1, 5, 19);
  const std::int64_t plane = GENERATE(1, 7, 121, 5003);
  const auto b = random_floats(channels, 21);
  auto y = random_floats(batch * channels * plane, 22);
  std::vector<double> y_expected(y.begin(), y.end());
  std::vector<double> gradient_expected(b.size(), 0.0);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t channel = i / static_cast<std::size_t>(plane) % b.size();
    gradient_expected[channel] += double{y[i]};
    y_expected[i] += double{b[channel]};
  }
  CAPTURE(to_string(isa), batch, channels, plane);
  const Bias shape{.batch = batch, .channels = channels, .plane = plane};
  std::vector<float> gradient(b.size(), NAN);
  bias(isa).backward(shape, y.data(), gradient.data());
  REQUIRE(worst_error(gradient, gradient_expected) < 1e-5);
  bias(isa).forward(shape, b.data(), y.data());
  REQUIRE(worst_error(y, y_expected) < 1e-6);
}

TEST_CASE("add: sums elementwise, also onto an operand", "[unit]") {
  const Isa isa = any_isa();
  const std::int64_t count = GENERATE(0, 1, 31, 1024);
  auto a = random_floats(count, 31);
  const auto b = random_floats(count, 32);
  std::vector<float> expected;
  for (std::size_t i = 0; i < a.size(); ++i) expected.push_back(a[i] + b[i]);
  std::vector<float> y(a.size());
  add(isa).run(a.data(), b.data(), y.data(), count);
  REQUIRE(y == expected);
  add(isa).run(a.data(), b.data(), a.data(), count);
  REQUIRE(a == expected);
}

}  // namespace ps::kernels
