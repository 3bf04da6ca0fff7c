// Gradients of several backward passes that make one step: their weighted mean, as one pass over
// the joined batch would give it. Pure; sums are in fp32, in the order of the passes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <ps/options.h>

#include "base/buffer.h"

namespace ps::worker {

class Accumulator {
 public:
  struct Tensor {
    ParameterKind kind = ParameterKind::kTrained;
    Memory gradients;
  };
  Accumulator() = default;
  // Allocates nothing before the first add().
  Accumulator(Reduce reduce, std::vector<Tensor> tensors);

  // Takes `weight` * gradients (under Reduce::kSum, and for kAdd, the gradients as they are; of
  // kAssign the last ones count). REQUIRES: weight >= 0; one of 0 adds its samples only.
  void add(double weight, std::uint32_t samples);
  // Ends one parameter's sum: its gradients become the mean of what was added and of what they hold
  // now, by `weight` (not `touched`: of what was added alone). Returns whether it is part of the
  // step; without an add() that is `touched`, and the gradients stay.
  bool finish(std::size_t tensor, double weight, bool touched);
  // A step has taken it all.
  void clear();

  [[nodiscard]] double weight() const { return weight_; }
  [[nodiscard]] std::uint64_t samples() const { return samples_; }

 private:
  [[nodiscard]] bool is_mean(ParameterKind kind) const;
  void add_to(std::size_t tensor, double weight, bool first);

  Reduce reduce_ = Reduce::kMean;
  std::vector<Tensor> tensors_;
  std::vector<Memory> sums_;  // one per tensor, or none yet
  double weight_ = 0.0;
  std::uint64_t samples_ = 0;
};

}  // namespace ps::worker
