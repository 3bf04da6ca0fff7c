// Update rules of the program's own. The shards call them as they call the built-in ones: a chunk
// and an update at a time. To use one: register it in every process, then ask for it by
// ModelOptions::optimizer = CustomRule{.name = ...}.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace ps {

// One update of one chunk: some of a parameter's elements, in order. All vectors have one size and
// lie apart, but for new_weights, which may be old_weights. They are the rule's during the call.
struct UpdateStep {
  std::span<const float> old_weights;
  std::span<float> new_weights;     // for the rule to write, every element
  std::span<const float> gradient;  // of all workers (Reduce), clipped; without the weight decay
  // What the rule remembers of the chunk: state_floats() vectors of the chunk's size, one after the
  // other. 0 before the first update, checkpointed, and 0 again after an update that overflowed.
  std::span<float> states;
  float lr = 0.0F;                  // of this update: schedule, group and staleness are in it
  float weight_decay = 0.0F;        // of the parameter's group
  std::uint64_t updates = 1;        // t, of this chunk, from 1
  std::span<const float> settings;  // CustomRule::settings

  [[nodiscard]] std::span<float> state(std::size_t i) const {
    return states.subspan(i * gradient.size(), gradient.size());
  }
};

class UpdateRule {
 public:
  virtual ~UpdateRule() = default;

  // State floats per element of the weights. The same at every call.
  [[nodiscard]] virtual std::size_t state_floats() const noexcept = 0;

  // Writes the new weights and moves the states. Runs on the shards' threads (with Update::kWorker
  // on the workers'), on several chunks at once, and holds up all that the shard does: no locks, no
  // input or output. What it computes should depend on `step` alone, or replays and equal jobs
  // differ. New weights that are not finite are thrown away.
  virtual void update(const UpdateStep& step) const noexcept = 0;
};

// Makes the rule known in this process under `name`, for good. To be called in main() before
// Session::open, in every process of the job: servers need it as workers do. Any thread may call
// it. Throws ps::Error(kInvalidArgument) for an empty name, a null rule or a name registered
// before.
void register_update_rule(const std::string& name, std::shared_ptr<const UpdateRule> rule);

}  // namespace ps
