// Batch normalization against float64; its gradients against central differences of that reference.
#include "kernels/batch_norm.h"

#include <cmath>
#include <vector>

#include "kernels/reference.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

struct Reference {
  std::vector<double> y;
  std::vector<double> mean;
  std::vector<double> variance;
};

Reference normalize(const BatchNorm& norm,
                    const std::vector<double>& x,
                    const std::vector<double>& gamma,
                    const std::vector<double>& beta) {
  const auto channels = static_cast<std::size_t>(norm.channels);
  const auto plane = static_cast<std::size_t>(norm.plane);
  const double count = static_cast<double>(norm.batch * norm.plane);
  Reference r{std::vector<double>(x.size()), std::vector<double>(channels),
              std::vector<double>(channels)};
  const auto channel = [&](std::size_t i) { return i / plane % channels; };
  for (std::size_t i = 0; i < x.size(); ++i) r.mean[channel(i)] += x[i] / count;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double deviation = x[i] - r.mean[channel(i)];
    r.variance[channel(i)] += deviation * deviation / count;
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = channel(i);
    r.y[i] =
        gamma[c] * (x[i] - r.mean[c]) / std::sqrt(r.variance[c] + double{norm.epsilon}) + beta[c];
    if (norm.silu) r.y[i] /= 1.0 + std::exp(-r.y[i]);
  }
  return r;
}

std::vector<double> widen(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

// d(sum of dy * y) / d(values[i]) for every i.
template <class Output>
std::vector<double> differences(std::vector<double> values,
                                const std::vector<float>& dy,
                                const Output& output) {
  std::vector<double> result;
  const double step = 1e-5;
  for (double& value : values) {
    const double middle = value;
    double difference = 0.0;
    for (const double sign : {1.0, -1.0}) {
      value = middle + sign * step;
      const std::vector<double> y = output(values);
      for (std::size_t i = 0; i < dy.size(); ++i) difference += sign * double{dy[i]} * y[i];
    }
    value = middle;
    result.push_back(difference / (2.0 * step));
  }
  return result;
}

struct Arrays {
  std::vector<float> x, gamma, beta, dy;
  BatchNorm norm;
};

Arrays arrays(std::int64_t batch, std::int64_t channels, std::int64_t plane) {
  Arrays a{.x = random_floats(batch * channels * plane, 1, -1.0, 3.0),
           .gamma = random_floats(channels, 2, 0.5, 1.5),
           .beta = random_floats(channels, 3),
           .dy = random_floats(batch * channels * plane, 4),
           .norm = {}};
  a.norm = {.batch = batch,
            .channels = channels,
            .plane = plane,
            .gamma = a.gamma.data(),
            .beta = a.beta.data()};
  return a;
}

}  // namespace

TEST_CASE("batch_norm: forward equals the float64 reference", "[unit]") {
  const Isa isa = any_isa();
  const std::int64_t batch = GENERATE(1, 3);
  const std::int64_t channels = GENERATE(1, 5);
  const std::int64_t plane = GENERATE(2, 49, 5000);
  Arrays a = arrays(batch, channels, plane);
  a.norm.silu = GENERATE(false, true);
  CAPTURE(to_string(isa), batch, channels, plane, a.norm.silu);
  const Reference expected = normalize(a.norm, widen(a.x), widen(a.gamma), widen(a.beta));
  std::vector<float> y(a.x.size(), NAN);
  std::vector<float> mean(a.gamma.size(), NAN);
  std::vector<float> variance(a.gamma.size(), NAN);
  batch_norm(isa).forward_training(a.norm, a.x.data(), y.data(), mean.data(), variance.data());
  REQUIRE(worst_error(y, expected.y) < 1e-5);
  REQUIRE(worst_error(mean, expected.mean) < 1e-5);
  REQUIRE(worst_error(variance, expected.variance) < 1e-5);

  // Evaluation by the same statistics is the same arithmetic.
  std::vector<float> again = a.x;
  batch_norm(isa).forward_evaluation(a.norm, again.data(), again.data(), mean.data(),
                                     variance.data());
  REQUIRE(again == y);
}

TEST_CASE("batch_norm: gradients equal central differences", "[unit]") {
  const Isa isa = any_isa();
  const std::int64_t batch = GENERATE(1, 3);
  const std::int64_t plane = GENERATE(5, 17);
  Arrays a = arrays(batch, 3, plane);
  a.norm.silu = GENERATE(false, true);
  const auto x = widen(a.x);
  const auto gamma = widen(a.gamma);
  const auto beta = widen(a.beta);
  const auto dx_expected = differences(
      x, a.dy, [&](const auto& values) { return normalize(a.norm, values, gamma, beta).y; });
  const auto dgamma_expected = differences(
      gamma, a.dy, [&](const auto& values) { return normalize(a.norm, x, values, beta).y; });
  const auto dbeta_expected = differences(
      beta, a.dy, [&](const auto& values) { return normalize(a.norm, x, gamma, values).y; });

  std::vector<float> y(a.x.size());
  std::vector<float> mean(3);
  std::vector<float> variance(3);
  batch_norm(isa).forward_training(a.norm, a.x.data(), y.data(), mean.data(), variance.data());
  std::vector<float> dx = a.dy;  // in place
  std::vector<float> dgamma(3, NAN);
  std::vector<float> dbeta(3, NAN);
  batch_norm(isa).backward(a.norm, {.x = a.x.data(),
                                    .mean = mean.data(),
                                    .variance = variance.data(),
                                    .dy = dx.data(),
                                    .dx = dx.data(),
                                    .dgamma = dgamma.data(),
                                    .dbeta = dbeta.data()});
  CAPTURE(to_string(isa), batch, plane, a.norm.silu);
  REQUIRE(worst_error(dx, dx_expected) < 1e-4);
  REQUIRE(worst_error(dgamma, dgamma_expected) < 1e-4);
  REQUIRE(worst_error(dbeta, dbeta_expected) < 1e-4);

  // The parameters' gradients alone are the same.
  std::vector<float> dgamma_alone(3, NAN);
  std::vector<float> dbeta_alone(3, NAN);
  batch_norm(isa).backward(a.norm, {.x = a.x.data(),
                                    .mean = mean.data(),
                                    .variance = variance.data(),
                                    .dy = a.dy.data(),
                                    .dgamma = dgamma_alone.data(),
                                    .dbeta = dbeta_alone.data()});
  REQUIRE(dgamma_alone == dgamma);
  REQUIRE(dbeta_alone == dbeta);
}

TEST_CASE("batch_norm: every instruction set gives the same bits", "[unit]") {
  const Isa isa = any_isa();
  Arrays a = arrays(2, 3, 171);
  a.norm.silu = GENERATE(false, true);
  const auto run = [&](Isa which) {
    const std::size_t size = a.x.size();
    std::vector<float> result(2 * size + 12);
    float* mean = result.data() + size;
    float* dx = mean + 6;
    batch_norm(which).forward_training(a.norm, a.x.data(), result.data(), mean, mean + 3);
    batch_norm(which).backward(a.norm, {.x = a.x.data(),
                                        .mean = mean,
                                        .variance = mean + 3,
                                        .dy = a.dy.data(),
                                        .dx = dx,
                                        .dgamma = dx + size,
                                        .dbeta = dx + size + 3});
    return result;
  };
  REQUIRE(run(isa) == run(Isa::kScalar));
}

}  // namespace ps::kernels
