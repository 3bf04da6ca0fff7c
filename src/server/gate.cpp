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
}

std::uint64_t Gate::join(std::uint32_t rank) {
  if (counted_[rank]) return clocks_[rank];  // it was never away: the others have waited for it
  const bool others = std::ranges::find(counted_, true) != counted_.end();
  // Of a worker that never took a step the clock is 0, so at the start everybody joins at 0.
  const std::uint64_t start = others ? least() : *std::ranges::max_element(clocks_);
  clocks_[rank] = std::max(clocks_[rank], start);
  counted_[rank] = true;
  return clocks_[rank];
}

void Gate::step_done(std::uint32_t rank) {
  ++clocks_[rank];
}

bool Gate::open(std::uint32_t rank, std::uint64_t clock) const {
  if (!bounded_) return true;
  const std::uint64_t slack = staleness_ + (planted(PlantedBug::kGateOffByOne) ? 1 : 0);
  return clocks_[rank] >= clock && (clock <= slack || least() >= clock - slack);
}

std::uint64_t Gate::least() const {
  std::uint64_t least = ~std::uint64_t{0};
  for (std::size_t i = 0; i < clocks_.size(); ++i) {
    if (counted_[i] || planted(PlantedBug::kDeadWorkerInMinimum))
      least = std::min(least, clocks_[i]);
  }
  return least;
}

}  // namespace ps::server
