// What one shard remembers of one worker's requests, so that each takes effect exactly once and in
// order, whatever the network does (after RIFL, Lee et al., SOSP'15). Pure.
//
// Invariants
// 1. A request is handed on once, and only after every request with a lower number.
// 2. What is held for later is bounded; beyond that a request is told to come again.
// 3. An answer is remembered until the worker says that it has it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "wire/header.h"

namespace ps::server {

// How a finished request was answered; the weights are read afresh when it has to be said again.
struct Answer {
  wire::Status status = wire::Status::kOk;
  std::uint64_t clock = 0;
  std::uint32_t staleness = 0;
  double lr = 0;
};

class Window {
 public:
  enum class Verdict {
    kNext,      // the one that is due: process it now, then take() those that waited for it
    kHeld,      // an earlier one is missing: it waits here
    kWorking,   // it is here already and not answered yet
    kAnswered,  // it has been answered: say it again
    kOld,       // the worker has that answer: an echo of the network
    kFull,      // no room to hold it
  };

  // Looks at a request that came in; keeps the message if the verdict is kHeld.
  Verdict arrive(wire::Message& message);
  // Marks `sequence` as being processed. REQUIRES: arrive() said kNext, or take() gave it.
  void start(std::uint64_t sequence);
  // The held request that is due now, if there is one.
  std::optional<wire::Message> take();
  void finish(std::uint64_t sequence, const Answer& answer);
  // Forgets the answers below `first_incomplete`.
  void acknowledge(std::uint64_t first_incomplete);

  // Of a request that was started; null before its answer.
  [[nodiscard]] const Answer* answer(std::uint64_t sequence) const;
  [[nodiscard]] bool knows(std::uint64_t sequence) const;
  [[nodiscard]] std::size_t size() const { return entries_.size() + held_.size(); }

 private:
  static constexpr std::size_t kHeldMessages = 1024;
  static constexpr std::size_t kEntries = 65536;

  std::uint64_t next_ = 1;  // the lowest number that was not started
  std::uint64_t floor_ = 1;
  std::map<std::uint64_t, std::optional<Answer>> entries_;  // started, not acknowledged
  std::map<std::uint64_t, wire::Message> held_;
};

}  // namespace ps::server
