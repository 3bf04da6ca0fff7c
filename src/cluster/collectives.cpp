#include "cluster/collectives.h"

#include <algorithm>

namespace ps::cluster {
namespace {

constexpr std::uint64_t kKeptResults = 4;

}  // namespace

Collectives::Outcome Collectives::contribute(std::uint32_t rank,
                                             std::uint64_t index,
                                             const std::vector<double>& values) {
  if (index < oldest_) return {};  // an echo of a request that was answered long ago
  Call& call = calls_[index];
  if (call.sum) return {call.sum, {}};
  for (const auto& [other, part] : call.parts) {
    if (part.size() != values.size()) {
      return {std::nullopt, "worker " + std::to_string(rank) + " reduces " +
                                std::to_string(values.size()) + " values where worker " +
                                std::to_string(other) + " reduces " + std::to_string(part.size()) +
                                ": all workers must call barrier() and reduce() in the same order"};
    }
  }
  call.parts.emplace(rank, values);
  if (call.parts.size() < workers_) return {};
  std::vector<double> sum(values.size(), 0.0);
  for (const auto& [other, part] : call.parts) {
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += part[i];
  }
  call.parts.clear();
  call.sum = std::move(sum);
  if (index > kKeptResults) oldest_ = std::max(oldest_, index - kKeptResults);
  calls_.erase(calls_.begin(), calls_.lower_bound(oldest_));
  return {calls_[index].sum, {}};
}

std::vector<std::uint32_t> Collectives::missing(std::uint64_t index) const {
  std::vector<std::uint32_t> ranks;
  if (index < oldest_) return ranks;
  const auto call = calls_.find(index);
  for (std::uint32_t rank = 0; rank < workers_; ++rank) {
    if (call == calls_.end() || (!call->second.sum && !call->second.parts.contains(rank)))
      ranks.push_back(rank);
  }
  return ranks;
}

}  // namespace ps::cluster
