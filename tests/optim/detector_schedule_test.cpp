// What detectors are trained with: YOLOv5's, YOLOX's and darknet's rates, momentum and moving
// average, against numbers computed outside of ps. An iteration is a batch of 16 samples.
#include <array>
#include <cmath>
#include <cstdint>
#include <string>

#include "optim/groups.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"
#include "optim/trainee.h"
#include "support/catch.h"

namespace ps::optim {
namespace {

using Kind = Schedule::Kind;

constexpr std::uint64_t kBatch = 16;
constexpr std::uint64_t kEpoch = 50 * kBatch;  // 50 iterations
constexpr double kLr = 0.01;

// YOLOv5: 100 epochs, 3 of them with the warm-up.
Schedule yolo(Kind kind) {
  return {.kind = kind,
          .warmup_samples = 3 * kEpoch,
          .total_samples = 100 * kEpoch,
          .final_factor = 0.01F,
          .epoch_samples = kEpoch,
          .decay_from_start = true,
          .warmup_momentum = 0.8F};
}

ModelOptions yolo_options(Kind kind) {
  ModelOptions options = with(Sgd{.lr = 0.01F, .momentum = 0.937F, .nesterov = true});
  options.schedule = yolo(kind);
  options.groups = {{.pattern = "*.bias", .weight_decay = 0.0F, .warmup_start = 10.0F}};
  return options;
}

TEST_CASE("detector schedule: weights rise, biases fall, both to the decaying rate", "[unit]") {
  struct Golden {
    Kind kind;
    std::uint64_t iteration;
    double weight;
    double bias;
  };
  const auto golden = GENERATE(values<Golden>({
      {Kind::kLinear, 1, 0.00006667, 0.0994},
      {Kind::kCosine, 1, 0.00006667, 0.0994},
      {Kind::kLinear, 50, 0.00330033, 0.069967},
      {Kind::kCosine, 50, 0.00333252, 0.06999919},
      {Kind::kLinear, 75, 0.00495050, 0.05495050},
      {Kind::kCosine, 75, 0.00499878, 0.05499878},
      {Kind::kLinear, 149, 0.00973665, 0.01040332},
      {Kind::kLinear, 150, 0.00970300, 0.00970300},
      {Kind::kCosine, 150, 0.00997803, 0.00997803},
      {Kind::kLinear, 2500, 0.00505, 0.00505},
      {Kind::kCosine, 2500, 0.00505, 0.00505},
      {Kind::kLinear, 4999, 0.000199, 0.000199},
      {Kind::kCosine, 4999, 0.00010244, 0.00010244},
  }));
  CAPTURE(golden.iteration, golden.kind == Kind::kLinear);
  const ModelOptions options = yolo_options(golden.kind);
  const Optimizer optimizer(options, 1);
  const std::array<std::string, 2> names{"conv.weight", "conv.bias"};
  const auto rates = resolve_groups(options, names).rates;
  // The rate, as the change of a weight by a gradient of 1: without momentum, which is off by one
  // step of (1 + mu).
  for (std::size_t i = 0; i < 2; ++i) {
    Trainee trainee(options, {0.0F});
    optimizer.pace(rates[i], golden.iteration * kBatch, trainee.step);
    trainee.step.momentum = 0.0F;
    REQUIRE(trainee.apply(Floats{1.0F}));
    CHECK(-double{trainee.weights[0]} == Approx(i == 0 ? golden.weight : golden.bias).margin(6e-9));
    // What the program is told is the rate of the many.
    CHECK(double{trainee.state.lr} == Approx(golden.weight).margin(6e-9));
  }
}

TEST_CASE("detector schedule: the decay is that of the epoch, to the last of its samples",
          "[unit]") {
  const Schedule cosine = yolo(Kind::kCosine);
  constexpr std::pair<std::uint64_t, double> kGolden[] = {
      {1, 0.999756}, {25, 0.855018}, {50, 0.505}, {75, 0.154982}, {99, 0.010244}};
  Schedule plain = cosine;
  plain.warmup_samples = 0;
  for (const auto& [epoch, expected] : kGolden) {
    CAPTURE(epoch);
    CHECK(factor(plain, epoch * kEpoch) == Approx(expected).margin(6e-7));
    CHECK(factor(plain, (epoch + 1) * kEpoch - 1) == factor(plain, epoch * kEpoch));
    CHECK(factor(plain, (epoch + 1) * kEpoch) < factor(plain, epoch * kEpoch));
  }
  CHECK(factor(plain, 100 * kEpoch) == double{plain.final_factor});
  // Without epochs it decays within them too.
  plain.epoch_samples = 0;
  CHECK(factor(plain, 25 * kEpoch) == factor(cosine, 25 * kEpoch));
  CHECK(factor(plain, 25 * kEpoch + 1) < factor(plain, 25 * kEpoch));
}

TEST_CASE("detector schedule: from the warm-up's end on, an epoch's decay starts with 1",
          "[unit]") {
  const Schedule schedule{
      .kind = Kind::kLinear, .warmup_samples = 150, .total_samples = 550, .epoch_samples = 100};
  CHECK(factor(schedule, 75) == 0.5);
  CHECK(factor(schedule, 150) == 1.0);
  CHECK(factor(schedule, 199) == 1.0);
  CHECK(factor(schedule, 200) == 1.0 - 50.0 / 400);
  CHECK(factor(schedule, 299) == 1.0 - 50.0 / 400);
  CHECK(factor(schedule, 599) == 1.0 - 350.0 / 400);
  CHECK(factor(schedule, 600) == 0.0);
  const Schedule steps{.kind = Kind::kStep,
                       .warmup_samples = 40,
                       .step_samples = 150,
                       .step_gamma = 0.5F,
                       .epoch_samples = 100,
                       .decay_from_start = true};
  CHECK(factor(steps, 20) == 0.5);
  CHECK(factor(steps, 199) == 1.0);
  CHECK(factor(steps, 200) == 0.5);
}

TEST_CASE("detector schedule: momentum ramps with the warm-up", "[unit]") {
  const Schedule schedule = yolo(Kind::kLinear);
  constexpr std::pair<std::uint64_t, double> kGolden[] = {
      {0, 0.8}, {1, 0.800913}, {50, 0.845667}, {75, 0.8685}, {150, 0.937}, {4999, 0.937}};
  for (const auto& [iteration, expected] : kGolden) {
    CAPTURE(iteration);
    CHECK(double{momentum(schedule, 0.937F, iteration * kBatch)} == Approx(expected).margin(6e-7));
  }
  CHECK(momentum(schedule, 0.0F, 0) == 0.0F);
  CHECK(momentum({.warmup_samples = 100}, 0.9F, 0) == 0.9F);
}

TEST_CASE("detector schedule: YOLOX warms up by the square, darknet by the fourth power",
          "[unit]") {
  Schedule schedule{.warmup_samples = 1000, .warmup_power = 2};
  CHECK(factor(schedule, 500) == 0.25);
  schedule.warmup_power = 4;
  CHECK(factor(schedule, 500) == 0.0625);
  CHECK(factor(schedule, 1000) == 1.0);
  schedule.warmup_start = 0.5F;
  CHECK(factor(schedule, 0) == 0.5);
  CHECK(factor(schedule, 500) == 0.5 + 0.5 * 0.0625);
}

TEST_CASE("detector schedule: SGD and Adam take the momentum of the moment", "[unit]") {
  const ParameterRates rates{.lr_scale = 1.0F, .weight_decay = 0.0F, .warmup_start = 1.0F};
  const Schedule schedule{.warmup_samples = 4, .warmup_start = 1.0F, .warmup_momentum = 0.5F};
  const double g[] = {0.5, 0.25, -0.1, 0.75, -0.5, 0.3};
  const auto mu = [](std::size_t t) { return t < 4 ? 0.5 + 0.4 * double(t) / 4 : 0.9; };
  const auto train = [&](const ps::Optimizer& rule, std::size_t t, Trainee& trainee) {
    const Optimizer optimizer(
        [&] {
          ModelOptions options = with(rule);
          options.schedule = schedule;
          return options;
        }(),
        1);
    optimizer.pace(rates, t, trainee.step);
    REQUIRE(trainee.apply(Floats{static_cast<float>(g[t])}));
  };
  SECTION("SGD, both kinds") {
    const bool nesterov = GENERATE(false, true);
    const Sgd rule{.lr = 0.1F, .momentum = 0.9F, .nesterov = nesterov};
    Trainee trainee(with(rule), {1.0F});
    double w = 1;
    double v = 0;
    for (std::size_t t = 0; t < std::size(g); ++t) {
      train(rule, t, trainee);
      v = mu(t) * v + g[t];
      w -= 0.1 * (nesterov ? g[t] + mu(t) * v : v);
      CHECK(double{trainee.weights[0]} == Approx(w).epsilon(2e-6));
    }
  }
  SECTION("Adam, whose correction is by the present beta1") {
    const Adam rule{.lr = 0.1F, .beta2 = 0.99F};
    Trainee trainee(with(rule), {1.0F});
    double w = 1;
    double m = 0;
    double v = 0;
    for (std::size_t t = 0; t < std::size(g); ++t) {
      train(rule, t, trainee);
      m = mu(t) * m + (1 - mu(t)) * g[t];
      v = double{0.99F} * v + (1 - double{0.99F}) * g[t] * g[t];
      const double n = double(t) + 1;
      w -= 0.1 * (m / (1 - std::pow(mu(t), n))) / std::sqrt(v / (1 - std::pow(double{0.99F}, n)));
      CHECK(double{trainee.weights[0]} == Approx(w).epsilon(4e-6));
    }
  }
}

TEST_CASE("detector schedule: Nesterov's momentum is PyTorch's", "[unit]") {
  Trainee trainee(
      with(Sgd{.lr = 0.01F, .momentum = 0.937F, .nesterov = true, .weight_decay = 5e-4F}), {1.0F});
  const std::pair<float, double> golden[] = {
      {0.5F, 0.990305315000}, {0.25F, 0.981058989048}, {-0.1F, 0.976669819655}};
  for (const auto& [g, expected] : golden) {
    trainee.apply(Floats{g});
    check_close(trainee.weights, {expected});
  }
}

TEST_CASE("detector schedule: the moving average has YOLOv5's ramp", "[unit]") {
  ModelOptions options;
  options.ema = {.decay = 0.9999F, .tau = 2000.0F};
  const Optimizer optimizer(options, 1);
  Floats ema{1.0F};
  const std::pair<float, double> golden[] = {
      {2.0F, 1.999500174967}, {3.0F, 2.999000100258}, {5.0F, 4.997001050075}};
  std::uint64_t n = 0;
  for (const auto& [weight, expected] : golden) {
    optimizer.follow(Floats{weight}, ema, ++n);
    check_close(ema, {expected});
  }
  // d itself: what is left of 1 when the weights are 0.
  constexpr std::pair<std::uint64_t, double> kDecay[] = {{1, 0.000499825},
                                                         {2, 0.000999400},
                                                         {100, 0.048765698},
                                                         {2000, 0.632057347},
                                                         {10000, 0.993162727}};
  for (const auto& [updates, expected] : kDecay) {
    Floats one{1.0F};
    optimizer.follow(Floats{0.0F}, one, updates);
    CHECK(double{one[0]} == Approx(expected).epsilon(1e-6));
  }
}

}  // namespace
}  // namespace ps::optim
