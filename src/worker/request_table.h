// The requests to one shard that have no final answer yet: numbers them, remembers their bytes, and
// says when to ask again. Pure.
//
// Invariants
// 1. A sequence number is used once; first_incomplete() is the least one without a final answer and
// never falls.
// 2. Every request ends: erased by its answer, or expired() once its deadline has passed without a
// sign of life.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/clock.h"
#include "cluster/timing.h"
#include "wire/header.h"

namespace ps::worker {

class RequestTable {
 public:
  struct Request {
    wire::Message message;
    std::uint64_t owner = 0;  // the caller's: which operation it belongs to
    std::size_t credit =
        0;  // bytes that count against the window; given back at the first sign of receipt
    bool resend = false;  // next time the whole message goes out, not a question about it
    TimePoint next{};     // when to ask or send again
    Duration pause{};     // doubles
    TimePoint deadline{};
  };
  struct Due {
    std::uint64_t sequence;
    bool resend;
  };

  RequestTable(const cluster::Timing& timing, std::uint64_t jitter_seed)
      : timing_(timing), jitter_(jitter_seed) {}

  // Takes the message over, sets its sequence number, and returns that.
  std::uint64_t add(wire::Message message, std::uint64_t owner, std::size_t credit, TimePoint now);
  Request* find(std::uint64_t sequence);
  void erase(std::uint64_t sequence) { requests_.erase(sequence); }

  // The shard is alive and knows it (or answered something that means: not yet).
  void heard(Request& request, TimePoint now);
  // The shard has not taken it: send it again after `delay`.
  void again(Request& request, TimePoint now, Duration delay);

  // Those to ask about or send again now; reschedules them.
  std::vector<Due> due(TimePoint now);
  // The first request whose deadline has passed, or null.
  [[nodiscard]] const Request* expired(TimePoint now) const;
  [[nodiscard]] TimePoint next_time() const;

  [[nodiscard]] std::uint64_t first_incomplete() const;
  [[nodiscard]] std::size_t size() const { return requests_.size(); }

 private:
  Duration jittered(Duration pause);

  cluster::Timing timing_;
  std::uint64_t jitter_;
  std::uint64_t next_sequence_ = 1;
  std::map<std::uint64_t, Request> requests_;
};

}  // namespace ps::worker
