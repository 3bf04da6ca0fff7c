#include "optim/groups.h"

#include <cmath>
#include <variant>

#include <ps/error.h>

namespace ps::optim {
namespace {

void check(const ParameterGroup& group) {
  if (!std::isfinite(group.lr_scale) || group.lr_scale < 0) {
    throw Error(ErrorCode::kInvalidArgument, "groups: lr_scale of \"" + group.pattern +
                                                 "\" must be a finite number >= 0, got " +
                                                 std::to_string(group.lr_scale));
  }
  if (!std::isfinite(group.weight_decay)) {
    throw Error(ErrorCode::kInvalidArgument,
                "groups: weight_decay of \"" + group.pattern +
                    "\" must be finite (negative: the optimizer's), got " +
                    std::to_string(group.weight_decay));
  }
  if (!std::isfinite(group.warmup_start)) {
    throw Error(ErrorCode::kInvalidArgument,
                "groups: warmup_start of \"" + group.pattern +
                    "\" must be finite (negative: the schedule's), got " +
                    std::to_string(group.warmup_start));
  }
}

template <class Rule>
float decay_of(const Rule& rule) {
  if constexpr (requires { rule.weight_decay; }) {
    return rule.weight_decay;
  } else {
    return 0.0F;  // FTRL has its own l2
  }
}

}  // namespace

bool matches(std::string_view pattern, std::string_view name) {
  // On a mismatch after a *, that * takes one character more. Earlier ones never need to: what lies
  // between two of them already matches as far left as it can.
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_end = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_end = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++star_end;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

ResolvedGroups resolve_groups(const ModelOptions& options, std::span<const std::string> names) {
  const float decay =
      std::visit([](const auto& rule) { return decay_of(rule); }, options.optimizer);
  ResolvedGroups result;
  const float start = options.schedule.warmup_start;
  result.rates.assign(names.size(),
                      {.lr_scale = 1.0F, .weight_decay = decay, .warmup_start = start});
  for (const ParameterGroup& group : options.groups) {
    check(group);
    bool matched = false;
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!matches(group.pattern, names[i])) continue;
      matched = true;
      result.rates[i] = {.lr_scale = group.lr_scale,
                         .weight_decay = group.weight_decay >= 0 ? group.weight_decay : decay,
                         .warmup_start = group.warmup_start >= 0 ? group.warmup_start : start};
    }
    if (!matched) result.unmatched.push_back(group.pattern);
  }
  return result;
}

}  // namespace ps::optim
