#include "server/round.h"

#include <algorithm>

#include "base/planted.h"
#include "kernels/reduce.h"

namespace ps::server {

bool Round::offer(std::uint32_t rank, double weight, Buffer values) {
  if (has(rank)) {
    if (!planted(PlantedBug::kCountNotSet)) return false;
    order_.push_back(rank);  // the bug: a repeated contribution counts as another one
    return false;
  }
  staged_bytes_ += values.size();
  order_.push_back(rank);
  staged_.emplace(rank, Staged{values.empty() ? 0.0 : weight, std::move(values)});
  return true;
}

bool Round::complete(std::uint32_t workers) const {
  if (planted(PlantedBug::kCountNotSet)) return order_.size() >= workers;
  return folded_ranks_ + staged_.size() == workers;
}

void Round::keep(std::span<const std::uint32_t> ranks) {
  std::erase_if(staged_, [&](const auto& entry) {
    if (std::ranges::binary_search(ranks, entry.first)) return false;
    staged_bytes_ -= entry.second.values.size();
    return true;
  });
}

std::uint32_t Round::awaited() const {
  std::uint32_t rank = folded_ranks_;
  while (staged_.contains(rank)) ++rank;
  return rank;
}

void Round::fold(BlockPool& pool, std::size_t elements) {
  const kernels::ReduceOps& ops = kernels::reduce(kernels::best_isa());
  for (auto first = staged_.begin(); first != staged_.end() && first->first == folded_ranks_;
       first = staged_.begin()) {
    const Staged& staged = first->second;
    if (staged.weight > 0) {
      const bool starts = sum_.size() == 0;
      if (starts) sum_ = pool.acquire(elements * sizeof(float));
      (starts ? ops.start : ops.add)(sum_.as<float>().data(), floats(staged.values).data(),
                                     static_cast<float>(staged.weight), elements);
      folded_weight_ += staged.weight;
      folded_contributors_.push_back(folded_ranks_);
    }
    staged_bytes_ -= staged.values.size();
    staged_.erase(first);
    ++folded_ranks_;
  }
}

std::vector<optim::Contribution> Round::contributions() const {
  std::vector<optim::Contribution> result;
  if (planted(PlantedBug::kArrivalOrder)) {
    for (const std::uint32_t rank : order_) {
      const auto staged = staged_.find(rank);
      if (staged != staged_.end() && staged->second.weight > 0) {
        result.push_back({rank, staged->second.weight, floats(staged->second.values)});
      }
    }
    return result;
  }
  for (const auto& [rank, staged] : staged_) {
    if (staged.weight > 0) result.push_back({rank, staged.weight, floats(staged.values)});
  }
  return result;
}

std::vector<std::uint32_t> Round::contributors() const {
  std::vector<std::uint32_t> ranks = folded_contributors_;
  for (const auto& [rank, staged] : staged_) {
    if (staged.weight > 0) ranks.push_back(rank);
  }
  return ranks;
}

void Round::reset() {
  *this = Round();
}

}  // namespace ps::server
