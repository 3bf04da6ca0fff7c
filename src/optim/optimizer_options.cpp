#include "optim/optimizer_options.h"

#include <cmath>
#include <string>
#include <variant>

#include <ps/error.h>

#include "optim/schedule.h"

namespace ps::optim {
namespace {

void require(bool holds, const std::string& field, const char* expected, double got) {
  if (holds) return;
  throw Error(ErrorCode::kInvalidArgument,
              field + " must be " + expected + ", got " + std::to_string(got));
}

void check_not_negative(const char* field, double value) {
  require(std::isfinite(value) && value >= 0, field, "a finite number >= 0", value);
}

void check_positive(const char* field, double value) {
  require(std::isfinite(value) && value > 0, field, "a finite number > 0", value);
}

void check_fraction(const char* field, double value) {
  require(value >= 0 && value < 1, field, "in [0, 1)", value);
}

// Every field that a rule has, by its name.
template <class Rule>
void check_rule(const Rule& rule) {
  check_not_negative("optimizer.lr", rule.lr);
  if constexpr (requires { rule.weight_decay; }) {
    check_not_negative("optimizer.weight_decay", rule.weight_decay);
  }
  if constexpr (requires { rule.momentum; }) check_fraction("optimizer.momentum", rule.momentum);
  if constexpr (requires { rule.nesterov; }) {
    require(!rule.nesterov || rule.momentum > 0, "optimizer.momentum", "> 0 with nesterov",
            rule.momentum);
  }
  if constexpr (requires { rule.beta1; }) check_fraction("optimizer.beta1", rule.beta1);
  if constexpr (requires { rule.beta2; }) check_fraction("optimizer.beta2", rule.beta2);
  if constexpr (requires { rule.alpha; }) check_fraction("optimizer.alpha", rule.alpha);
  if constexpr (requires { rule.epsilon; }) check_positive("optimizer.epsilon", rule.epsilon);
  if constexpr (requires { rule.eta; }) check_positive("optimizer.eta", rule.eta);
  if constexpr (requires { rule.beta; }) check_not_negative("optimizer.beta", rule.beta);
  if constexpr (requires { rule.l1; }) check_not_negative("optimizer.l1", rule.l1);
  if constexpr (requires { rule.l2; }) check_not_negative("optimizer.l2", rule.l2);
}

// FTRL's weights are a function of its state and of lr: another lr would shrink or stretch them
// all.
void check_ftrl(const Ftrl& rule, const ModelOptions& options) {
  check_positive("optimizer.lr", rule.lr);
  const Schedule& schedule = options.schedule;
  if (schedule.kind != Schedule::Kind::kConstant || schedule.warmup_samples > 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "schedule must be constant and without a warm-up with ftrl, whose rates shrink by "
                "themselves");
  }
  if (is_staleness_aware(options.mode)) {
    throw Error(ErrorCode::kInvalidArgument,
                "staleness_aware must be off with ftrl, whose lr cannot change between updates");
  }
}

}  // namespace

void check_update_options(const ModelOptions& options) {
  std::visit([](const auto& rule) { check_rule(rule); }, options.optimizer);
  check(options.schedule);
  if (const auto* ftrl = std::get_if<Ftrl>(&options.optimizer)) check_ftrl(*ftrl, options);
  check_not_negative("clip_norm", options.clip_norm);
  check_fraction("ema.decay", options.ema.decay);
  check_not_negative("ema.tau", options.ema.tau);
}

bool is_staleness_aware(const Consistency& mode) {
  if (const auto* async = std::get_if<Async>(&mode)) return async->staleness_aware;
  if (const auto* ssp = std::get_if<Ssp>(&mode)) return ssp->staleness_aware;
  return false;
}

}  // namespace ps::optim
