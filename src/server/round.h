// One chunk's round in sync mode: who has contributed what. Contributions are summed in ascending
// rank, whatever the order of their arrival, so the sum has the same bits always. Those that came
// wait as they came (nothing is copied); fold() sums up the prefix of ranks that is there, when
// memory is short. Pure.
//
// Invariants
// 1. (rank, round) counts once: the first contribution that arrived whole stays, also if its worker
// dies.
// 2. Everything folded has a lower rank than everything staged.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/block_pool.h"
#include "base/buffer.h"
#include "optim/optimizer.h"

namespace ps::server {

// A payload's elements. They may start at any byte; the kernels read from any address.
inline std::span<const float> floats(const Buffer& buffer) {
  return {reinterpret_cast<const float*>(buffer.data()), buffer.size() / sizeof(float)};
}

class Round {
 public:
  // False if this rank has contributed already. Empty `values` (or weight 0) contribute n = 0.
  bool offer(std::uint32_t rank, double weight, Buffer values);
  [[nodiscard]] bool has(std::uint32_t rank) const {
    return rank < folded_ranks_ || is_staged(rank);
  }
  [[nodiscard]] bool complete(std::uint32_t workers) const;

  // Forgets what ranks other than these (ascending) have contributed. REQUIRES: nothing is folded.
  void keep(std::span<const std::uint32_t> ranks);

  // The lowest rank that has not contributed: the one that folding waits for.
  [[nodiscard]] std::uint32_t awaited() const;
  [[nodiscard]] std::size_t staged_bytes() const { return staged_bytes_; }
  // Sums the ranks below awaited().
  void fold(BlockPool& pool, std::size_t elements);

  // What the optimizer needs: the folded sum (empty if none) with its weight, and the rest by
  // ascending rank.
  [[nodiscard]] std::span<const float> folded() const { return sum_.as<float>(); }
  [[nodiscard]] double folded_weight() const { return folded_weight_; }
  [[nodiscard]] std::vector<optim::Contribution> contributions() const;
  // Ranks that contributed n > 0, ascending.
  [[nodiscard]] std::vector<std::uint32_t> contributors() const;

  void reset();

 private:
  struct Staged {
    bool here = false;
    double weight = 0;
    Buffer values;
  };
  [[nodiscard]] bool is_staged(std::uint32_t rank) const {
    return rank < staged_.size() && staged_[rank].here;
  }
  void drop(Staged& staged);

  // By rank, as far as the highest that has contributed: with a thousand workers a tree of them
  // would be most of what a contribution costs.
  std::vector<Staged> staged_;
  std::uint32_t staged_ranks_ = 0;    // how many of them are here
  std::vector<std::uint32_t> order_;  // of arrival
  std::size_t staged_bytes_ = 0;
  std::uint32_t folded_ranks_ = 0;
  double folded_weight_ = 0;
  std::vector<std::uint32_t> folded_contributors_;
  Memory sum_;
};

}  // namespace ps::server
