// One model's update rule on its chunks: what ps::ModelOptions asks for, turned into one fused pass
// (kernels/update.h) per chunk and update. Knows nothing of messages, rounds or clocks. Formulas:
// docs/optimizers.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <ps/options.h>

#include "base/buffer.h"
#include "kernels/update.h"

namespace ps::server {

// What one worker pushed for a chunk. The values may lie at any byte address.
struct Contribution {
  std::uint32_t rank = 0;  // whose; the caller's order counts, not this
  double weight = 0.0;     // n, see Optimizer::weight_of
  std::span<const float> values;
};

// Whether n is one that float32 can work with: 0, or between 1e-30 and 1e30.
inline bool usable_weight(double n) {
  return n == 0 || (n >= 1e-30 && n <= 1e30);
}

// Immutable after construction: any number of threads may use it on chunks of their own.
class Optimizer {
 public:
  // Throws ps::Error(kInvalidArgument), naming the field, for options that mean nothing. `workers`
  // is N of the asynchronous Average. REQUIRES: workers > 0.
  Optimizer(const ModelOptions& options, std::uint32_t workers);

  // What a chunk remembers between updates.
  struct ChunkState {
    Memory floats;              // momentum: v; Adam: all m, then all v; else empty
    std::uint64_t updates = 0;  // of trained parameters: Adam's t
    float lr = 0.0F;            // the learning rate of the last update; 0 for none and for Average
  };
  [[nodiscard]] std::size_t state_floats_per_element() const;  // 0, 1 or 2
  [[nodiscard]] ChunkState make_state(std::size_t elements) const;

  // The n by which a contribution of `samples` samples counts. Under Reduce::kSum gradients add up
  // as they are: 1, or 0 if there are no samples. To be asked once, on arrival, so that sums folded
  // beforehand and contributions agree.
  [[nodiscard]] double weight_of(ParameterKind kind, double samples) const;

  struct Step {
    ParameterKind kind = ParameterKind::kTrained;
    float lr_scale = 1.0F;      // of the parameter's group (groups.h)
    float weight_decay = 0.0F;  // likewise
    double lr_factor = 1.0;     // of the schedule (schedule.h)
    std::uint64_t staleness = 0;
    // Async and ssp: there is one contribution, and it is the gradient as it stands (n * g / n
    // would round twice). For Average it moves the value by 1 / N.
    bool single = false;
  };

  // All of one size. new_weights may be old_weights, and overlaps nothing else.
  struct Vectors {
    std::span<const float> old_weights;
    std::span<float> new_weights;
    std::span<const float> folded;  // sum of n * g folded beforehand (kernels/reduce.h), or empty
    double folded_weight = 0.0;     // sum of its n
    std::span<const Contribution> contributions;  // to add to it, in this order
  };

  // One update. A contribution whose n is 0 is left out; when none is left and nothing was folded,
  // the weights stay, state and all, with lr = 0. REQUIRES: every n is usable_weight(). Returns
  // whether the new weights are finite: finite gradients may overflow.
  bool apply(const Step& step, const Vectors& vectors, ChunkState& state) const;

 private:
  [[nodiscard]] float learning_rate(const Step& step) const;
  bool update(const Step& step, const kernels::UpdatePass& gradient, ChunkState& state) const;
  bool average(const Step& step, const kernels::UpdatePass& pass) const;

  ps::Optimizer rule_;
  Reduce reduce_;
  float workers_;
  bool staleness_aware_ = false;
  const kernels::UpdateOps* kernels_;
};

}  // namespace ps::server
