#include "optim/optimizer.h"

#include <algorithm>
#include <cmath>
#include <variant>

#include "base/assert.h"
#include "kernels/finite.h"
#include "kernels/norm.h"
#include "optim/custom_rules.h"
#include "optim/optimizer_options.h"
#include "optim/schedule.h"

namespace ps::optim {
namespace {

float rest_of(float fraction) {
  return static_cast<float>(1.0 - static_cast<double>(fraction));
}

float momentum_of(const Optimizer::Step& step, float of_rule) {
  return step.momentum.value_or(of_rule);
}

template <class Rule>
kernels::AdamRule adam_rule(const Rule& rule,
                            const Optimizer::Step& step,
                            float lr,
                            std::uint64_t updates) {
  const float beta1 = momentum_of(step, rule.beta1);
  return {.step = static_cast<float>(lr / (1.0 - power(beta1, updates))),
          .root_scale = static_cast<float>(1.0 / std::sqrt(1.0 - power(rule.beta2, updates))),
          .beta1 = beta1,
          .rest1 = rest_of(beta1),
          .beta2 = rule.beta2,
          .rest2 = rest_of(rule.beta2),
          .epsilon = rule.epsilon};
}

// One update of trained weights by the rule in force.
struct RunRule {
  const kernels::UpdateOps& ops;
  const kernels::UpdatePass& pass;
  const Optimizer::Step& step;
  std::span<float> states;
  float lr;
  std::uint64_t updates;
  const UpdateRule* custom;

  bool operator()(const Sgd& rule) const {
    const float momentum = momentum_of(step, rule.momentum);
    if (rule.nesterov) return ops.nesterov(pass, {lr, step.weight_decay, momentum});
    if (rule.momentum > 0) return ops.momentum(pass, {lr, step.weight_decay, momentum});
    return ops.sgd(pass, {lr, step.weight_decay});
  }
  bool operator()(const Adam& rule) const {
    kernels::AdamRule adam = adam_rule(rule, step, lr, updates);
    adam.weight_decay = step.weight_decay;
    return ops.adam(pass, adam);
  }
  bool operator()(const AdamW& rule) const {
    kernels::AdamRule adam = adam_rule(rule, step, lr, updates);
    adam.keep = static_cast<float>(1.0 - static_cast<double>(lr) * step.weight_decay);
    return ops.adam(pass, adam);
  }
  bool operator()(const Adagrad& rule) const {
    return ops.adagrad(pass, {lr, step.weight_decay, rule.epsilon});
  }
  bool operator()(const RmsProp& rule) const {
    if (rule.momentum > 0) {
      return ops.rmsprop_momentum(pass, {lr, step.weight_decay, rule.alpha, rest_of(rule.alpha),
                                         rule.epsilon, momentum_of(step, rule.momentum)});
    }
    return ops.rmsprop(pass,
                       {lr, step.weight_decay, rule.alpha, rest_of(rule.alpha), rule.epsilon});
  }
  bool operator()(const Lars& rule) const {
    return ops.lars(pass, {lr * step.trust, step.weight_decay, momentum_of(step, rule.momentum)});
  }
  // The gradient is u already.
  bool operator()(const Lamb& /*rule*/) const { return ops.sgd(pass, {lr * step.trust, 0.0F}); }
  bool operator()(const Ftrl& rule) const {
    if (lr == 0) return ops.sgd(pass, {});  // frozen
    return ops.ftrl(pass, {static_cast<float>(1.0 / lr), rule.beta, rule.l1, rule.l2});
  }
  bool operator()(const CustomRule& rule) const {
    Memory clipped;
    const float* gradient = pass.gradient.prefix;
    if (pass.gradient.factor != 1.0F) {
      clipped = Memory::allocate(pass.size * sizeof(float));
      kernels::UpdatePass clip = pass;
      clip.new_weights = clipped.as<float>().data();
      ops.assign(clip, {});
      gradient = clip.new_weights;
    }
    const std::span<float> new_weights(pass.new_weights, pass.size);
    custom->update({.old_weights = {pass.weights, pass.size},
                    .new_weights = new_weights,
                    .gradient = {gradient, pass.size},
                    .states = states,
                    .lr = lr,
                    .weight_decay = step.weight_decay,
                    .updates = updates,
                    .settings = rule.settings});
    return kernels::all_finite(new_weights);
  }
};

}  // namespace

Optimizer::Optimizer(const ModelOptions& options, std::uint32_t workers)
    : rule_(options.optimizer),
      schedule_(options.schedule),
      reduce_(options.reduce),
      ema_(options.ema),
      clip_norm_(options.clip_norm),
      workers_(static_cast<float>(workers)),
      staleness_aware_(is_staleness_aware(options.mode)),
      kernels_(&kernels::update(kernels::best_isa())) {
  PS_ASSERT(workers > 0, "a model is trained by at least one worker");
  check_update_options(options);
  if (const auto* rule = std::get_if<CustomRule>(&rule_)) custom_ = find_update_rule(rule->name);
}

std::size_t Optimizer::state_floats_per_element() const {
  if (custom_ != nullptr) return custom_->state_floats();
  if (const auto* sgd = std::get_if<Sgd>(&rule_)) return sgd->momentum > 0 ? 1 : 0;
  if (const auto* rmsprop = std::get_if<RmsProp>(&rule_)) return rmsprop->momentum > 0 ? 2 : 1;
  return std::holds_alternative<Adagrad>(rule_) || std::holds_alternative<Lars>(rule_) ? 1 : 2;
}

Optimizer::ChunkState Optimizer::make_state(std::size_t elements) const {
  return {.floats = Memory::allocate(elements * state_floats_per_element() * sizeof(float))};
}

bool Optimizer::is_mean(ParameterKind kind) const {
  return kind == ParameterKind::kAverage ||
         (kind == ParameterKind::kTrained && reduce_ == Reduce::kMean);
}

double Optimizer::weight_of(ParameterKind kind, double samples) const {
  if (is_mean(kind)) return samples;
  return samples > 0 ? 1.0 : 0.0;
}

std::optional<Optimizer::Sum> Optimizer::gather(const Step& step,
                                                const Vectors& vectors,
                                                std::size_t size) const {
  Sum sum;
  double total = 0.0;
  if (vectors.folded_weight > 0) {
    PS_ASSERT(vectors.folded.size() == size, "a folded sum has the weights' size");
    sum.sum.prefix = vectors.folded.data();
    total = vectors.folded_weight;
  }
  const bool as_it_is =
      step.single || step.kind == ParameterKind::kAssign || step.kind == ParameterKind::kAdd;
  sum.terms.reserve(vectors.contributions.size());
  for (const Contribution& contribution : vectors.contributions) {
    if (contribution.weight <= 0) continue;
    PS_ASSERT(contribution.values.size() == size, "a contribution has the weights' size");
    sum.terms.push_back({.values = contribution.values.data(),
                         .weight = as_it_is ? 1.0F : static_cast<float>(contribution.weight)});
    total += contribution.weight;
  }
  if (total == 0.0) return std::nullopt;
  if (step.single) {
    PS_ASSERT(sum.terms.size() == 1 && sum.sum.prefix == nullptr, "a single contribution");
  } else if (is_mean(step.kind)) {
    sum.sum.divisor = static_cast<float>(total);
  }
  if (step.kind == ParameterKind::kAssign && !sum.terms.empty()) {
    sum.terms = {sum.terms.back()};
    sum.sum.prefix = nullptr;
  }
  sum.sum.contributions = sum.terms.data();
  sum.sum.count = sum.terms.size();
  return sum;
}

bool Optimizer::apply(const Step& step, const Vectors& vectors, ChunkState& state) const {
  state.lr = 0.0F;
  kernels::UpdatePass pass;
  pass.size = vectors.old_weights.size();
  pass.weights = vectors.old_weights.data();
  pass.new_weights = vectors.new_weights.data();
  PS_ASSERT(vectors.new_weights.size() == pass.size, "new weights have the old ones' size");
  const std::optional<Sum> sum = gather(step, vectors, pass.size);
  if (!sum) {
    if (pass.new_weights != pass.weights) std::ranges::copy(vectors.old_weights, pass.new_weights);
    return true;
  }
  pass.gradient = sum->sum;
  const bool in_stages = custom_ != nullptr || std::holds_alternative<Lars>(rule_) ||
                         std::holds_alternative<Lamb>(rule_);
  if (step.kind == ParameterKind::kTrained && in_stages) {
    return apply_in_stages(step, vectors, state);
  }
  return finish(step, pass, state);
}

bool Optimizer::apply_in_stages(const Step& step, const Vectors& vectors, ChunkState& state) const {
  const Memory memory = Memory::allocate(vectors.old_weights.size_bytes());
  const std::span<float> gradient = memory.as<float>();
  reduce(step, vectors, gradient);
  if (needs_update_norms()) direct(step, vectors.old_weights, gradient, state);
  Step last = step;
  last.trust =
      trust(step, step.dimensions, sum_of_squares(vectors.old_weights), sum_of_squares(gradient));
  return apply_reduced(last, vectors.old_weights, vectors.new_weights, gradient, state);
}

bool Optimizer::needs_gradient_norms() const {
  return clip_norm_ > 0 || std::holds_alternative<Lars>(rule_);
}

bool Optimizer::needs_update_norms() const {
  return std::holds_alternative<Lamb>(rule_);
}

bool Optimizer::reduce(const Step& step, const Vectors& vectors, std::span<float> gradient) const {
  kernels::UpdatePass pass;
  pass.size = gradient.size();
  pass.weights = gradient.data();
  pass.new_weights = gradient.data();
  const std::optional<Sum> sum = gather(step, vectors, gradient.size());
  if (!sum) return false;
  pass.gradient = sum->sum;
  kernels_->assign(pass, {});
  return true;
}

double Optimizer::sum_of_squares(std::span<const float> values) {
  return kernels::norm(kernels::best_isa()).squares(values.data(), values.size());
}

float Optimizer::clip_factor(double sum_of_squares, float clip_norm) {
  if (clip_norm <= 0) return 1.0F;
  return static_cast<float>(std::min(1.0, clip_norm / (std::sqrt(sum_of_squares) + 1e-6)));
}

void Optimizer::direct(const Step& step,
                       std::span<const float> weights,
                       std::span<float> gradient_to_u,
                       ChunkState& state) const {
  PS_ASSERT(needs_update_norms(), "only LAMB has a direction");
  PS_ASSERT(weights.size() == gradient_to_u.size(), "a gradient has its weights' size");
  kernels::UpdatePass pass;
  pass.size = weights.size();
  pass.weights = weights.data();
  pass.new_weights = gradient_to_u.data();
  pass.gradient.prefix = gradient_to_u.data();
  pass.gradient.factor = step.clip;
  add_state(pass, state);
  ++state.updates;
  kernels_->lamb(pass, {.adam = adam_rule(std::get<Lamb>(rule_), step, 1.0F, state.updates),
                        .weight_decay = step.weight_decay});
}

float Optimizer::trust(const Step& step,
                       std::size_t dimensions,
                       double weight_squares,
                       double value_squares) const {
  const double weights = std::sqrt(weight_squares);
  const double values = std::sqrt(value_squares);
  if (dimensions < 2 || weights == 0 || values == 0) return 1.0F;
  if (needs_update_norms()) return static_cast<float>(weights / values);
  const auto* lars = std::get_if<Lars>(&rule_);
  if (lars == nullptr) return 1.0F;
  return static_cast<float>(lars->eta * weights /
                            (step.clip * values + step.weight_decay * weights + lars->epsilon));
}

bool Optimizer::apply_reduced(const Step& step,
                              std::span<const float> old_weights,
                              std::span<float> new_weights,
                              std::span<const float> gradient,
                              ChunkState& state) const {
  kernels::UpdatePass pass;
  pass.size = old_weights.size();
  PS_ASSERT(new_weights.size() == pass.size && gradient.size() == pass.size,
            "new weights and gradient have the old weights' size");
  pass.weights = old_weights.data();
  pass.new_weights = new_weights.data();
  pass.gradient.prefix = gradient.data();
  return finish(step, pass, state);
}

bool Optimizer::finish(const Step& step, kernels::UpdatePass& pass, ChunkState& state) const {
  state.lr = 0.0F;
  switch (step.kind) {
    case ParameterKind::kTrained:
      break;
    case ParameterKind::kAverage:
      return step.single ? kernels_->move(pass, {workers_}) : kernels_->assign(pass, {});
    case ParameterKind::kAssign:
      return kernels_->assign(pass, {});
    case ParameterKind::kAdd:
      return kernels_->add(pass, {});
  }
  add_state(pass, state);
  // LAMB's direct() has clipped and counted.
  if (!needs_update_norms()) {
    pass.gradient.factor = step.clip;
    ++state.updates;
  }
  state.lr = learning_rate(step, step.lr_factor);
  const double scale = step.lr_scale;
  return std::visit(
      RunRule{.ops = *kernels_,
              .pass = pass,
              .step = step,
              .states = state.floats.as<float>(),
              .lr = learning_rate(step, scale * step.group_factor.value_or(step.lr_factor)),
              .updates = state.updates,
              .custom = custom_.get()},
      rule_);
}

void Optimizer::add_state(kernels::UpdatePass& pass, const ChunkState& state) const {
  const std::size_t states = state_floats_per_element();
  const std::span<float> floats = state.floats.as<float>();
  PS_ASSERT(floats.size() == pass.size * states, "the state was made for this chunk");
  pass.state = floats.data();
  pass.state2 = floats.data() + (states > 1 ? pass.size : 0);
}

void Optimizer::pace(const ParameterRates& rates, std::uint64_t samples, Step& step) const {
  step.lr_scale = rates.lr_scale;
  step.weight_decay = rates.weight_decay;
  step.lr_factor = factor(schedule_, samples, schedule_.warmup_start);
  step.group_factor = factor(schedule_, samples, rates.warmup_start);
  const auto of_rule = [](const auto& rule) {
    if constexpr (requires { rule.momentum; }) return rule.momentum;
    if constexpr (requires { rule.beta1; }) return rule.beta1;
    return 0.0F;
  };
  step.momentum = momentum(schedule_, std::visit(of_rule, rule_), samples);
}

float Optimizer::learning_rate(const Step& step, double factor) const {
  const double base = std::visit([](const auto& rule) { return rule.lr; }, rule_);
  const double lr = base * factor;
  if (!staleness_aware_) return static_cast<float>(lr);
  return static_cast<float>(lr / static_cast<double>(std::max<std::uint64_t>(1, step.staleness)));
}

void Optimizer::follow(std::span<const float> weights,
                       std::span<float> ema,
                       std::uint64_t updates) const {
  PS_ASSERT(weights.size() == ema.size(), "an average has its weights' size");
  const double ramp =
      ema_.tau > 0 ? -std::expm1(-static_cast<double>(updates) / static_cast<double>(ema_.tau))
                   : 1.0;
  const double keep = ema_.decay * ramp;
  kernels::UpdatePass pass;
  pass.size = ema.size();
  pass.weights = ema.data();
  pass.new_weights = ema.data();
  pass.gradient.prefix = weights.data();
  kernels_->ema(pass, {static_cast<float>(keep), static_cast<float>(1.0 - keep)});
}

}  // namespace ps::optim
