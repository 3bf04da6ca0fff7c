// Updates in stages: what shards agree on between them (clipping, LARS, LAMB), against published
// numbers, against float64, and against apply().
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "optim/optimizer.h"
#include "optim/trainee.h"
#include "support/catch.h"

namespace ps::optim {
namespace {

constexpr std::array<std::array<float, 3>, 3> kGradients{
    {{0.1F, -0.2F, 0.3F}, {-0.05F, 0.4F, 0.0F}, {0.2F, 0.1F, -0.6F}}};

TEST_CASE("norms: the clip factor of two shards is the published one", "[unit]") {
  const double sum =
      Optimizer::sum_of_squares(Floats{3.0F, 4.0F}) + Optimizer::sum_of_squares(Floats{12.0F});
  CHECK(sum == 169.0);
  CHECK(Optimizer::clip_factor(sum, 6.5F) == static_cast<float>(6.5 / (13.0 + 1e-6)));
  CHECK(Optimizer::clip_factor(sum, 6.5F) == Approx(0.49999996).epsilon(0).margin(1.5e-8));
  CHECK(Optimizer::clip_factor(sum, 20.0F) == 1.0F);
  CHECK(Optimizer::clip_factor(sum, 0.0F) == 1.0F);
  CHECK(Optimizer::clip_factor(0.0, 1.0F) == 1.0F);
}

TEST_CASE("norms: trust is the published one at every step", "[unit]") {
  const auto [rule, published] = GENERATE(table<ps::Optimizer, std::array<double, 3>>({
      {Lars{.lr = 1.0F, .weight_decay = 0.01F}, {0.00577036307, 0.00537435596, 0.00345259853}},
      {Lamb{.lr = 0.01F, .weight_decay = 0.01F}, {1.30760315, 2.81322624, 2.68697342}},
  }));
  CAPTURE(optimizer_name(rule));
  Trainee trainee(with(rule), {1.0F, -2.0F, 0.5F});
  for (std::size_t i = 0; i < 3; ++i) {
    Floats value(kGradients[i].begin(), kGradients[i].end());
    if (trainee.optimizer.needs_update_norms()) {
      trainee.optimizer.direct(trainee.step, trainee.weights, value, trainee.state);
    }
    trainee.step.trust =
        trainee.optimizer.trust(trainee.step, 2, Optimizer::sum_of_squares(trainee.weights),
                                Optimizer::sum_of_squares(value));
    check_close({trainee.step.trust}, {published[i]});
    CHECK(trainee.optimizer.apply_reduced(trainee.step, trainee.weights, trainee.weights, value,
                                          trainee.state));
    CHECK(trainee.state.updates == i + 1);
  }
}

TEST_CASE("norms: trust is 1 without two dimensions, without a norm and for other rules",
          "[unit]") {
  const ps::Optimizer rule = GENERATE(values<ps::Optimizer>({Lars{}, Lamb{}}));
  const Optimizer optimizer(with(rule), 1);
  CHECK(optimizer.trust({}, 2, 4.0, 1.0) != 1.0F);
  CHECK(optimizer.trust({}, 4, 4.0, 1.0) != 1.0F);
  CHECK(optimizer.trust({}, 1, 4.0, 1.0) == 1.0F);
  CHECK(optimizer.trust({}, 0, 4.0, 1.0) == 1.0F);
  CHECK(optimizer.trust({}, 2, 0.0, 1.0) == 1.0F);
  CHECK(optimizer.trust({}, 2, 4.0, 0.0) == 1.0F);
  CHECK(Optimizer(with(Adam{}), 1).trust({}, 2, 4.0, 1.0) == 1.0F);

  // A vector's update then is the rule's without the factor.
  Trainee trainee(with(rule), {1.0F, -2.0F});
  trainee.step.dimensions = 1;
  trainee.step.weight_decay = 0.0F;
  trainee.apply(Floats{0.5F, -0.25F});
  const double lr = std::visit([](const auto& r) { return double{r.lr}; }, rule);
  const bool lars = std::holds_alternative<Lars>(rule);
  const double step = lars ? 0.5 : 0.5 / (0.5 + 1e-6);
  const double step2 = lars ? 0.25 : 0.25 / (0.25 + 1e-6);
  check_close(trainee.weights, {1.0 - lr * step, -2.0 + lr * step2});
}

TEST_CASE("norms: the options and the rule say which are needed", "[unit]") {
  ModelOptions options = with(Adam{});
  CHECK_FALSE(Optimizer(options, 1).needs_gradient_norms());
  CHECK_FALSE(Optimizer(options, 1).needs_update_norms());
  options.clip_norm = 1.0F;
  CHECK(Optimizer(options, 1).needs_gradient_norms());
  CHECK(Optimizer(with(Lars{}), 1).needs_gradient_norms());
  CHECK_FALSE(Optimizer(with(Lars{}), 1).needs_update_norms());
  CHECK_FALSE(Optimizer(with(Lamb{}), 1).needs_gradient_norms());
  CHECK(Optimizer(with(Lamb{}), 1).needs_update_norms());
}

TEST_CASE("norms: an update in two stages has apply()'s bits", "[unit]") {
  const ps::Optimizer rule = GENERATE(values<ps::Optimizer>({
      Sgd{.weight_decay = 1e-3F},
      Sgd{.momentum = 0.9F},
      Sgd{.momentum = 0.9F, .nesterov = true},
      Adam{},
      AdamW{},
      Adagrad{},
      RmsProp{},
      RmsProp{.momentum = 0.9F},
      Ftrl{.l1 = 0.01F},
  }));
  const std::size_t folded = GENERATE(0U, 2U);
  const float clip = GENERATE(1.0F, 0.3F);
  ModelOptions options = with(rule);
  options.reduce = GENERATE(Reduce::kMean, Reduce::kSum);
  CAPTURE(optimizer_name(rule), folded, clip);
  constexpr std::size_t kSize = 1500;
  Trainee whole(options, random_floats(kSize, 9, -1.0, 1.0));
  whole.step.clip = clip;
  Trainee staged = whole;
  staged.state = staged.optimizer.make_state(kSize);

  for (std::uint64_t round = 0; round < 3; ++round) {
    const Floats sum = folded > 0 ? random_floats(kSize, 50 + round, -40.0, 40.0) : Floats();
    std::vector<Floats> gradients;
    for (std::uint64_t k = 0; k < 3; ++k) {
      gradients.push_back(random_floats(kSize, 10 * round + k, -1.0, 1.0));
    }
    std::vector<Contribution> contributions;
    const double n[] = {32.0, 31.0, 17.5};
    for (std::uint32_t k = 0; k < 3; ++k) {
      contributions.push_back(
          {k, whole.optimizer.weight_of(ParameterKind::kTrained, n[k]), gradients[k]});
    }
    const Optimizer::Vectors vectors{.old_weights = whole.weights,
                                     .new_weights = whole.weights,
                                     .folded = sum,
                                     .folded_weight = static_cast<double>(folded),
                                     .contributions = contributions};
    Floats gradient(kSize);
    CHECK(staged.optimizer.reduce(staged.step, vectors, gradient));
    CHECK(staged.optimizer.apply_reduced(staged.step, staged.weights, staged.weights, gradient,
                                         staged.state));
    CHECK(whole.optimizer.apply(whole.step, vectors, whole.state));
    REQUIRE(staged.weights == whole.weights);
    CHECK(std::ranges::equal(staged.state.floats.as<float>(), whole.state.floats.as<float>()));
    CHECK(staged.state.updates == whole.state.updates);
    CHECK(staged.state.lr == whole.state.lr);
  }
}

TEST_CASE("norms: nothing to reduce leaves the gradient as it was", "[unit]") {
  const Optimizer optimizer(with(Sgd{}), 1);
  const Floats values{std::numeric_limits<float>::quiet_NaN()};
  const std::vector<Contribution> none{{0, 0.0, values}};
  Floats gradient{7.0F};
  CHECK_FALSE(optimizer.reduce({}, {.contributions = none}, gradient));
  CHECK(gradient == Floats{7.0F});
}

// One parameter's LARS or LAMB in float64, on all of it at once.
struct Reference {
  Doubles w, first, second;
  double updates = 0;

  static double norm(const Doubles& values) {
    double sum = 0.0;
    for (const double value : values) sum += value * value;
    return std::sqrt(sum);
  }
  void apply(const Lars& rule, const Doubles& g) {
    const double trust =
        rule.eta * norm(w) / (norm(g) + double{rule.weight_decay} * norm(w) + double{rule.epsilon});
    for (std::size_t i = 0; i < w.size(); ++i) {
      first[i] = rule.momentum * first[i] + rule.lr * trust * (g[i] + rule.weight_decay * w[i]);
      w[i] -= first[i];
    }
  }
  void apply(const Lamb& rule, const Doubles& g) {
    const double b1 = rule.beta1;
    const double b2 = rule.beta2;
    updates += 1;
    Doubles u(w.size());
    for (std::size_t i = 0; i < w.size(); ++i) {
      first[i] = b1 * first[i] + (1 - b1) * g[i];
      second[i] = b2 * second[i] + (1 - b2) * g[i] * g[i];
      const double m = first[i] / (1 - std::pow(b1, updates));
      const double v = second[i] / (1 - std::pow(b2, updates));
      u[i] = m / (std::sqrt(v) + rule.epsilon) + rule.weight_decay * w[i];
    }
    const double ratio = norm(w) / norm(u);
    for (std::size_t i = 0; i < w.size(); ++i) w[i] -= rule.lr * ratio * u[i];
  }
  template <class Rule>
  void apply(const Rule& /*rule*/, const Doubles& /*g*/) {
    FAIL("this rule has no reference");
  }
};

// A parameter that lies in two chunks, with what two shards would exchange.
struct Split {
  Optimizer optimizer;
  Optimizer::Step step;
  std::array<Floats, 2> weights;
  std::array<Optimizer::ChunkState, 2> states;

  Split(const ModelOptions& options, const Floats& initial)
      : optimizer(options, 1), step{.weight_decay = decay_of(options.optimizer)} {
    const auto middle = initial.begin() + static_cast<std::ptrdiff_t>(initial.size() / 3);
    weights = {Floats(initial.begin(), middle), Floats(middle, initial.end())};
    for (std::size_t c = 0; c < 2; ++c) states[c] = optimizer.make_state(weights[c].size());
  }

  void apply(const Floats& gradient, float clip_norm) {
    std::array<Floats, 2> values;
    const std::span all(gradient);
    for (std::size_t c = 0; c < 2; ++c) {
      const std::size_t size = weights[c].size();
      const auto part = c == 0 ? all.first(size) : all.last(size);
      const std::vector<Contribution> pushed{{0, 32.0, part}};
      values[c].resize(size);
      optimizer.reduce(step, {.contributions = pushed}, values[c]);
    }
    step.clip = Optimizer::clip_factor(squares(values), clip_norm);
    if (optimizer.needs_update_norms()) {
      for (std::size_t c = 0; c < 2; ++c) optimizer.direct(step, weights[c], values[c], states[c]);
    }
    step.trust = optimizer.trust(step, 2, squares(weights), squares(values));
    for (std::size_t c = 0; c < 2; ++c) {
      CHECK(optimizer.apply_reduced(step, weights[c], weights[c], values[c], states[c]));
    }
  }

  static double squares(const std::array<Floats, 2>& parts) {
    return Optimizer::sum_of_squares(parts[0]) + Optimizer::sum_of_squares(parts[1]);
  }
};

TEST_CASE("norms: a parameter in two chunks agrees with float64 over all of it", "[unit]") {
  const ps::Optimizer rule = GENERATE(values<ps::Optimizer>({
      Lars{.lr = 0.5F, .weight_decay = 0.01F, .eta = 0.02F},
      Lamb{.lr = 0.01F},
  }));
  const std::size_t size = GENERATE(as<std::size_t>{}, 1, 31, 1024, 100003);
  const float clip_norm = GENERATE(0.0F, 0.25F);
  CAPTURE(optimizer_name(rule), size, clip_norm);
  const Floats initial = random_floats(size, 1, 0.5, 1.5);
  Split split(with(rule), initial);
  Reference reference{Doubles(initial.begin(), initial.end()), Doubles(size), Doubles(size)};
  for (std::uint64_t round = 0; round < 3; ++round) {
    const Floats gradient = random_floats(size, 10 + round, 0.1, 1.0);
    split.apply(gradient, clip_norm);
    Doubles clipped(gradient.begin(), gradient.end());
    const double factor =
        clip_norm > 0 ? std::min(1.0, clip_norm / (Reference::norm(clipped) + 1e-6)) : 1.0;
    for (double& g : clipped) g *= factor;
    std::visit([&](const auto& r) { reference.apply(r, clipped); }, rule);
    Floats weights = split.weights[0];
    weights.insert(weights.end(), split.weights[1].begin(), split.weights[1].end());
    check_close(weights, reference.w);
  }
}

}  // namespace
}  // namespace ps::optim
