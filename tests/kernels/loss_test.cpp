// Softmax cross-entropy and the fully connected layer against float64.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/gemm.h"
#include "kernels/linear.h"
#include "kernels/reference.h"
#include "kernels/softmax_cross_entropy.h"
#include "support/catch.h"

namespace ps::kernels {

TEST_CASE("softmax_cross_entropy: loss, gradient and count equal the float64 reference", "[unit]") {
  const Isa isa = any_isa();
  const std::size_t batch = GENERATE(1U, 5U, 33U);
  const std::size_t classes = GENERATE(2U, 10U, 37U);
  const double scale = GENERATE(1.0, 200.0);  // the large one overflows without its maximum
  const auto logits = random_floats(static_cast<std::int64_t>(batch * classes), 5, -scale, scale);
  std::vector<std::int32_t> labels;
  for (std::size_t n = 0; n < batch; ++n)
    labels.push_back(static_cast<std::int32_t>(n * 7 % classes));
  if (batch > 2) {
    labels[1] = -1;
    labels[2] = static_cast<std::int32_t>(classes);
  }
  const std::size_t samples = batch > 2 ? batch - 2 : batch;
  double loss = 0.0;
  std::int64_t correct = 0;
  std::vector<double> gradient(logits.size(), 0.0);
  for (std::size_t n = 0; n < batch; ++n) {
    const auto label = static_cast<std::size_t>(labels[n]);
    if (label >= classes) continue;
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>(n * classes);
    const auto best = std::max_element(row, row + static_cast<std::ptrdiff_t>(classes));
    double total = 0.0;
    for (std::size_t i = 0; i < classes; ++i)
      total += std::exp(double{row[static_cast<std::ptrdiff_t>(i)]} - double{*best});
    loss += std::log(total) + double{*best} - double{logits[n * classes + label]};
    if (best - row == labels[n]) ++correct;
    for (std::size_t i = 0; i < classes; ++i) {
      const double share = std::exp(double{logits[n * classes + i]} - double{*best}) / total;
      gradient[n * classes + i] = (share - (i == label ? 1.0 : 0.0)) / static_cast<double>(samples);
    }
  }
  CAPTURE(to_string(isa), batch, classes, scale);
  const SoftmaxCrossEntropy shape{.batch = static_cast<std::int64_t>(batch),
                                  .classes = static_cast<std::int64_t>(classes)};
  std::vector<float> dlogits(logits.size(), NAN);
  const ClassificationLoss result =
      softmax_cross_entropy(isa).run(shape, logits.data(), labels.data(), dlogits.data());
  REQUIRE(result.loss == Approx(loss / static_cast<double>(samples)).epsilon(1e-6));
  REQUIRE(result.samples == static_cast<std::int64_t>(samples));
  REQUIRE(result.correct == correct);
  REQUIRE(worst_error(dlogits, gradient) < 1e-6);
  // Without a gradient: the same numbers.
  const ClassificationLoss only =
      softmax_cross_entropy(isa).run(shape, logits.data(), labels.data(), nullptr);
  REQUIRE(only.loss == result.loss);
  REQUIRE(only.correct == correct);
}

TEST_CASE("softmax_cross_entropy: no valid sample gives zero, a NaN gives NaN", "[unit]") {
  const Isa isa = any_isa();
  const std::vector<std::int32_t> none{-1};
  const std::vector<std::int32_t> first{0};
  std::vector<float> logits{1.0F, NAN, 3.0F};
  std::vector<float> gradient(3, 1.0F);
  const SoftmaxCrossEntropy shape{.batch = 1, .classes = 3};
  const auto empty =
      softmax_cross_entropy(isa).run(shape, logits.data(), none.data(), gradient.data());
  REQUIRE(empty.loss == 0.0);
  REQUIRE(empty.samples == 0);
  REQUIRE(gradient == std::vector<float>(3, 0.0F));
  const auto broken =
      softmax_cross_entropy(isa).run(shape, logits.data(), first.data(), gradient.data());
  REQUIRE(std::isnan(broken.loss));
  REQUIRE(std::isnan(gradient[0]));
}

TEST_CASE("linear: forward and gradients equal the float64 loops", "[unit]") {
  const Isa isa = any_isa();
  const std::size_t batch = GENERATE(1U, 7U);
  const std::size_t inputs = GENERATE(1U, 35U, 400U);
  const std::size_t outputs = GENERATE(1U, 10U);
  const auto random = [](std::size_t count, std::uint64_t seed) {
    return random_floats(static_cast<std::int64_t>(count), seed);
  };
  const auto x = random(batch * inputs, 1);
  const auto weights = random(outputs * inputs, 2);
  const auto bias = random(outputs, 3);
  const auto dy = random(batch * outputs, 4);
  std::vector<double> y_expected(dy.size());
  std::vector<double> dx_expected(x.size());
  std::vector<double> dweights_expected(weights.size());
  std::vector<double> dbias_expected(bias.size());
  for (std::size_t n = 0; n < batch; ++n) {
    for (std::size_t o = 0; o < outputs; ++o) {
      const double gradient = double{dy[n * outputs + o]};
      y_expected[n * outputs + o] = double{bias[o]};
      dbias_expected[o] += gradient;
      for (std::size_t i = 0; i < inputs; ++i) {
        y_expected[n * outputs + o] += double{x[n * inputs + i]} * double{weights[o * inputs + i]};
        dx_expected[n * inputs + i] += gradient * double{weights[o * inputs + i]};
        dweights_expected[o * inputs + i] += gradient * double{x[n * inputs + i]};
      }
    }
  }
  CAPTURE(to_string(isa), batch, inputs, outputs);
  std::vector<float> workspace(kGemmWorkspaceFloats);
  const Linear layer{.batch = static_cast<std::int64_t>(batch),
                     .inputs = static_cast<std::int64_t>(inputs),
                     .outputs = static_cast<std::int64_t>(outputs),
                     .workspace = workspace.data()};
  std::vector<float> y(dy.size(), NAN);
  linear(isa).forward(layer, x.data(), weights.data(), bias.data(), y.data());
  REQUIRE(worst_error(y, y_expected) < 1e-4);
  std::vector<float> dx(x.size(), NAN);
  linear(isa).backward_data(layer, dy.data(), weights.data(), dx.data());
  REQUIRE(worst_error(dx, dx_expected) < 1e-4);
  std::vector<float> dweights(weights.size(), NAN);
  std::vector<float> dbias(bias.size(), NAN);
  linear(isa).backward_weights(layer, x.data(), dy.data(), dweights.data(), dbias.data());
  REQUIRE(worst_error(dweights, dweights_expected) < 1e-4);
  REQUIRE(worst_error(dbias, dbias_expected) < 1e-5);
}

}  // namespace ps::kernels
