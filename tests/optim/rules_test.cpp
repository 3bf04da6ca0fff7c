// Every rule against published numbers and against float64. Bits and instruction sets:
// tests/kernels/update_test.cpp.
#include <array>
#include <cmath>
#include <cstdint>
#include <variant>
#include <vector>

#include "optim/optimizer.h"
#include "optim/trainee.h"
#include "support/catch.h"

namespace ps::optim {
namespace {

struct Vector {
  const char* name;
  ps::Optimizer rule;
  std::array<Doubles, 3> after;  // the weights after each step
};

TEST_CASE("optimizer: every rule gives the published numbers", "[unit]") {
  const auto vector = GENERATE(values<Vector>({
      {"sgd", Sgd{.lr = 0.1F}, {{{0.99, -1.98, 0.47}, {0.995, -2.02, 0.47}, {0.975, -2.03, 0.53}}}},
      {"momentum",
       Sgd{.lr = 0.1F, .momentum = 0.9F},
       {{{0.99, -1.98, 0.47}, {0.986, -2.002, 0.443}, {0.9624, -2.0318, 0.4787}}}},
      {"nesterov",
       Sgd{.lr = 0.1F, .momentum = 0.9F, .nesterov = true},
       {{{0.981, -1.962, 0.443}, {0.9824, -2.0218, 0.4187}, {0.94116, -2.05862, 0.51083}}}},
      {"momentum with L2",
       Sgd{.lr = 0.1F, .momentum = 0.9F, .weight_decay = 0.01F},
       {{{0.989, -1.978, 0.4695},
         {0.983111, -1.996222, 0.4415805},
         {0.956827789, -2.02062558, 0.47601137}}}},
      {"adam",
       Adam{.lr = 0.1F},
       {{{0.90000001, -1.9, 0.400000003},
         {0.873366309, -1.93661036, 0.332994181},
         {0.807555154, -1.97817547, 0.366997627}}}},
      {"adamw",
       AdamW{.lr = 0.1F, .weight_decay = 0.01F},
       {{{0.89900001, -1.898, 0.399500003},
         {0.871467309, -1.93271236, 0.332094681},
         {0.804784687, -1.97234476, 0.365766033}}}},
      {"adagrad",
       Adagrad{.lr = 0.1F},
       {{{0.9, -1.9, 0.4},
         {0.94472136, -1.98944272, 0.4},
         {0.857434204, -2.01126451, 0.489442719}}}},
      {"lars",
       Lars{.lr = 1.0F, .weight_decay = 0.01F},
       {{{0.99936526, -1.99873052, 0.498240039},
         {0.999009002, -1.99963031, 0.496629297},
         {0.997963359, -2.00071634, 0.497234042}}}},
      {"lamb",
       Lamb{.lr = 0.01F, .weight_decay = 0.01F},
       {{{0.986793339, -1.98666251, 0.486858632},
         {0.979023163, -1.99640291, 0.467871502},
         {0.961076952, -2.00703488, 0.476882398}}}},
  }));
  CAPTURE(vector.name);
  const Floats gradients[] = {{0.1F, -0.2F, 0.3F}, {-0.05F, 0.4F, 0.0F}, {0.2F, 0.1F, -0.6F}};
  Trainee trainee(with(vector.rule), {1.0F, -2.0F, 0.5F});
  for (std::size_t step = 0; step < 3; ++step) {
    CAPTURE(step);
    CHECK(trainee.apply(gradients[step]));
    check_close(trainee.weights, vector.after[step]);
    CHECK(trainee.state.lr == std::visit([](const auto& r) { return r.lr; }, vector.rule));
  }
  CHECK(trainee.state.updates == 3);
}

TEST_CASE("optimizer: FTRL gives the published numbers", "[unit]") {
  Trainee trainee(with(Ftrl{.lr = 0.1F, .beta = 1.0F, .l1 = 0.1F, .l2 = 1.0F}), Floats(3));
  trainee.apply(Floats{0.1F, -0.2F, 0.3F});
  check_close(trainee.weights, {0.0, 0.00769230769, -0.0142857143});
  trainee.apply(Floats{-0.05F, 0.4F, 0.0F});
  check_close(trainee.weights, {0.0, -0.00523415576, -0.0142857143});
  trainee.apply(Floats{0.2F, 0.1F, -0.6F});
  check_close(trainee.weights, {-0.0112855881, -0.0116515801, 0.00830268607});
  check_close(trainee.states(0), {0.25, 0.281561628, -0.247025658});
  check_close(trainee.states(1), {0.0525, 0.21, 0.45});
}

TEST_CASE("optimizer: FTRL keeps initial weights until a gradient moves them", "[unit]") {
  const Ftrl rule{.lr = 0.1F, .beta = GENERATE(0.0F, 1.0F), .l1 = 0.1F, .l2 = 1.0F};
  const Floats initial{1.0F, -2.0F, 0.5F, 0.0F};
  Trainee trainee(with(rule), initial);
  for (int step = 0; step < 3; ++step) CHECK(trainee.apply(Floats(4)));
  CHECK(trainee.weights == initial);

  trainee.apply(Floats{1e-3F, 1e-3F, 0.0F, 0.0F});
  // z0 = -w0 (beta / lr + l2) - sign(w0) l1 makes w0 the minimum that z0 stands for.
  Doubles expected{0.0, 0.0, 0.5, 0.0};
  for (std::size_t i = 0; i < 2; ++i) {
    const double w = initial[i];
    const double lr = rule.lr;
    const double z0 = -w * (rule.beta / lr + rule.l2) - (w > 0 ? 1 : -1) * double{rule.l1};
    const double z = z0 + 1e-3 - 1e-3 / lr * w;
    expected[i] = -(z - (z > 0 ? 1 : -1) * double{rule.l1}) / ((rule.beta + 1e-3) / lr + rule.l2);
    CHECK(std::abs(expected[i] - w) < 1e-2);
  }
  check_close(trainee.weights, expected);
}

TEST_CASE("optimizer: FTRL with a group's rate of 0 moves nothing", "[unit]") {
  Trainee trainee(with(Ftrl{}), {1.0F, -2.0F});
  trainee.step.lr_scale = 0.0F;
  CHECK(trainee.apply(Floats{3.0F, 4.0F}));
  CHECK(trainee.weights == Floats{1.0F, -2.0F});
}

// The textbook's formulas in float64, with Adam's corrections where its authors put them.
struct Reference {
  Doubles w, first, second;
  double updates = 0;

  void apply(const Sgd& rule, double lr, std::size_t i, double g) {
    g += static_cast<double>(rule.weight_decay) * w[i];
    first[i] = rule.momentum * first[i] + g;
    w[i] -= lr * (rule.nesterov ? g + rule.momentum * first[i] : first[i]);
  }
  void apply(const Adam& rule, double lr, std::size_t i, double g) {
    g += static_cast<double>(rule.weight_decay) * w[i];
    w[i] -= lr * direction(rule, i, g);
  }
  void apply(const AdamW& rule, double lr, std::size_t i, double g) {
    w[i] *= 1.0 - lr * rule.weight_decay;
    w[i] -= lr * direction(rule, i, g);
  }
  void apply(const Adagrad& rule, double lr, std::size_t i, double g) {
    g += static_cast<double>(rule.weight_decay) * w[i];
    first[i] += g * g;
    w[i] -= lr * g / (std::sqrt(first[i]) + rule.epsilon);
  }
  void apply(const RmsProp& rule, double lr, std::size_t i, double g) {
    g += static_cast<double>(rule.weight_decay) * w[i];
    first[i] = rule.alpha * first[i] + (1.0 - rule.alpha) * g * g;
    second[i] = rule.momentum * second[i] + g / (std::sqrt(first[i]) + rule.epsilon);
    w[i] -= lr * second[i];
  }
  void apply(const Ftrl& rule, double lr, std::size_t i, double g) {
    const double l1 = rule.l1;
    if (updates == 1) {
      first[i] = -w[i] * (rule.beta / lr + rule.l2) - (w[i] > 0 ? l1 : w[i] < 0 ? -l1 : 0.0);
    }
    const double root = std::sqrt(second[i] + g * g);
    first[i] += g - (root - std::sqrt(second[i])) / lr * w[i];
    second[i] += g * g;
    const double z = first[i];
    w[i] =
        std::abs(z) <= l1 ? 0.0 : -(z - (z > 0 ? l1 : -l1)) / ((rule.beta + root) / lr + rule.l2);
  }
  template <class Rule>
  void apply(const Rule& /*rule*/, double /*lr*/, std::size_t /*i*/, double /*g*/) {
    FAIL("this rule has no reference");
  }
  template <class Rule>
  double direction(const Rule& rule, std::size_t i, double g) {
    const double b1 = rule.beta1;
    const double b2 = rule.beta2;
    first[i] = b1 * first[i] + (1 - b1) * g;
    second[i] = b2 * second[i] + (1 - b2) * g * g;
    const double m = first[i] / (1 - std::pow(b1, updates));
    const double v = second[i] / (1 - std::pow(b2, updates));
    return m / (std::sqrt(v) + rule.epsilon);
  }
};

TEST_CASE("optimizer: three workers' mean agrees with float64", "[unit]") {
  const ps::Optimizer rule = GENERATE(values<ps::Optimizer>({
      Sgd{.lr = 0.01F, .weight_decay = 1e-3F},
      Sgd{.lr = 0.01F, .momentum = 0.9F},
      Sgd{.lr = 0.01F, .momentum = 0.9F, .nesterov = true, .weight_decay = 1e-3F},
      Adam{.lr = 0.01F, .weight_decay = 1e-3F},
      AdamW{.lr = 0.01F},
      Adagrad{.lr = 0.01F, .weight_decay = 1e-3F},
      RmsProp{.lr = 0.01F, .weight_decay = 1e-3F},
      RmsProp{.lr = 0.01F, .momentum = 0.9F},
      Ftrl{.lr = 0.1F, .l1 = 0.1F, .l2 = 0.5F},
  }));
  const std::size_t size = GENERATE(as<std::size_t>{}, 0, 1, 31, 1024, 100003);
  CAPTURE(optimizer_name(rule), size);
  const double n[] = {32.0, 7.0, 64.0};

  Trainee trainee(with(rule), random_floats(size, 1, 0.5, 1.5));
  trainee.step.lr_factor = 0.5;
  trainee.step.lr_scale = 0.5F;
  Reference reference{Doubles(trainee.weights.begin(), trainee.weights.end()), Doubles(size),
                      Doubles(size)};
  for (std::uint64_t step = 0; step < 3; ++step) {
    std::vector<Floats> gradients;
    std::vector<Contribution> contributions;
    for (std::uint64_t k = 0; k < 3; ++k) {
      gradients.push_back(random_floats(size, 10 * step + k, 0.1, 1.0));
    }
    for (std::uint32_t k = 0; k < 3; ++k) contributions.push_back({k, n[k], gradients[k]});
    CHECK(trainee.apply(contributions));
    reference.updates += 1;
    for (std::size_t i = 0; i < size; ++i) {
      double g = 0.0;
      for (std::size_t k = 0; k < 3; ++k) g += n[k] * gradients[k][i];
      g /= n[0] + n[1] + n[2];
      std::visit([&](const auto& r) { reference.apply(r, double{r.lr} / 4, i, g); }, rule);
    }
    check_close(trainee.weights, reference.w);
  }
}

TEST_CASE("optimizer: the moving average warms up and then keeps its decay", "[unit]") {
  ModelOptions options;
  options.ema = {.decay = 0.9F, .tau = GENERATE(0.0F, 10.0F)};
  const std::size_t size = GENERATE(as<std::size_t>{}, 0, 1, 31, 1024, 100003);
  CAPTURE(options.ema.tau, size);
  const Optimizer optimizer(options, 1);
  Floats ema = random_floats(size, 1, 0.5, 1.5);
  Doubles expected(ema.begin(), ema.end());
  for (const std::uint64_t updates : {1U, 2U, 30U, 4000000000U}) {
    const Floats weights = random_floats(size, updates, 0.5, 1.5);
    optimizer.follow(weights, ema, updates);
    const double ramp = options.ema.tau > 0 ? 1 - std::exp(-double(updates) / 10) : 1.0;
    const double keep = double{options.ema.decay} * ramp;
    for (std::size_t i = 0; i < size; ++i) {
      expected[i] = keep * expected[i] + (1 - keep) * weights[i];
    }
    check_close(ema, expected);
  }
}

}  // namespace
}  // namespace ps::optim
