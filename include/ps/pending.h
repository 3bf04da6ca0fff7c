// What a model's operations give: something to wait for, and what became of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

namespace ps {

// What became of a step.
struct StepInfo {
  std::uint64_t version =
      0;  // least version of the weights now held; in sync mode the number of rounds
  std::uint64_t staleness =
      0;                      // greatest of the step's updates: version applied at - version pulled
  double mean_staleness = 0;  // over the step's chunks: about workers - 1 where all are busy
  float lr = 0;            // learning rate that was applied last (before a parameter group's scale)
  bool accepted = true;    // every message was applied
  std::uint32_t late = 0;  // messages whose round had been committed without them: not applied
  std::uint32_t nonfinite = 0;  // messages refused whole because a value was NaN or infinite
  std::uint32_t stale = 0;      // messages dropped because of Async::max_staleness
  std::uint32_t skipped = 0;    // messages of a round that changed nothing (Finite::kStep)
};

// An operation under way. Every Pending ends: with a StepInfo, or with the Error that wait()
// throws. Movable; dropping one does not cancel it.
class Pending {
 public:
  class State;
  Pending() = default;
  explicit Pending(std::shared_ptr<State> state) : state_(std::move(state)) {}

  // Blocks until it is done. Throws the operation's Error, or Error(kTimeout) after `timeout`
  // (default: cluster.wait_ms); a timed-out operation goes on and may be waited for again.
  // REQUIRES: not default-constructed.
  StepInfo wait(std::optional<std::chrono::milliseconds> timeout = std::nullopt);
  [[nodiscard]] bool done() const;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace ps
