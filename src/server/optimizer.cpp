#include "server/optimizer.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <variant>
#include <vector>

#include <ps/error.h>

#include "base/assert.h"
#include "server/schedule.h"

namespace ps::server {
namespace {

void require(bool holds, const char* field, const char* expected, double got) {
  if (holds) return;
  throw Error(ErrorCode::kInvalidArgument, std::string("optimizer.") + field + " must be " +
                                               expected + ", got " + std::to_string(got));
}

void check_not_negative(const char* field, double value) {
  require(std::isfinite(value) && value >= 0, field, "a finite number >= 0", value);
}

void check_fraction(const char* field, double value) {
  require(value >= 0 && value < 1, field, "in [0, 1)", value);
}

void check(const Sgd& rule) {
  check_not_negative("lr", rule.lr);
  check_fraction("momentum", rule.momentum);
  require(!rule.nesterov || rule.momentum > 0, "momentum", "> 0 with nesterov", rule.momentum);
  check_not_negative("weight_decay", rule.weight_decay);
}

// Adam and AdamW.
template <class Rule>
void check(const Rule& rule) {
  check_not_negative("lr", rule.lr);
  check_fraction("beta1", rule.beta1);
  check_fraction("beta2", rule.beta2);
  require(std::isfinite(rule.epsilon) && rule.epsilon > 0, "epsilon", "a finite number > 0",
          rule.epsilon);
  check_not_negative("weight_decay", rule.weight_decay);
}

bool is_staleness_aware(const Consistency& mode) {
  if (const auto* async = std::get_if<Async>(&mode)) return async->staleness_aware;
  if (const auto* ssp = std::get_if<Ssp>(&mode)) return ssp->staleness_aware;
  return false;
}

template <class Rule>
kernels::AdamRule adam_rule(const Rule& rule, float lr, std::uint64_t updates) {
  return {.step = static_cast<float>(lr / (1.0 - power(rule.beta1, updates))),
          .root_scale = static_cast<float>(1.0 / std::sqrt(1.0 - power(rule.beta2, updates))),
          .beta1 = rule.beta1,
          .rest1 = static_cast<float>(1.0 - static_cast<double>(rule.beta1)),
          .beta2 = rule.beta2,
          .rest2 = static_cast<float>(1.0 - static_cast<double>(rule.beta2)),
          .epsilon = rule.epsilon};
}

}  // namespace

Optimizer::Optimizer(const ModelOptions& options, std::uint32_t workers)
    : rule_(options.optimizer),
      reduce_(options.reduce),
      workers_(static_cast<float>(workers)),
      staleness_aware_(is_staleness_aware(options.mode)),
      kernels_(&kernels::update(kernels::best_isa())) {
  PS_ASSERT(workers > 0, "a model is trained by at least one worker");
  std::visit([](const auto& rule) { check(rule); }, rule_);
  server::check(options.schedule);
}

std::size_t Optimizer::state_floats_per_element() const {
  const auto* sgd = std::get_if<Sgd>(&rule_);
  if (sgd == nullptr) return 2;
  return sgd->momentum > 0 ? 1 : 0;
}

Optimizer::ChunkState Optimizer::make_state(std::size_t elements) const {
  return {.floats = Memory::allocate(elements * state_floats_per_element() * sizeof(float))};
}

double Optimizer::weight_of(ParameterKind kind, double samples) const {
  if (kind == ParameterKind::kAverage || reduce_ == Reduce::kMean) return samples;
  return samples > 0 ? 1.0 : 0.0;
}

bool Optimizer::apply(const Step& step, const Vectors& vectors, ChunkState& state) const {
  const std::size_t size = vectors.old_weights.size();
  PS_ASSERT(vectors.new_weights.size() == size, "new weights have the old ones' size");
  kernels::UpdatePass pass;
  pass.size = size;
  pass.weights = vectors.old_weights.data();
  pass.new_weights = vectors.new_weights.data();
  double total = 0.0;
  if (vectors.folded_weight > 0) {
    PS_ASSERT(vectors.folded.size() == size, "a folded sum has the weights' size");
    pass.gradient.prefix = vectors.folded.data();
    total = vectors.folded_weight;
  }
  std::vector<kernels::WeightedValues> terms;
  terms.reserve(vectors.contributions.size());
  for (const Contribution& contribution : vectors.contributions) {
    if (contribution.weight <= 0) continue;
    PS_ASSERT(contribution.values.size() == size, "a contribution has the weights' size");
    terms.push_back(
        {.values = contribution.values.data(), .weight = static_cast<float>(contribution.weight)});
    total += contribution.weight;
  }
  state.lr = 0.0F;
  if (total == 0.0) {
    if (pass.new_weights != pass.weights) std::ranges::copy(vectors.old_weights, pass.new_weights);
    return true;
  }
  const bool average_kind = step.kind == ParameterKind::kAverage;
  if (step.single) {
    PS_ASSERT(terms.size() == 1 && pass.gradient.prefix == nullptr, "a single contribution");
    terms.front().weight = 1.0F;
  } else if (average_kind || reduce_ == Reduce::kMean) {
    pass.gradient.divisor = static_cast<float>(total);
  }
  pass.gradient.contributions = terms.data();
  pass.gradient.count = terms.size();
  return average_kind ? average(step, pass) : update(step, pass, state);
}

float Optimizer::learning_rate(const Step& step) const {
  const double base = std::visit([](const auto& rule) { return rule.lr; }, rule_);
  const double lr = base * step.lr_scale * step.lr_factor;
  if (!staleness_aware_) return static_cast<float>(lr);
  return static_cast<float>(lr / static_cast<double>(std::max<std::uint64_t>(1, step.staleness)));
}

bool Optimizer::update(const Step& step,
                       const kernels::UpdatePass& gradient,
                       ChunkState& state) const {
  PS_ASSERT(state.floats.size() == gradient.size * state_floats_per_element() * sizeof(float),
            "the state was made for this chunk");
  kernels::UpdatePass pass = gradient;
  pass.state = state.floats.as<float>().data();
  pass.state2 = pass.state + (state_floats_per_element() == 2 ? pass.size : 0);
  const float lr = learning_rate(step);
  state.lr = lr;
  ++state.updates;

  if (const auto* sgd = std::get_if<Sgd>(&rule_)) {
    if (sgd->nesterov) return kernels_->nesterov(pass, {lr, step.weight_decay, sgd->momentum});
    if (sgd->momentum > 0) return kernels_->momentum(pass, {lr, step.weight_decay, sgd->momentum});
    return kernels_->sgd(pass, {lr, step.weight_decay});
  }
  if (const auto* adam = std::get_if<Adam>(&rule_)) {
    kernels::AdamRule rule = adam_rule(*adam, lr, state.updates);
    rule.weight_decay = step.weight_decay;
    return kernels_->adam(pass, rule);
  }
  kernels::AdamRule rule = adam_rule(std::get<AdamW>(rule_), lr, state.updates);
  rule.keep = static_cast<float>(1.0 - static_cast<double>(lr) * step.weight_decay);
  return kernels_->adam(pass, rule);
}

bool Optimizer::average(const Step& step, const kernels::UpdatePass& pass) const {
  return step.single ? kernels_->move(pass, {workers_}) : kernels_->assign(pass, {});
}

}  // namespace ps::server
