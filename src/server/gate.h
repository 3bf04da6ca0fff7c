// When a worker may read weights again (bounded staleness): keeps one clock per worker, as this
// shard has seen them. In sync mode the rounds are the gate, in async mode there is none. Pure.
//
// Invariants
// 1. A clock never falls within a worker's life, except to where the others are when it joins
// (again).
// 2. Only counted workers hold others back: not the dead, not those that have retired for a while.
// 3. least_ is the least clock of those that count, and at_least_ how many of them have it, so that
// a step costs a look at all workers only when the last of the slowest has made it.
#pragma once

#include <cstdint>
#include <vector>

#include <ps/options.h>

namespace ps::server {

class Gate {
 public:
  Gate(const Consistency& mode, std::uint32_t workers);

  // The worker starts (again) at the least clock of the others that count, or where the furthest
  // was. Returns that.
  std::uint64_t join(std::uint32_t rank);
  // It takes no step for a while, or is dead.
  void leave(std::uint32_t rank);
  // It has completed a step.
  void step_done(std::uint32_t rank);

  // May `rank` read what it is to have at `clock` completed steps? In ssp mode: once it has
  // completed them itself and nobody that counts is more than `staleness` behind.
  [[nodiscard]] bool open(std::uint32_t rank, std::uint64_t clock) const;

  [[nodiscard]] std::uint64_t clock(std::uint32_t rank) const { return clocks_[rank]; }
  // Of those that count; the greatest there is if nobody does.
  [[nodiscard]] std::uint64_t least() const { return least_; }
  [[nodiscard]] bool bounded() const { return bounded_; }

 private:
  [[nodiscard]] bool counts(std::uint32_t rank) const;
  void find_least();

  bool bounded_ = false;
  std::uint64_t staleness_ = 0;
  std::vector<std::uint64_t> clocks_;
  std::vector<bool> counted_;
  std::uint64_t least_ = 0;
  std::uint32_t at_least_ = 0;
};

}  // namespace ps::server
