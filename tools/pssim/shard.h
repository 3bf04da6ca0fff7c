// One shard of the simulation: the rounds and the gate are the server's own (server/round.h,
// server/gate.h); what they say is done in virtual time. Requests come in order and once, so there
// is no window; gradients are sizes, so nothing is added up. The chunks of a bucket travel together
// and have the same contributions at all times, so they share one round and one version.
//
// Invariants
// 1. Answers are given in the order in which they become due.
// 2. Sync: a bucket's round commits when every worker has contributed to it.
// 3. Else an answer goes out once its worker's step is whole and the gate lets the worker read.
#pragma once

#include <cstdint>
#include <vector>

#include "base/histogram.h"
#include "job.h"
#include "network.h"
#include "server/gate.h"
#include "server/round.h"

namespace pssim {

class Shard {
 public:
  // Both outlive it.
  Shard(const Job& job, const Layout& layout, std::uint32_t index);

  struct Push {
    std::uint32_t rank = 0;
    std::uint32_t bucket = 0;
    bool last = false;         // of the step's to this shard
    std::uint64_t pulled = 0;  // version
  };
  struct Answer {
    double ready = 0.0;
    std::uint32_t rank = 0;
    std::uint32_t bucket = 0;
    std::uint64_t version = 0;
  };
  // A push's first byte comes at `time`, and its last not before `whole`. Appends the answers that
  // become due through it.
  void receive(const Push& push, double time, double whole, std::vector<Answer>& answers);

  [[nodiscard]] const Port& in() const { return in_; }
  [[nodiscard]] const Port& processor() const { return processor_; }
  [[nodiscard]] const Port& out() const { return out_; }
  Port& out() { return out_; }
  [[nodiscard]] const ps::Histogram& staleness() const { return staleness_; }
  [[nodiscard]] std::size_t most_staged_bytes() const { return most_staged_; }

 private:
  struct Bucket {
    std::uint64_t version = 0;
    ps::server::Round round;
    std::vector<std::uint32_t> waiters;  // in the order of arrival, as they are answered
  };
  void contribute(const Push& push, double here, std::vector<Answer>& answers);
  void apply(const Push& push, double here, std::vector<Answer>& answers);
  void answer_step(std::uint32_t rank, double ready, std::vector<Answer>& answers);
  Bucket& bucket(std::uint32_t number) { return buckets_[place_[number]]; }

  const Job& job_;
  const Layout& layout_;
  bool sync_;
  Port in_, processor_, out_;
  std::vector<std::uint32_t> place_;  // of each of the layout's buckets that is here
  std::vector<Bucket> buckets_;
  ps::server::Gate gate_;
  std::vector<std::vector<std::uint32_t>> open_;  // by rank: its step's buckets, not answered
  std::vector<std::uint32_t> parked_;             // ranks whose step is whole and has to wait
  ps::Histogram staleness_;
  std::size_t staged_ = 0;
  std::size_t most_staged_ = 0;
};

}  // namespace pssim
