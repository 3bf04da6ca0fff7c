// When a worker may read weights again (bounded staleness): keeps one clock per worker, as this
// shard has seen them. In sync mode the rounds are the gate, in async mode there is none. Pure.
//
// Invariants
// 1. A clock never falls within a worker's life, except to where the others are when it joins
// (again).
// 2. Only counted workers hold others back: not the dead, not those that have retired for a while.
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
  void leave(std::uint32_t rank) { counted_[rank] = false; }
  // It has completed a step.
  void step_done(std::uint32_t rank);

  // May `rank` read what it is to have at `clock` completed steps? In ssp mode: once it has
  // completed them itself and nobody that counts is more than `staleness` behind.
  [[nodiscard]] bool open(std::uint32_t rank, std::uint64_t clock) const;

  [[nodiscard]] std::uint64_t clock(std::uint32_t rank) const { return clocks_[rank]; }
  [[nodiscard]] std::uint64_t least() const;
  [[nodiscard]] bool bounded() const { return bounded_; }

 private:
  bool bounded_ = false;
  std::uint64_t staleness_ = 0;
  std::vector<std::uint64_t> clocks_;
  std::vector<bool> counted_;
};

}  // namespace ps::server
