// One model's update rule on its chunks: what ps::ModelOptions asks for, turned into one fused pass
// (kernels/update.h) per chunk and update, or into stages where a rule needs norms of whole
// parameters. Knows nothing of messages, rounds or clocks. Formulas: docs/optimizers.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <ps/options.h>
#include <ps/update_rule.h>

#include "base/buffer.h"
#include "kernels/update.h"
#include "optim/groups.h"

namespace ps::optim {

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
    Memory floats;              // the rule's states one after the other, each for all elements
    std::uint64_t updates = 0;  // of trained parameters: Adam's t
    // The learning rate of the last update, as it is without a group; 0 for none and if untrained.
    float lr = 0.0F;
  };
  [[nodiscard]] std::size_t state_floats_per_element() const;
  [[nodiscard]] ChunkState make_state(std::size_t elements) const;

  // The n by which a contribution of `samples` samples counts. Under Reduce::kSum gradients add up
  // as they are, as Add's differences always do: 1, or 0 if there are no samples. To be asked once,
  // on arrival, so that sums folded beforehand and contributions agree.
  [[nodiscard]] double weight_of(ParameterKind kind, double samples) const;

  struct Step {
    ParameterKind kind = ParameterKind::kTrained;
    float lr_scale = 1.0F;                    // of the parameter's group (groups.h)
    float weight_decay = 0.0F;                // likewise
    double lr_factor = 1.0;                   // of the schedule (schedule.h)
    std::optional<double> group_factor = {};  // in its place for a group with a warm-up of its own
    std::optional<float> momentum = {};  // of the schedule; without, the rule's momentum or beta1
    std::uint64_t staleness = 0;
    // Async and ssp: there is one contribution, and it is the gradient as it stands (n * g / n
    // would round twice). For Average it moves the value by 1 / N.
    bool single = false;
    std::size_t dimensions = 2;  // of the parameter; LARS and LAMB leave vectors alone
    float clip = 1.0F;           // factor on the gradient, see clip_factor()
    float trust = 1.0F;          // see trust()
  };

  // Of `step`, what a parameter's group and the schedule after `samples` samples decide.
  void pace(const ParameterRates& rates, std::uint64_t samples, Step& step) const;

  // All of one size. new_weights may be old_weights, and overlaps nothing else.
  struct Vectors {
    std::span<const float> old_weights = {};
    std::span<float> new_weights = {};
    // Sum of n * g folded beforehand (kernels/reduce.h), or empty. Assign: the last values so far.
    std::span<const float> folded = {};
    double folded_weight = 0.0;                        // sum of its n
    std::span<const Contribution> contributions = {};  // to add to it, in this order
  };

  // One update. A contribution whose n is 0 is left out; when none is left and nothing was folded,
  // the weights stay, state and all, with lr = 0. REQUIRES: every n is usable_weight(). Returns
  // whether the new weights are finite: finite gradients may overflow. LARS and LAMB take the
  // chunk for the whole parameter and ignore step.trust; they and custom rules allocate a gradient.
  bool apply(const Step& step, const Vectors& vectors, ChunkState& state) const;

  // Updates in stages, for the norms that all chunks of a parameter or model have to agree on:
  // reduce() every chunk; from the total of sum_of_squares() step.clip; for LAMB direct(); from the
  // totals step.trust; apply_reduced(). Where clip and trust are 1, the bits are apply()'s.

  // Whether a round needs the sums of squares of gradients (clip_norm, LARS), or of LAMB's u.
  [[nodiscard]] bool needs_gradient_norms() const;
  [[nodiscard]] bool needs_update_norms() const;

  // What apply() would take for the gradient, before step.clip. Returns whether there is any
  // contribution; without one `gradient` is left as it was. The weights among the vectors are not
  // used.
  bool reduce(const Step& step, const Vectors& vectors, std::span<float> gradient) const;

  // In a fixed order (kernels/norm.h). Not finite exactly if a value is not.
  static double sum_of_squares(std::span<const float> values);

  // min(1, clip_norm / (norm + 1e-6)), 1 if clip_norm is 0. REQUIRES: the sum is finite.
  static float clip_factor(double sum_of_squares, float clip_norm);

  // LAMB only: turns the gradient (times step.clip) into the update's direction u in place, moves m
  // and v and counts the update.
  void direct(const Step& step,
              std::span<const float> weights,
              std::span<float> gradient_to_u,
              ChunkState& state) const;

  // The factor on a parameter's learning rate, from sums of squares over the whole of it: of its
  // weights and of, for LARS, its gradient before step.clip, for LAMB, u. 1 for fewer than two
  // dimensions, where a norm is 0 and for other rules.
  [[nodiscard]] float trust(const Step& step,
                            std::size_t dimensions,
                            double weight_squares,
                            double value_squares) const;

  // The rest of an update whose gradient (LAMB: u, which has step.clip in it) is there. Returns
  // whether the new weights are finite. new_weights may be old_weights.
  bool apply_reduced(const Step& step,
                     std::span<const float> old_weights,
                     std::span<float> new_weights,
                     std::span<const float> gradient,
                     ChunkState& state) const;

  // The moving average after update number `updates` (from 1) made `weights` (ModelOptions::ema).
  void follow(std::span<const float> weights, std::span<float> ema, std::uint64_t updates) const;

 private:
  [[nodiscard]] float learning_rate(const Step& step, double factor) const;
  [[nodiscard]] bool is_mean(ParameterKind kind) const;
  // What is to be summed; none without a contribution.
  struct Sum {
    std::vector<kernels::WeightedValues> terms;  // that `sum` points to
    kernels::WeightedSum sum;
  };
  [[nodiscard]] std::optional<Sum> gather(const Step& step,
                                          const Vectors& vectors,
                                          std::size_t size) const;
  bool apply_in_stages(const Step& step, const Vectors& vectors, ChunkState& state) const;
  bool finish(const Step& step, kernels::UpdatePass& pass, ChunkState& state) const;
  void add_state(kernels::UpdatePass& pass, const ChunkState& state) const;

  ps::Optimizer rule_;
  std::shared_ptr<const UpdateRule> custom_;  // of CustomRule, else null
  Schedule schedule_;
  Reduce reduce_;
  Ema ema_;
  float clip_norm_;
  float workers_;
  bool staleness_aware_;
  const kernels::UpdateOps* kernels_;
};

}  // namespace ps::optim
