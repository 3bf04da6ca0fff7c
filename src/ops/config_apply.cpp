// From configuration to the values that the rest of ps works with.
#include <algorithm>
#include <type_traits>

#include <ps/error.h>

#include "ops/config.h"

namespace ps::ops {
namespace {

template <class Wanted, class Variant>
void choose(bool wanted, Variant& variant) {
  if (wanted && !std::holds_alternative<Wanted>(variant)) variant = Wanted{};
}

template <class T, class U>
void replace(const std::optional<T>& wanted, U& value) {
  if (wanted) value = static_cast<U>(*wanted);
}

void apply_mode(const Config& config, Consistency& mode) {
  const auto& wanted = config.consistency;
  choose<Sync>(wanted.mode == ModeChoice::kSync || wanted.mode == ModeChoice::kAllReduce, mode);
  choose<Async>(wanted.mode == ModeChoice::kAsync, mode);
  choose<Ssp>(wanted.mode == ModeChoice::kSsp, mode);
  choose<LocalSgd>(wanted.mode == ModeChoice::kLocal, mode);
  choose<Easgd>(wanted.mode == ModeChoice::kEasgd, mode);
  if (auto* sync = std::get_if<Sync>(&mode)) replace(wanted.backup_workers, sync->backup_workers);
  if (auto* ssp = std::get_if<Ssp>(&mode)) {
    if (config.is_set("consistency.staleness")) ssp->staleness = wanted.staleness;
    if (config.is_set("consistency.staleness_aware")) ssp->staleness_aware = wanted.staleness_aware;
  }
  if (auto* async = std::get_if<Async>(&mode)) {
    if (config.is_set("consistency.staleness_aware"))
      async->staleness_aware = wanted.staleness_aware;
    replace(wanted.max_staleness, async->max_staleness);
    if (wanted.compensation != CompensationChoice::kProgram)
      async->compensation = static_cast<Compensation>(static_cast<int>(wanted.compensation) - 1);
    replace(wanted.lambda, async->lambda);
    replace(wanted.decay, async->decay);
    replace(wanted.pushes_per_update, async->pushes_per_update);
  }
  if (auto* local = std::get_if<LocalSgd>(&mode)) {
    replace(wanted.steps, local->steps);
    replace(wanted.average_state, local->average_state);
    replace(wanted.start_samples, local->start_samples);
  }
  if (auto* easgd = std::get_if<Easgd>(&mode)) {
    replace(wanted.period, easgd->period);
    replace(wanted.alpha, easgd->alpha);
  }
}

// Calls visit(key, the configuration's value, the rule's) for every optimizer key that belongs to
// some rules only; the rule's is null where this one has no such thing.
template <class Rule, class Visit>
void for_each_rule_key(const OptimizerConfig& wanted, Rule& rule, const Visit& visit) {
#define PS_RULE_KEY(key)                                                                        \
  if constexpr (requires { rule.key; }) {                                                       \
    visit(#key, wanted.key, &rule.key);                                                         \
  } else {                                                                                      \
    visit(#key, wanted.key, static_cast<std::remove_cvref_t<decltype(*wanted.key)>*>(nullptr)); \
  }
  PS_RULE_KEY(momentum)
  PS_RULE_KEY(nesterov)
  PS_RULE_KEY(weight_decay)
  PS_RULE_KEY(beta1)
  PS_RULE_KEY(beta2)
  PS_RULE_KEY(epsilon)
  PS_RULE_KEY(alpha)
  PS_RULE_KEY(eta)
  PS_RULE_KEY(beta)
  PS_RULE_KEY(l1)
  PS_RULE_KEY(l2)
#undef PS_RULE_KEY
}

// The names of the rules that have this key: "sgd, rmsprop, lars".
std::string rules_with(const std::string& key) {
  std::string names;
  const OptimizerConfig nothing;
  const auto look = [&](auto rule) {
    for_each_rule_key(nothing, rule, [&](const char* name, const auto&, auto* value) {
      if (value == nullptr || key != name) return;
      names += (names.empty() ? "" : ", ") + std::string(optimizer_name(rule));
    });
  };
  look(Sgd{});
  look(Adam{});
  look(AdamW{});
  look(Adagrad{});
  look(RmsProp{});
  look(Lars{});
  look(Lamb{});
  look(Ftrl{});
  return names;
}

void apply_optimizer(const Config& config, Optimizer& optimizer) {
  const auto& wanted = config.optimizer;
  choose<Sgd>(wanted.name == OptimizerChoice::kSgd, optimizer);
  choose<Adam>(wanted.name == OptimizerChoice::kAdam, optimizer);
  choose<AdamW>(wanted.name == OptimizerChoice::kAdamw, optimizer);
  choose<Adagrad>(wanted.name == OptimizerChoice::kAdagrad, optimizer);
  choose<RmsProp>(wanted.name == OptimizerChoice::kRmsprop, optimizer);
  choose<Lars>(wanted.name == OptimizerChoice::kLars, optimizer);
  choose<Lamb>(wanted.name == OptimizerChoice::kLamb, optimizer);
  choose<Ftrl>(wanted.name == OptimizerChoice::kFtrl, optimizer);
  const auto set = [&](const char* key, const auto& value, auto* slot) {
    if (!value) return;
    if (slot != nullptr) {
      *slot = *value;
      return;
    }
    const auto origin = config.origins.find("optimizer." + std::string(key));
    throw Error(ErrorCode::kInvalidArgument,
                (origin == config.origins.end() ? "" : origin->second + ": ") + "optimizer." + key +
                    " means nothing to the optimizer in force, " + optimizer_name(optimizer) +
                    "; remove it or set optimizer.name to one of " + rules_with(key));
  };
  std::visit(
      [&](auto& rule) {
        for_each_rule_key(wanted, rule, set);
        replace(wanted.lr, rule.lr);
      },
      optimizer);
}

void apply_schedule(const OptimizerConfig& wanted, Schedule& schedule) {
  switch (wanted.schedule) {
    case ScheduleChoice::kProgram:
      break;
    case ScheduleChoice::kConstant:
      schedule.kind = Schedule::Kind::kConstant;
      break;
    case ScheduleChoice::kStep:
      schedule.kind = Schedule::Kind::kStep;
      break;
    case ScheduleChoice::kLinear:
      schedule.kind = Schedule::Kind::kLinear;
      break;
    case ScheduleChoice::kCosine:
      schedule.kind = Schedule::Kind::kCosine;
      break;
  }
  replace(wanted.warmup_samples, schedule.warmup_samples);
  replace(wanted.warmup_start, schedule.warmup_start);
  replace(wanted.total_samples, schedule.total_samples);
  replace(wanted.step_samples, schedule.step_samples);
  replace(wanted.step_gamma, schedule.step_gamma);
  replace(wanted.final_factor, schedule.final_factor);
  replace(wanted.epoch_samples, schedule.epoch_samples);
  replace(wanted.decay_from_start, schedule.decay_from_start);
  replace(wanted.warmup_power, schedule.warmup_power);
  replace(wanted.warmup_momentum, schedule.warmup_momentum);
}

Duration or_else(std::uint64_t set_ms, std::chrono::milliseconds otherwise) {
  return set_ms == 0 ? Duration(otherwise) : std::chrono::milliseconds(set_ms);
}

std::string ms_text(Duration duration) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(duration);
  return std::to_string(ms.count()) + " ms";
}

}  // namespace

void apply(const Config& config, ModelOptions& options) {
  apply_mode(config, options.mode);
  apply_optimizer(config, options.optimizer);
  apply_schedule(config.optimizer, options.schedule);
  const auto& group = config.optimizer.group;
  options.groups.insert(options.groups.end(), group.begin(), group.end());
  if (config.consistency.reduce == ReduceChoice::kMean) options.reduce = Reduce::kMean;
  if (config.consistency.reduce == ReduceChoice::kSum) options.reduce = Reduce::kSum;
  replace(config.optimizer.clip_norm, options.clip_norm);
  replace(config.optimizer.ema_decay, options.ema.decay);
  replace(config.optimizer.ema_tau, options.ema.tau);
  replace(config.observe.measure, options.measure);
  if (config.compression.push != PushChoice::kProgram)
    options.compression.push =
        static_cast<Compression::Push>(static_cast<int>(config.compression.push) - 1);
  if (config.compression.pull != PullChoice::kProgram)
    options.compression.pull =
        static_cast<Compression::Pull>(static_cast<int>(config.compression.pull) - 1);
  replace(config.compression.top, options.compression.top);
  if (config.consistency.finite != FiniteChoice::kProgram)
    options.finite = static_cast<Finite>(static_cast<int>(config.consistency.finite) - 1);
  if (config.consistency.mode == ModeChoice::kAllReduce) options.update = Update::kAllReduce;
  if (config.optimizer.update != UpdateChoice::kProgram)
    options.update = static_cast<Update>(static_cast<int>(config.optimizer.update) - 1);
  if (config.is_set("transport.chunk_bytes")) options.chunk_bytes = config.transport.chunk_bytes;
}

Timing timing(const ClusterConfig& cluster) {
  using std::chrono::milliseconds;
  const bool fast = cluster.profile == Profile::kFast;
  Timing timing{};
  timing.heartbeat = or_else(cluster.heartbeat_ms, milliseconds(fast ? 50 : 500));
  timing.lease = or_else(cluster.lease_ms, milliseconds(fast ? 400 : 3000));
  timing.suspect = std::min(4 * timing.heartbeat, timing.lease);
  timing.retry = or_else(cluster.retry_ms, milliseconds(fast ? 200 : 1000));
  timing.retry_cap = 8 * timing.retry;
  timing.deadline = or_else(cluster.deadline_ms, milliseconds(fast ? 5000 : 30000));
  if (timing.lease < 2 * timing.heartbeat) {
    throw Error(ErrorCode::kInvalidArgument,
                "cluster.lease_ms: the lease is " + ms_text(timing.lease) +
                    " and a heartbeat comes every " + ms_text(timing.heartbeat) +
                    ": expected a lease of at least two heartbeats (cluster.heartbeat_ms)");
  }
  if (timing.deadline < timing.retry) {
    throw Error(ErrorCode::kInvalidArgument,
                "cluster.deadline_ms: a request's deadline is " + ms_text(timing.deadline) +
                    " and its first retry comes after " + ms_text(timing.retry) +
                    ": expected a deadline that is not the shorter one (cluster.retry_ms)");
  }
  return timing;
}

}  // namespace ps::ops
