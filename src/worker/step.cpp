#include "worker/step.h"

#include <algorithm>

namespace ps::worker {

void Step::begin(const Plan& plan, const StepBegin& begin, const StepWays& ways) {
  ways_ = ways;
  begin_ = begin;
  active_ = true;
  ended_ = false;
  result = {};
  const std::size_t parameters = plan.buckets_of_parameter.size();
  settled_.assign(parameters, false);
  touched_.assign(parameters, false);
  awaited_.resize(parameters);
  for (std::size_t i = 0; i < parameters; ++i)
    awaited_[i] = plan.first_chunk[i + 1] - plan.first_chunk[i];
  missing_.resize(plan.buckets.size());
  for (std::size_t i = 0; i < missing_.size(); ++i) {
    missing_[i] = static_cast<std::uint32_t>(plan.buckets[i].parameters.size());
  }
  unsent_ = plan.buckets_of_shard;
}

std::vector<std::uint32_t> Step::settle(const Plan& plan, std::uint32_t parameter, bool touched) {
  std::vector<std::uint32_t> complete;
  if (settled_[parameter]) return complete;
  settled_[parameter] = true;
  touched_[parameter] = touched && begin_.weight > 0;
  for (const std::uint32_t bucket : plan.buckets_of_parameter[parameter]) {
    if (--missing_[bucket] == 0) complete.push_back(bucket);
  }
  return complete;
}

std::vector<std::uint32_t> Step::end(const Plan& plan) {
  ended_ = true;
  std::vector<std::uint32_t> complete;
  for (std::uint32_t parameter = 0; parameter < settled_.size(); ++parameter) {
    const auto more = settle(plan, parameter, true);
    complete.insert(complete.end(), more.begin(), more.end());
  }
  return complete;
}

bool Step::arrive(std::uint32_t parameter) {
  // What came late leaves weights of several rounds, to be fetched once more.
  if (!active_ || !ways_.early || result.late > 0) return false;
  return --awaited_[parameter] == 0;
}

std::vector<std::uint32_t> Step::arrived() const {
  std::vector<std::uint32_t> parameters;
  for (std::uint32_t i = 0; i < awaited_.size() && ways_.early && result.late == 0; ++i) {
    if (awaited_[i] == 0) parameters.push_back(i);
  }
  return parameters;
}

bool Step::may_leave(const Plan& plan, std::uint32_t bucket) const {
  return ended_ || (!ways_.whole && unsent_[plan.buckets[bucket].shard] > 1);
}

bool Step::all_left() const {
  return ended_ && std::ranges::all_of(unsent_, [](std::uint32_t buckets) { return buckets == 0; });
}

bool Step::leaves(const Plan& plan, std::uint32_t bucket) {
  return --unsent_[plan.buckets[bucket].shard] == 0;
}

}  // namespace ps::worker
