// The rules of combining contributions, and what is neither a rule's formula (rules_test.cpp) nor a
// norm (norms_test.cpp). Bits and instruction sets: tests/kernels/update_test.cpp.
#include "optim/optimizer.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include <ps/error.h>

#include "kernels/isa.h"
#include "kernels/reduce.h"
#include "optim/trainee.h"
#include "support/catch.h"

namespace ps::optim {
namespace {

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

TEST_CASE("optimizer: Assign takes the last one's values as they are", "[unit]") {
  Trainee trainee(with(Adam{}), {2.0F, 4.0F}, 4);
  trainee.step.kind = ParameterKind::kAssign;
  trainee.step.clip = 0.5F;  // which is for gradients alone
  CHECK(trainee.optimizer.weight_of(ParameterKind::kAssign, 32.0) == 1.0);
  const Floats a{1.0F, 0.0F};
  const Floats b{0.1F, 8.0F};
  SECTION("of several the highest rank's") {
    trainee.apply({{0, 32.0, a}, {2, 7.0, b}, {3, 0.0, a}});
    CHECK(trainee.weights == b);
  }
  SECTION("in async the one that came") {
    trainee.step.single = true;
    trainee.apply({{0, 7.0, b}});
    CHECK(trainee.weights == b);
  }
  SECTION("what was kept before, if nothing came after it") {
    const Floats kept{9.0F, 9.0F};
    const bool more = GENERATE(false, true);
    std::vector<Contribution> later;
    if (more) later.push_back({2, 1.0, b});
    trainee.optimizer.apply(trainee.step,
                            {.old_weights = trainee.weights,
                             .new_weights = trainee.weights,
                             .folded = kept,
                             .folded_weight = 2.0,
                             .contributions = later},
                            trainee.state);
    CHECK(trainee.weights == (more ? b : kept));
  }
  CHECK(trainee.state.updates == 0);
  CHECK(trainee.state.lr == 0.0F);
}

TEST_CASE("optimizer: Add adds every worker's differences", "[unit]") {
  ModelOptions options = with(Sgd{.lr = 0.1F, .momentum = 0.9F, .weight_decay = 0.5F});
  options.reduce = GENERATE(Reduce::kMean, Reduce::kSum);  // which is for gradients alone
  Trainee trainee(options, {2.0F, 4.0F}, 4);
  trainee.step.kind = ParameterKind::kAdd;
  CHECK(trainee.optimizer.weight_of(ParameterKind::kAdd, 32.0) == 1.0);
  CHECK(trainee.optimizer.weight_of(ParameterKind::kAdd, 0.0) == 0.0);
  const Floats a{1.0F, 0.0F};
  const Floats b{0.5F, -8.0F};
  SECTION("sync") {
    trainee.apply({{0, 32.0, a}, {2, 7.0, b}});
    CHECK(trainee.weights == Floats{3.5F, -4.0F});
  }
  SECTION("async") {
    trainee.step.single = true;
    trainee.apply({{0, 7.0, b}});
    CHECK(trainee.weights == Floats{2.5F, -4.0F});
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
  CHECK(Optimizer(with(Adagrad{}), 1).state_floats_per_element() == 1);
  CHECK(Optimizer(with(RmsProp{}), 1).state_floats_per_element() == 1);
  CHECK(Optimizer(with(RmsProp{.momentum = 0.9F}), 1).state_floats_per_element() == 2);
  CHECK(Optimizer(with(Lars{}), 1).state_floats_per_element() == 1);
  CHECK(Optimizer(with(Lamb{}), 1).state_floats_per_element() == 2);
  CHECK(Optimizer(with(Ftrl{}), 1).state_floats_per_element() == 2);
  CHECK(Optimizer(with(AdamW{}), 1).make_state(7).floats.size() == 14 * sizeof(float));
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
  const float infinity = std::numeric_limits<float>::infinity();
  const auto [field, rule] = GENERATE_COPY(table<const char*, ps::Optimizer>({
      {"optimizer.lr", Sgd{.lr = -0.1F}},
      {"optimizer.lr", Adam{.lr = nan}},
      {"optimizer.lr", Ftrl{.lr = 0.0F}},
      {"optimizer.momentum", Sgd{.momentum = 1.0F}},
      {"optimizer.momentum", Sgd{.momentum = -0.5F}},
      {"optimizer.momentum", Sgd{.nesterov = true}},
      {"optimizer.momentum", RmsProp{.momentum = 1.0F}},
      {"optimizer.weight_decay", Sgd{.weight_decay = -1.0F}},
      {"optimizer.weight_decay", AdamW{.weight_decay = infinity}},
      {"optimizer.beta1", Adam{.beta1 = 1.0F}},
      {"optimizer.beta2", AdamW{.beta2 = nan}},
      {"optimizer.alpha", RmsProp{.alpha = 1.0F}},
      {"optimizer.epsilon", AdamW{.epsilon = 0.0F}},
      {"optimizer.epsilon", Adagrad{.epsilon = infinity}},
      {"optimizer.eta", Lars{.eta = 0.0F}},
      {"optimizer.beta ", Ftrl{.beta = -1.0F}},
      {"optimizer.l1", Ftrl{.l1 = -1.0F}},
      {"optimizer.l2", Ftrl{.l2 = nan}},
  }));
  CAPTURE(field);
  CHECK_THROWS_WITH(Optimizer(with(rule), 1), Catch::StartsWith(field));

  ModelOptions options;
  SECTION("schedule") {
    options.schedule.kind = Schedule::Kind::kCosine;
    CHECK_THROWS_AS(Optimizer(options, 1), Error);
  }
  SECTION("clip_norm") {
    options.clip_norm = GENERATE_COPY(-1.0F, nan);
    CHECK_THROWS_WITH(Optimizer(options, 1), Catch::StartsWith("clip_norm"));
  }
  SECTION("ema") {
    options.ema.decay = 1.0F;
    CHECK_THROWS_WITH(Optimizer(options, 1), Catch::StartsWith("ema.decay"));
    options.ema = {.decay = 0.9F, .tau = -1.0F};
    CHECK_THROWS_WITH(Optimizer(options, 1), Catch::StartsWith("ema.tau"));
  }
  SECTION("a rate that changes under ftrl") {
    options = with(Ftrl{});
    CHECK_NOTHROW(Optimizer(options, 1));
    options.schedule.warmup_samples = 100;
    CHECK_THROWS_WITH(Optimizer(options, 1), Catch::StartsWith("schedule"));
    options.schedule = {};
    options.mode = Async{.staleness_aware = true};
    CHECK_THROWS_WITH(Optimizer(options, 1), Catch::StartsWith("staleness_aware"));
  }
}

}  // namespace
}  // namespace ps::optim
