// Which parameter group's learning-rate scale and weight decay each parameter has. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ps/options.h>

namespace ps::optim {

// Whether the pattern fits the whole name: * stands for any characters or none, ? for one, all else
// for itself.
bool matches(std::string_view pattern, std::string_view name);

struct ParameterRates {
  float lr_scale = 1.0F;
  float weight_decay = 0.0F;
  float warmup_start = 0.0F;
};

struct ResolvedGroups {
  std::vector<ParameterRates> rates;   // one per name, in the names' order
  std::vector<std::string> unmatched;  // patterns that fit no name: most likely a slip
};

// The last group whose pattern fits decides all three numbers; without one they are 1, the
// optimizer's own weight decay and the schedule's warmup_start. Throws ps::Error(kInvalidArgument),
// naming the group, for a scale that is not finite and >= 0 or one of the others that is not
// finite.
ResolvedGroups resolve_groups(const ModelOptions& options, std::span<const std::string> names);

}  // namespace ps::optim
