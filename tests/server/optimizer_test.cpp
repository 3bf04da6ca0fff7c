// Every rule against published numbers and against float64, and the rules of combining
// contributions. Bits and instruction sets: tests/kernels/update_test.cpp.
#include "server/optimizer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <ps/error.h>

#include "base/random.h"
#include "kernels/isa.h"
#include "kernels/reduce.h"
#include "support/catch.h"

namespace ps::server {
namespace {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

ModelOptions with(ps::Optimizer rule) {
  ModelOptions options;
  options.optimizer = std::move(rule);
  return options;
}

float decay_of(const ps::Optimizer& rule) {
  return std::visit([](const auto& r) { return r.weight_decay; }, rule);
}

Floats random_floats(std::size_t count, std::uint64_t seed, double low, double high) {
  Random random(seed);
  Floats values(count);
  for (float& value : values) value = static_cast<float>(random.uniform(low, high));
  return values;
}

void check_close(const Floats& actual, const Doubles& expected) {
  REQUIRE(actual.size() == expected.size());
  double worst = 0.0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double error = std::abs(actual[i] - expected[i]) / std::abs(expected[i]);
    if (!(error <= worst)) worst = error;
  }
  CHECK(worst <= 2e-6);
}

// One parameter in training, updated in place.
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
};

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
  }));
  CAPTURE(vector.name);
  const Floats gradients[] = {{0.1F, -0.2F, 0.3F}, {-0.05F, 0.4F, 0.0F}, {0.2F, 0.1F, -0.6F}};
  Trainee trainee(with(vector.rule), {1.0F, -2.0F, 0.5F});
  for (std::size_t step = 0; step < 3; ++step) {
    CAPTURE(step);
    CHECK(trainee.apply(gradients[step]));
    check_close(trainee.weights, vector.after[step]);
    CHECK(trainee.state.lr == 0.1F);
  }
  CHECK(trainee.state.updates == 3);
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
    for (std::uint64_t k = 0; k < 3; ++k)
      gradients.push_back(random_floats(size, 10 * step + k, 0.1, 1.0));
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

TEST_CASE("optimizer: a stale gradient is applied at lr / max(1, staleness)", "[unit]") {
  ModelOptions options = with(Sgd{.lr = 0.1F});
  SECTION("async") {
    options.mode = Async{.staleness_aware = true};
  }
  SECTION("ssp") {
    options.mode = Ssp{.staleness_aware = true};
  }
  Trainee trainee(options, {1.0F}, 3);
  trainee.step.single = true;
  const std::pair<float, std::uint64_t> pushes[] = {{2.0F, 0}, {-1.5F, 1}, {1.0F, 2}};
  const double expected[] = {0.8, 0.95, 0.9};
  for (std::size_t i = 0; i < 3; ++i) {
    trainee.step.staleness = pushes[i].second;
    trainee.apply(Floats{pushes[i].first});
    check_close(trainee.weights, {expected[i]});
  }
  CHECK(trainee.state.lr == 0.05F);
}

TEST_CASE("optimizer: staleness alone changes nothing", "[unit]") {
  ModelOptions options = with(Sgd{.lr = 0.5F});
  options.mode = Async{};
  Trainee trainee(options, {1.0F});
  trainee.step.staleness = 10;
  trainee.step.single = true;
  trainee.apply(Floats{1.0F});
  CHECK(trainee.weights[0] == 0.5F);
}

TEST_CASE("optimizer: in async a gradient is applied as it stands", "[unit]") {
  // 49 * (1/49) / 49 is not 1/49 in float32.
  const Floats gradient{1.0F / 49.0F};
  Trainee trainee(with(Sgd{.lr = 1.0F}), {0.0F});
  trainee.step.single = true;
  trainee.apply({{.weight = 49.0, .values = gradient}});
  CHECK(trainee.weights[0] == -gradient[0]);
}

TEST_CASE("optimizer: a sum counts gradients, a mean counts samples", "[unit]") {
  ModelOptions options = with(Sgd{.lr = 1.0F});
  const Floats a{3.0F};
  const Floats b{5.0F};
  options.reduce = GENERATE(Reduce::kSum, Reduce::kMean);
  const bool sum = options.reduce == Reduce::kSum;
  Trainee trainee(options, {0.0F});
  const auto n = [&](double samples) {
    return trainee.optimizer.weight_of(ParameterKind::kTrained, samples);
  };
  CHECK(n(0.0) == 0.0);
  CHECK(n(32.0) == (sum ? 1.0 : 32.0));
  CHECK(trainee.optimizer.weight_of(ParameterKind::kAverage, 32.0) == 32.0);
  trainee.apply({{0, n(32.0), a}, {1, n(96.0), b}});
  CHECK(trainee.weights[0] == (sum ? -8.0F : -4.5F));
}

TEST_CASE("optimizer: Average takes the weighted mean in sync and a share in async", "[unit]") {
  ModelOptions options = with(Sgd{.lr = 0.1F, .momentum = 0.9F, .weight_decay = 0.5F});
  options.reduce = GENERATE(Reduce::kMean, Reduce::kSum);  // which is for gradients alone
  Trainee trainee(options, {2.0F, 4.0F}, 4);
  trainee.step.kind = ParameterKind::kAverage;
  const Floats a{1.0F, 0.0F};
  const Floats b{5.0F, 8.0F};
  SECTION("sync") {
    trainee.apply({{0, 3.0, a}, {1, 1.0, b}});
    CHECK(trainee.weights == Floats{2.0F, 2.0F});
  }
  SECTION("async") {
    trainee.step.single = true;
    trainee.apply({{0, 3.0, b}});
    CHECK(trainee.weights == Floats{2.75F, 5.0F});
  }
  CHECK(trainee.state.updates == 0);
  CHECK(trainee.state.lr == 0.0F);
}

TEST_CASE("optimizer: a weight is 0 or a number that float32 can work with", "[unit]") {
  CHECK(usable_weight(0.0));
  CHECK(usable_weight(1e-30));
  CHECK(usable_weight(1e30));
  const double bad = GENERATE(-1.0, 1e-300, 1e300, -std::numeric_limits<double>::infinity(),
                              std::numeric_limits<double>::quiet_NaN());
  CHECK_FALSE(usable_weight(bad));
}

TEST_CASE("optimizer: a contribution of n = 0 is left out", "[unit]") {
  const double n = 0.0;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Floats good{1.0F};
  const Floats bad{nan};
  Trainee trainee(with(Adam{.lr = 0.1F}), {1.0F});
  Trainee expected(with(Adam{.lr = 0.1F}), {1.0F});
  trainee.apply({{0, n, bad}, {1, 32.0, good}, {2, n, {}}});
  expected.apply({{1, 32.0, good}});
  CHECK(trainee.weights == expected.weights);

  SECTION("and if no other is there nothing happens") {
    const Floats before = trainee.weights;
    CHECK(trainee.apply({{0, n, bad}}));
    CHECK(trainee.weights == before);
    CHECK(trainee.state.updates == 1);
    CHECK(trainee.state.lr == 0.0F);
    Floats elsewhere(1, nan);
    trainee.optimizer.apply(
        trainee.step,
        {.old_weights = before, .new_weights = elsewhere, .folded = {}, .contributions = {}},
        trainee.state);
    CHECK(elsewhere == before);
  }
}

TEST_CASE("optimizer: folding early, late and never gives the same bits", "[unit]") {
  const std::size_t folded = GENERATE(0U, 1U, 2U, 3U);
  const auto kind = GENERATE(ParameterKind::kTrained, ParameterKind::kAverage);
  constexpr std::size_t kSize = 5000;
  const double n[] = {32.0, 31.0, 17.5};
  std::vector<Floats> gradients;
  std::vector<Contribution> contributions;
  for (std::uint64_t k = 0; k < 3; ++k) gradients.push_back(random_floats(kSize, k, -1.0, 1.0));
  for (std::uint32_t k = 0; k < 3; ++k) contributions.push_back({k, n[k], gradients[k]});
  const ModelOptions options = with(AdamW{});
  Trainee late(options, random_floats(kSize, 9, -1.0, 1.0));
  late.step.kind = kind;
  late.apply(contributions);

  Trainee early(options, random_floats(kSize, 9, -1.0, 1.0));
  early.step.kind = kind;
  const kernels::ReduceOps& ops = kernels::reduce(kernels::best_isa());
  Floats sum(folded > 0 ? kSize : 0);
  double weight = 0.0;
  for (std::size_t k = 0; k < folded; ++k) {
    (k == 0 ? ops.start : ops.add)(sum.data(), gradients[k].data(), static_cast<float>(n[k]),
                                   kSize);
    weight += n[k];
  }
  early.optimizer.apply(early.step,
                        {.old_weights = early.weights,
                         .new_weights = early.weights,
                         .folded = sum,
                         .folded_weight = weight,
                         .contributions = std::span(contributions).subspan(folded)},
                        early.state);
  CHECK(early.weights == late.weights);
}

TEST_CASE("optimizer: keeps the state that its rule needs and no more", "[unit]") {
  CHECK(Optimizer(with(Sgd{}), 1).state_floats_per_element() == 0);
  CHECK(Optimizer(with(Sgd{.momentum = 0.9F}), 1).state_floats_per_element() == 1);
  CHECK(Optimizer(with(Adam{}), 1).state_floats_per_element() == 2);
  CHECK(Optimizer(with(AdamW{}), 1).make_state(7).floats.size() == 2 * 7 * sizeof(float));
  const auto state = Optimizer(with(Adam{}), 1).make_state(5);
  CHECK(std::ranges::all_of(state.floats.as<float>(), [](float x) { return x == 0.0F; }));
}

TEST_CASE("optimizer: tells when finite gradients overflow the weights", "[unit]") {
  Trainee trainee(with(Sgd{.lr = 1.0F}), {1.0F, 1.0F});
  CHECK(trainee.apply(Floats{1.0F, 2.0F}));
  CHECK_FALSE(trainee.apply({{0, 1e10, Floats{1e38F, 0.0F}}}));
}

TEST_CASE("optimizer: options that mean nothing are refused by the field's name", "[unit]") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto [field, rule] = GENERATE_COPY(table<const char*, ps::Optimizer>({
      {"optimizer.lr", Sgd{.lr = -0.1F}},
      {"optimizer.lr", Adam{.lr = nan}},
      {"optimizer.momentum", Sgd{.momentum = 1.0F}},
      {"optimizer.momentum", Sgd{.momentum = -0.5F}},
      {"optimizer.momentum", Sgd{.nesterov = true}},
      {"optimizer.weight_decay", Sgd{.weight_decay = -1.0F}},
      {"optimizer.beta1", Adam{.beta1 = 1.0F}},
      {"optimizer.beta2", AdamW{.beta2 = nan}},
      {"optimizer.epsilon", AdamW{.epsilon = 0.0F}},
      {"optimizer.weight_decay", AdamW{.weight_decay = std::numeric_limits<float>::infinity()}},
  }));
  CAPTURE(field);
  CHECK_THROWS_WITH(Optimizer(with(rule), 1), Catch::StartsWith(field));

  ModelOptions options;
  options.schedule.kind = Schedule::Kind::kCosine;
  CHECK_THROWS_AS(Optimizer(options, 1), Error);
}

}  // namespace
}  // namespace ps::server
