// One step of one model on its way out: which gradients are there, which buckets have left, what
// came back. Pure.
//
// Invariant: of each shard, the last bucket to leave leaves only after the step has ended, so that
// it can say so.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/plan.h"

namespace ps::worker {

enum class Verb : std::uint8_t { kPush, kPushPull };

struct StepBegin {
  Verb verb = Verb::kPushPull;
  double weight = 1;          // n of the weighted mean; 0: this worker contributes nothing
  std::uint32_t samples = 0;  // that the step consumed, for schedules
};

struct StepResult {
  std::uint64_t version = 0;    // the least version of the weights now held
  std::uint64_t staleness = 0;  // the greatest of the step's updates
  double staleness_sum = 0;     // over its chunks; a message counts as its stalest one
  std::uint64_t chunks = 0;     // that were updated
  float lr = 0;                 // the last one used
  std::uint32_t nonfinite = 0;  // messages refused because of NaN or infinity
  std::uint32_t stale = 0;      // messages dropped as too stale
  std::uint32_t skipped = 0;    // messages of a round that changed nothing, being not finite
  std::uint32_t late = 0;       // messages that came after their round had been committed
};

// What a step's model asks for.
struct StepWays {
  bool whole = false;  // nothing leaves before the step has ended: its gradient is looked at whole
  bool early = false;  // a chunk's weights, once they have come, stay what the step leaves
};

class Step {
 public:
  void begin(const Plan& plan, const StepBegin& begin, const StepWays& ways = {});
  [[nodiscard]] bool active() const { return active_; }
  [[nodiscard]] const StepBegin& how() const { return begin_; }

  // A parameter is ready (touched) or not part of the step. Returns the buckets that are thereby
  // complete. Saying it twice changes nothing.
  std::vector<std::uint32_t> settle(const Plan& plan, std::uint32_t parameter, bool touched);
  // Settles all parameters that are not settled yet.
  std::vector<std::uint32_t> end(const Plan& plan);
  void close() { active_ = false; }
  [[nodiscard]] bool ended() const { return ended_; }

  // The weights of one of the parameter's chunks have come. True when they were the last of a
  // parameter that nothing will change before the step is over.
  bool arrive(std::uint32_t parameter);
  // The parameters of which arrive() has said so; none in doubt.
  [[nodiscard]] std::vector<std::uint32_t> arrived() const;

  [[nodiscard]] bool touched(std::uint32_t parameter) const { return touched_[parameter]; }
  // May this complete bucket leave now? Not the last one of its shard before the end.
  [[nodiscard]] bool may_leave(const Plan& plan, std::uint32_t bucket) const;
  // It leaves. True when it is the shard's last one.
  bool leaves(const Plan& plan, std::uint32_t bucket);
  // Has it ended, and has every bucket left?
  [[nodiscard]] bool all_left() const;

  StepResult result;
  std::uint64_t ticket = 0;

 private:
  StepBegin begin_;
  bool active_ = false;
  bool ended_ = false;
  StepWays ways_;
  std::vector<bool> settled_;           // by parameter
  std::vector<bool> touched_;           // by parameter
  std::vector<std::uint32_t> awaited_;  // by parameter: chunks whose weights have not come
  std::vector<std::uint32_t> missing_;  // by bucket: parameters not settled yet
  std::vector<std::uint32_t> unsent_;   // by shard: buckets that have not left
};

}  // namespace ps::worker
