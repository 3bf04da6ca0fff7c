// What control messages mean must make sense: sizes, names and numbers, beyond the types of fields.
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "wire/control.h"
#include "wire/json_sax.h"

namespace ps::wire {
namespace {

constexpr std::uint32_t kMaxNodeIndex = (1U << 24) - 1;          // what a header can name
constexpr std::uint64_t kMaxSamples = std::uint64_t{1} << 62;    // sums do not overflow
constexpr std::uint64_t kMaxStaleness = std::uint64_t{1} << 32;  // steps
constexpr double kMaxFloat = std::numeric_limits<float>::max();
constexpr double kBelowOne = 1.0 - std::numeric_limits<double>::epsilon();

std::string at(const std::string& where, const std::string& why) {
  return where + ": " + why;
}

std::string count_problem(const char* what, std::size_t count, std::size_t limit) {
  if (count <= limit) return {};
  return std::to_string(count) + ' ' + what + ", at most " + std::to_string(limit) + " are allowed";
}

// Of a name that may be empty, such as the endpoint of a node that has none.
std::string short_text_problem(const char* what, const std::string& text) {
  if (text.size() > ControlLimits::kNameBytes) {
    return std::string(what) + " has " + std::to_string(text.size()) + " bytes, at most " +
           std::to_string(ControlLimits::kNameBytes) + " are allowed";
  }
  if (!is_utf8(text)) return std::string(what) + " is not UTF-8";
  return {};
}

std::string name_problem(const char* what, const std::string& text) {
  if (text.empty()) return std::string(what) + " is empty";
  return short_text_problem(what, text);
}

// --- Options -----------------------------------------------------------------------------------

struct Range {
  const char* name;
  double value;
  double low;
  double high;
};

template <std::size_t N>
std::string range_problem(const std::string& path, const std::array<Range, N>& ranges) {
  for (const auto& [name, value, low, high] : ranges) {
    if (value >= low && value <= high) continue;  // false for NaN
    const char* expected = high == kBelowOne && low < 0 ? "in [-1, 1)"
                           : high == kBelowOne          ? "in [0, 1)"
                           : high == 1                  ? "in [0, 1]"
                           : low == 0                   ? "that is finite and >= 0"
                                                        : "that is finite";
    return path + '.' + name + " is " + std::to_string(value) + ", a number " + expected +
           " expected";
  }
  return {};
}

std::string whole_problem(const char* name,
                          std::uint64_t value,
                          std::uint64_t low,
                          std::uint64_t high) {
  if (value >= low && value <= high) return {};
  return std::string(name) + " is " + std::to_string(value) + ", a number from " +
         std::to_string(low) + " to " + std::to_string(high) + " expected";
}

struct ModeProblem {
  std::string operator()(const Sync& sync) const {
    return whole_problem("mode.backup_workers", sync.backup_workers, 0, kMaxNodeIndex);
  }
  std::string operator()(const Async& async) const {
    if (async.max_staleness >= 0) {
      if (auto why =
              whole_problem("mode.max_staleness", static_cast<std::uint64_t>(async.max_staleness),
                            0, kMaxStaleness);
          !why.empty())
        return why;
    }
    if (auto why =
            whole_problem("mode.pushes_per_update", async.pushes_per_update, 1, kMaxNodeIndex);
        !why.empty())
      return why;
    return range_problem("mode", std::array<Range, 2>{{
                                     {"lambda", async.lambda, 0, kMaxFloat},
                                     {"decay", async.decay, 0, kBelowOne},
                                 }});
  }
  std::string operator()(const Ssp& ssp) const {
    return whole_problem("mode.staleness", ssp.staleness, 0, kMaxStaleness);
  }
  std::string operator()(const LocalSgd& local) const {
    if (auto why = whole_problem("mode.start_samples", local.start_samples, 0, kMaxSamples);
        !why.empty())
      return why;
    return whole_problem("mode.steps", local.steps, 1, kMaxNodeIndex);
  }
  std::string operator()(const Easgd& easgd) const {
    if (auto why = whole_problem("mode.period", easgd.period, 1, kMaxNodeIndex); !why.empty())
      return why;
    return range_problem("mode", std::array<Range, 1>{{{"alpha", easgd.alpha, 0, 1}}});
  }
};

std::string mode_problem(const Consistency& mode) {
  return std::visit(ModeProblem{}, mode);
}

// Every field that a rule has, by its name.
struct OptimizerProblem {
  template <class Rule>
  std::string operator()(const Rule& rule) const {
    std::string why =
        range_problem("optimizer", std::array<Range, 1>{{{"lr", rule.lr, 0, kMaxFloat}}});
    const auto check = [&](const char* name, double value, double high) {
      if (why.empty())
        why = range_problem("optimizer", std::array<Range, 1>{{{name, value, 0, high}}});
    };
    if constexpr (requires { rule.weight_decay; })
      check("weight_decay", rule.weight_decay, kMaxFloat);
    if constexpr (requires { rule.momentum; }) check("momentum", rule.momentum, 1);
    if constexpr (requires { rule.beta1; }) check("beta1", rule.beta1, kBelowOne);
    if constexpr (requires { rule.beta2; }) check("beta2", rule.beta2, kBelowOne);
    if constexpr (requires { rule.alpha; }) check("alpha", rule.alpha, kBelowOne);
    if constexpr (requires { rule.epsilon; }) check("epsilon", rule.epsilon, kMaxFloat);
    if constexpr (requires { rule.eta; }) check("eta", rule.eta, kMaxFloat);
    if constexpr (requires { rule.beta; }) check("beta", rule.beta, kMaxFloat);
    if constexpr (requires { rule.l1; }) check("l1", rule.l1, kMaxFloat);
    if constexpr (requires { rule.l2; }) check("l2", rule.l2, kMaxFloat);
    if constexpr (requires { rule.settings; }) {
      if (why.empty()) why = name_problem("optimizer.name", rule.name);
      if (why.empty()) why = count_problem("optimizer.settings", rule.settings.size(), 1024);
      for (const float setting : rule.settings) {
        if (why.empty())
          why = range_problem("optimizer",
                              std::array<Range, 1>{{{"settings", setting, -kMaxFloat, kMaxFloat}}});
      }
    }
    return why;
  }
};

std::string optimizer_problem(const Optimizer& optimizer) {
  return std::visit(OptimizerProblem{}, optimizer);
}

std::string schedule_problem(const Schedule& schedule) {
  for (const auto& [name, samples] : {std::pair{"warmup_samples", schedule.warmup_samples},
                                      std::pair{"total_samples", schedule.total_samples},
                                      std::pair{"step_samples", schedule.step_samples},
                                      std::pair{"epoch_samples", schedule.epoch_samples}}) {
    if (samples > kMaxSamples) {
      return std::string("schedule.") + name + " is " + std::to_string(samples) + ", at most " +
             std::to_string(kMaxSamples) + " is allowed";
    }
  }
  using Kind = Schedule::Kind;
  if (schedule.kind == Kind::kStep && schedule.step_samples == 0) {
    return "schedule.step_samples is 0: a step schedule needs the samples between two steps";
  }
  const bool has_end = schedule.kind == Kind::kLinear || schedule.kind == Kind::kCosine;
  if (has_end && schedule.total_samples <= schedule.warmup_samples) {
    return "schedule.total_samples is " + std::to_string(schedule.total_samples) +
           ": more than warmup_samples (" + std::to_string(schedule.warmup_samples) + ") expected";
  }
  if (auto why = whole_problem("schedule.warmup_power", schedule.warmup_power, 1, 64); !why.empty())
    return why;
  return range_problem("schedule", std::array<Range, 4>{{
                                       {"warmup_start", schedule.warmup_start, 0, kMaxFloat},
                                       {"step_gamma", schedule.step_gamma, 0, kMaxFloat},
                                       {"final_factor", schedule.final_factor, 0, kMaxFloat},
                                       {"warmup_momentum", schedule.warmup_momentum, -1, kBelowOne},
                                   }});
}

std::string groups_problem(const std::vector<ParameterGroup>& groups) {
  if (auto why = count_problem("groups", groups.size(), ControlLimits::kGroups); !why.empty()) {
    return why;
  }
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const std::string path = "groups[" + std::to_string(i) + ']';
    if (auto why = name_problem("pattern", groups[i].pattern); !why.empty()) {
      return at(path, why);
    }
    const std::array<Range, 3> ranges{{
        {"lr_scale", groups[i].lr_scale, 0, kMaxFloat},
        {"weight_decay", groups[i].weight_decay, -kMaxFloat, kMaxFloat},
        {"warmup_start", groups[i].warmup_start, -kMaxFloat, kMaxFloat},
    }};
    if (auto why = range_problem(path, ranges); !why.empty()) return why;
  }
  return {};
}

std::string options_problem(const ModelOptions& options) {
  if (auto why = mode_problem(options.mode); !why.empty()) return why;
  if (auto why = optimizer_problem(options.optimizer); !why.empty()) return why;
  if (auto why = schedule_problem(options.schedule); !why.empty()) return why;
  if (auto why = groups_problem(options.groups); !why.empty()) return why;
  if (auto why = range_problem("options", std::array<Range, 4>{{
                                              {"clip_norm", options.clip_norm, 0, kMaxFloat},
                                              {"compression.top", options.compression.top, 0, 1},
                                              {"ema.decay", options.ema.decay, 0, 1},
                                              {"ema.tau", options.ema.tau, 0, kMaxFloat},
                                          }});
      !why.empty())
    return why;
  if (options.chunk_bytes != 0 &&
      (options.chunk_bytes < sizeof(float) || options.chunk_bytes > kMaxPayloadBytes)) {
    return "chunk_bytes is " + std::to_string(options.chunk_bytes) + ", 0 or a number from " +
           std::to_string(sizeof(float)) + " to " + std::to_string(kMaxPayloadBytes) + " expected";
  }
  return {};
}

// --- Tables ------------------------------------------------------------------------------------

std::string shape_problem(const std::vector<std::int64_t>& shape) {
  if (auto why = count_problem("dimensions", shape.size(), ControlLimits::kDimensions);
      !why.empty()) {
    return "has " + why;
  }
  std::uint64_t elements = 1;
  for (const std::int64_t dimension : shape) {
    if (dimension < 1) {
      return "has a dimension of " + std::to_string(dimension) + ", at least 1 expected";
    }
    if (static_cast<std::uint64_t>(dimension) > ControlLimits::kElements / elements) {
      return "has more than " + std::to_string(ControlLimits::kElements) + " elements";
    }
    elements *= static_cast<std::uint64_t>(dimension);
  }
  return {};
}

std::string table_problem(const std::vector<ParameterInfo>& parameters) {
  if (auto why = count_problem("parameters", parameters.size(), ControlLimits::kParameters);
      !why.empty()) {
    return why;
  }
  std::unordered_map<std::string_view, std::size_t> seen;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const ParameterInfo& parameter = parameters[i];
    const auto which = [i] { return "parameter " + std::to_string(i); };
    const auto quoted = [&] { return which() + " '" + parameter.name + "' "; };
    if (auto why = name_problem("name", parameter.name); !why.empty()) return at(which(), why);
    if (auto why = shape_problem(parameter.shape); !why.empty()) return quoted() + why;
    const auto [first, inserted] = seen.emplace(parameter.name, i);
    if (!inserted) return quoted() + "has the name of parameter " + std::to_string(first->second);
  }
  return {};
}

std::string model_problem(const std::string& name,
                          const ModelOptions& options,
                          const std::vector<ParameterInfo>& parameters) {
  if (auto why = name_problem("the model's name", name); !why.empty()) return why;
  if (auto why = options_problem(options); !why.empty()) return why;
  return table_problem(parameters);
}

// --- Messages; those not named here have nothing to check --------------------------------------

struct MessageProblem {
  template <class Message>
  std::string operator()(const Message& /*message*/) const {
    return {};
  }

  std::string operator()(const Join& join) const {
    if (join.index > kMaxNodeIndex) {
      return "index is " + std::to_string(join.index) + ", at most " +
             std::to_string(kMaxNodeIndex) + " is allowed";
    }
    if (auto why = short_text_problem("endpoint", join.endpoint); !why.empty()) return why;
    return short_text_problem("build", join.build);
  }

  std::string operator()(const Register& registration) const {
    return model_problem(registration.name, registration.options, registration.parameters);
  }

  std::string operator()(const LeaseRequest& request) const {
    return request.block > 0 ? std::string() : "block is 0, at least 1 sample expected";
  }

  std::string operator()(const LeaseGrant& grant) const {
    if (grant.begin <= grant.end) return {};
    return "samples " + std::to_string(grant.begin) + " to " + std::to_string(grant.end) +
           ": an end after its begin expected";
  }

  std::string operator()(const View& view) const {
    if (auto why = members_problem(view); !why.empty()) return why;
    if (auto why = count_problem("models", view.models.size(), ControlLimits::kModels);
        !why.empty()) {
      return why;
    }
    std::size_t parameters = 0;
    std::size_t chunks = 0;
    std::unordered_set<std::uint16_t> ids;
    for (const ModelInfo& model : view.models) {
      const std::string which = "model " + std::to_string(model.id);
      if (!ids.insert(model.id).second) return which + " stands there twice";
      if (auto why = model_problem(model.name, model.options, model.parameters); !why.empty()) {
        return at(which, why);
      }
      for (const std::uint32_t shard : model.placement) {
        if (shard >= view.shards.size()) {
          return which + ": a chunk on shard " + std::to_string(shard) + " of " +
                 std::to_string(view.shards.size());
        }
      }
      parameters += model.parameters.size();
      chunks += model.placement.size();
    }
    if (auto why = count_problem("parameters", parameters, ControlLimits::kParameters);
        !why.empty()) {
      return why;
    }
    return count_problem("chunks", chunks, ControlLimits::kChunks);
  }

 private:
  static std::string members_problem(const View& view) {
    if (auto why = count_problem("workers", view.workers.size(), ControlLimits::kNodes);
        !why.empty()) {
      return why;
    }
    if (auto why = count_problem("shards", view.shards.size(), ControlLimits::kNodes);
        !why.empty()) {
      return why;
    }
    for (const ShardInfo& shard : view.shards) {
      if (auto why = short_text_problem("endpoint", shard.endpoint); !why.empty()) return why;
    }
    return {};
  }
};

}  // namespace

std::string problem(const Control& control) {
  return std::visit(MessageProblem{}, control);
}

}  // namespace ps::wire
