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
  if (rank >= staged_.size()) staged_.resize(std::size_t{rank} + 1);
  staged_[rank] = {true, values.empty() ? 0.0 : weight, std::move(values)};
  ++staged_ranks_;
  return true;
}

bool Round::complete(std::uint32_t workers) const {
  if (planted(PlantedBug::kCountNotSet)) return order_.size() >= workers;
  return folded_ranks_ + staged_ranks_ == workers;
}

void Round::drop(Staged& staged) {
  staged_bytes_ -= staged.values.size();
  staged = {};
  --staged_ranks_;
}

void Round::keep(std::span<const std::uint32_t> ranks) {
  for (std::uint32_t rank = 0; rank < staged_.size(); ++rank) {
    if (staged_[rank].here && !std::ranges::binary_search(ranks, rank)) drop(staged_[rank]);
  }
}

std::uint32_t Round::awaited() const {
  std::uint32_t rank = folded_ranks_;
  while (is_staged(rank)) ++rank;
  return rank;
}

void Round::fold(BlockPool& pool, std::size_t elements) {
  const kernels::ReduceOps& ops = kernels::reduce(kernels::best_isa());
  for (; is_staged(folded_ranks_); ++folded_ranks_) {
    Staged& staged = staged_[folded_ranks_];
    if (staged.weight > 0) {
      const bool starts = sum_.size() == 0;
      if (starts) sum_ = pool.acquire(elements * sizeof(float));
      (starts ? ops.start : ops.add)(sum_.as<float>().data(), floats(staged.values).data(),
                                     static_cast<float>(staged.weight), elements);
      folded_weight_ += staged.weight;
      folded_contributors_.push_back(folded_ranks_);
    }
    drop(staged);
  }
}

std::vector<optim::Contribution> Round::contributions() const {
  std::vector<optim::Contribution> result;
  const auto add = [&](std::uint32_t rank) {
    if (!is_staged(rank) || staged_[rank].weight <= 0) return;
    result.push_back({rank, staged_[rank].weight, floats(staged_[rank].values)});
  };
  if (planted(PlantedBug::kArrivalOrder)) {
    for (const std::uint32_t rank : order_) add(rank);
    return result;
  }
  for (std::uint32_t rank = 0; rank < staged_.size(); ++rank) add(rank);
  return result;
}

std::vector<std::uint32_t> Round::contributors() const {
  std::vector<std::uint32_t> ranks = folded_contributors_;
  for (std::uint32_t rank = 0; rank < staged_.size(); ++rank) {
    if (is_staged(rank) && staged_[rank].weight > 0) ranks.push_back(rank);
  }
  return ranks;
}

// Keeps the table's memory, for the next round.
void Round::reset() {
  std::vector<Staged> staged = std::move(staged_);
  staged.clear();
  *this = Round();
  staged_ = std::move(staged);
}

}  // namespace ps::server
