// Sums over the updates of one model's chunks at one shard, from which ps::Measures are made. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include <ps/measures.h>

#include "optim/optimizer.h"

namespace ps::server {

class Measure {
 public:
  // One chunk's update: what each worker contributed, its weights before and after.
  void add(std::span<const optim::Contribution> contributions,
           std::span<const float> before,
           std::span<const float> after);
  // One whole update of the model: how many contributed so many samples.
  void end_update(std::size_t contributors, double samples);

  // Since the start. They travel as they are, are added over the shards, and then mean something.
  static constexpr std::size_t kSums = 8;
  [[nodiscard]] std::span<const double> sums() const { return sums_; }

 private:
  std::array<double, kSums> sums_{1.0};  // the first: how many shards have been added up
};

// From the sums over all shards now, and when they were asked before (empty: never).
Measures measures_of(std::span<const double> now, std::span<const double> before);

}  // namespace ps::server
