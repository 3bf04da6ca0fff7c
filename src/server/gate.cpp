#include "server/gate.h"

#include <algorithm>

#include "base/planted.h"

namespace ps::server {

Gate::Gate(const Consistency& mode, std::uint32_t workers)
    : clocks_(workers), counted_(workers, true) {
  if (const auto* ssp = std::get_if<Ssp>(&mode)) {
    bounded_ = true;
    staleness_ = ssp->staleness;
  }
  find_least();
}

bool Gate::counts(std::uint32_t rank) const {
  return counted_[rank] || planted(PlantedBug::kDeadWorkerInMinimum);
}

void Gate::find_least() {
  least_ = ~std::uint64_t{0};
  at_least_ = 0;
  for (std::uint32_t rank = 0; rank < clocks_.size(); ++rank) {
    if (!counts(rank) || clocks_[rank] > least_) continue;
    at_least_ = clocks_[rank] < least_ ? 1 : at_least_ + 1;
    least_ = clocks_[rank];
  }
}

std::uint64_t Gate::join(std::uint32_t rank) {
  if (counted_[rank]) return clocks_[rank];  // it was never away: the others have waited for it
  const bool others = std::ranges::find(counted_, true) != counted_.end();
  // Of a worker that never took a step the clock is 0, so at the start everybody joins at 0.
  const std::uint64_t start = others ? least() : *std::ranges::max_element(clocks_);
  clocks_[rank] = std::max(clocks_[rank], start);
  counted_[rank] = true;
  find_least();
  return clocks_[rank];
}

void Gate::leave(std::uint32_t rank) {
  counted_[rank] = false;
  find_least();
}

void Gate::step_done(std::uint32_t rank) {
  const bool was_least = counts(rank) && clocks_[rank] == least_;
  ++clocks_[rank];
  if (was_least && --at_least_ == 0) find_least();
}

bool Gate::open(std::uint32_t rank, std::uint64_t clock) const {
  if (!bounded_) return true;
  const std::uint64_t slack = staleness_ + (planted(PlantedBug::kGateOffByOne) ? 1 : 0);
  return clocks_[rank] >= clock && (clock <= slack || least_ >= clock - slack);
}

}  // namespace ps::server
