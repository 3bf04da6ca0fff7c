// From configuration to the values that the rest of ps works with.
#include <algorithm>

#include <ps/error.h>

#include "ops/config.h"

namespace ps::ops {
namespace {

template <class Wanted, class Variant>
void choose(bool wanted, Variant& variant) {
  if (wanted && !std::holds_alternative<Wanted>(variant)) variant = Wanted{};
}

void apply_mode(const Config& config, Consistency& mode) {
  const auto& wanted = config.consistency;
  choose<Sync>(wanted.mode == ModeChoice::kSync, mode);
  choose<Async>(wanted.mode == ModeChoice::kAsync, mode);
  choose<Ssp>(wanted.mode == ModeChoice::kSsp, mode);
  if (auto* ssp = std::get_if<Ssp>(&mode)) {
    if (config.is_set("consistency.staleness")) ssp->staleness = wanted.staleness;
    if (config.is_set("consistency.staleness_aware")) ssp->staleness_aware = wanted.staleness_aware;
  }
  if (auto* async = std::get_if<Async>(&mode)) {
    if (config.is_set("consistency.staleness_aware")) {
      async->staleness_aware = wanted.staleness_aware;
    }
  }
}

template <class T>
void replace(const std::optional<T>& wanted, T& value) {
  if (wanted) value = *wanted;
}

// An optimizer key that was set although `optimizer` does not have it.
void refuse_unused(const Config& config, const Optimizer& optimizer) {
  const bool sgd = std::holds_alternative<Sgd>(optimizer);
  const auto unused = sgd ? std::vector<const char*>{"beta1", "beta2", "epsilon"}
                          : std::vector<const char*>{"momentum", "nesterov"};
  for (const char* name : unused) {
    const auto origin = config.origins.find("optimizer." + std::string(name));
    if (origin == config.origins.end()) continue;
    throw Error(ErrorCode::kInvalidArgument,
                origin->second + ": optimizer." + name +
                    " means nothing to the optimizer in force, " + optimizer_name(optimizer) +
                    "; remove it or set optimizer.name to " + (sgd ? "adam or adamw" : "sgd"));
  }
}

void apply_optimizer(const Config& config, Optimizer& optimizer) {
  const auto& wanted = config.optimizer;
  choose<Sgd>(wanted.name == OptimizerChoice::kSgd, optimizer);
  choose<Adam>(wanted.name == OptimizerChoice::kAdam, optimizer);
  choose<AdamW>(wanted.name == OptimizerChoice::kAdamw, optimizer);
  refuse_unused(config, optimizer);
  std::visit(
      [&](auto& value) {
        replace(wanted.lr, value.lr);
        replace(wanted.weight_decay, value.weight_decay);
        if constexpr (requires { value.momentum; }) {
          replace(wanted.momentum, value.momentum);
          replace(wanted.nesterov, value.nesterov);
        } else {
          replace(wanted.beta1, value.beta1);
          replace(wanted.beta2, value.beta2);
          replace(wanted.epsilon, value.epsilon);
        }
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
