// A job in virtual time. An event is a message's first byte at its receiver, or the end of a
// worker's computing. What a shard or a card does is served in the order of arrival, so it is known
// at the event when it will be done, and needs no event of its own.
//
// Invariants
// 1. Events are handled in the order of their times, of equal ones by node: the seed decides all.
// 2. A worker computes, or its pushes leave, or it waits for answers: one at a time.
// 3. A node has at most one event in the calendar.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "base/histogram.h"
#include "base/random.h"
#include "calendar.h"
#include "job.h"
#include "network.h"
#include "shard.h"
#include "worker/step.h"

namespace pssim {

struct Use {
  double mean = 0.0;  // shares of the time
  double most = 0.0;  // of the busiest
};

struct Outcome {
  std::uint64_t events = 0;
  std::uint64_t messages = 0;
  std::uint64_t steps = 0;        // of all workers
  double seconds = 0.0;           // virtual, until the last step's end
  double steps_per_second = 0.0;  // of all workers, after the warm-up
  double step_seconds = 0.0;      // a worker's, on average, likewise
  double step_p50 = 0.0, step_p99 = 0.0;
  ps::Histogram staleness;  // versions, by bucket; none in bsp
  // By how many steps a worker that began one was ahead of the slowest, at most.
  std::uint64_t widest_gap = 0;
  Use computing;  // of the workers
  Use shard_in, shard_out, shard_update;
  std::size_t most_staged_bytes = 0;  // contributions that wait at one shard
};

// The share of the steps that are not measured: everybody begins at the same time.
inline constexpr double kWarmUpShare = 0.1;

class Simulation {
 public:
  explicit Simulation(const Job& job);
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  // Until the workers have made `steps` steps on average; nobody stops before, as the fastest would
  // leave the network to the others. `progress` is told the share that is done, every so many
  // events.
  Outcome run(const std::function<void(double)>& progress);
  [[nodiscard]] const Job& job() const { return job_; }
  [[nodiscard]] const Layout& layout() const { return layout_; }

 private:
  struct Worker {
    explicit Worker(const ps::Random& numbers) : random(numbers) {}
    ps::Random random;
    Port in, out;
    Queue queue;
    double began = 0.0;     // its step
    double computed = 0.0;  // seconds, in all
    double answered = 0.0;  // when its last answer was here
    std::uint32_t unanswered = 0;
    std::uint32_t unended = 0;  // shards that have not had the whole step
    bool computes = false;
    std::uint64_t clock = 0;  // steps that it completed
  };

  void begin_step(std::uint32_t rank, double now);
  void push(std::uint32_t rank, double now);
  void push_arrives(std::uint32_t rank, double now);
  void answer_arrives(std::uint32_t shard, double now);
  void end_step(std::uint32_t rank);
  void completed_everywhere(std::uint32_t rank);
  // The next message of the node's queue, if there is one, is what happens there next.
  void depart(std::uint32_t node);
  [[nodiscard]] bool over() const { return steps_ == wanted_; }
  [[nodiscard]] double seconds(std::uint32_t bucket, double bytes_per_second) const {
    return static_cast<double>(layout_.bytes[bucket]) / bytes_per_second;
  }
  [[nodiscard]] Outcome summary() const;

  const Job job_;
  const Layout layout_;
  const std::uint64_t wanted_;  // steps of all
  Calendar calendar_;           // workers, then shards
  std::vector<Worker> workers_;
  std::deque<Shard> shards_;
  std::vector<Queue> shard_queues_;
  ps::worker::Step step_;  // of one worker after the other: it begins and leaves at once
  std::vector<std::uint64_t> versions_;  // that a worker has of a bucket
  std::vector<Shard::Answer> answers_;   // scratch
  std::uint32_t shards_in_use_ = 0;

  // The slowest, by the pushes that shards have had; the gate has its own count.
  std::vector<std::uint64_t> ended_;     // by rank: steps that every shard has had whole
  std::vector<std::uint32_t> ended_by_;  // by steps: workers that have ended as many
  std::uint64_t slowest_ = 0;

  std::uint64_t events_ = 0;
  std::uint64_t messages_ = 0;
  std::uint64_t steps_ = 0;
  double now_ = 0.0;   // the latest end of a step
  double warm_ = 0.0;  // when the warm-up was over
  std::uint64_t warm_steps_ = 0;
  std::uint64_t widest_gap_ = 0;
  std::vector<float> step_seconds_;  // after the warm-up
};

}  // namespace pssim
