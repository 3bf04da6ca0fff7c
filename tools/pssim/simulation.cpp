#include "simulation.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/assert.h"

namespace pssim {
namespace {

constexpr std::uint64_t kEventsPerLook = std::uint64_t{1} << 18U;

template <class Values, class Get>
Use use_of(const Values& values, double seconds, Get&& get) {
  Use use;
  if (seconds <= 0.0) return use;
  for (const auto& value : values) {
    const double share = get(value) / seconds;
    use.mean += share / static_cast<double>(values.size());
    use.most = std::max(use.most, share);
  }
  return use;
}

double quantile(std::vector<float> values, double q) {
  if (values.empty()) return 0.0;
  const auto at = static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
  std::ranges::nth_element(values, values.begin() + at);
  return static_cast<double>(values[static_cast<std::size_t>(at)]);
}

}  // namespace

Simulation::Simulation(const Job& job)
    : job_(job),
      layout_(layout_of(job)),
      wanted_(job.steps * job.workers),
      calendar_(job.workers + job.shards),
      shard_queues_(job.shards),
      versions_(std::size_t{job.workers} * layout_.plan.buckets.size()),
      ended_(job.workers),
      ended_by_(1, job.workers),
      warm_steps_(static_cast<std::uint64_t>(kWarmUpShare * static_cast<double>(job.steps)) *
                  job.workers) {
  for (std::uint32_t i = 0; i < job.shards; ++i) {
    shards_.emplace_back(job_, layout_, i);
    if (layout_.plan.buckets_of_shard[i] > 0) ++shards_in_use_;
  }
  workers_.reserve(job.workers);
  for (std::uint32_t rank = 0; rank < job.workers; ++rank)
    workers_.emplace_back(ps::Random(job.seed, rank));
}

Outcome Simulation::run(const std::function<void(double)>& progress) {
  for (std::uint32_t rank = 0; rank < job_.workers; ++rank) begin_step(rank, 0.0);
  while (!over()) {
    const std::uint32_t node = calendar_.first();
    const double now = calendar_.time(node);
    PS_ASSERT(now < kNeverSeconds, "somebody computes or sends until the last step has ended");
    if (++events_ % kEventsPerLook == 0)
      progress(static_cast<double>(steps_) / static_cast<double>(wanted_));
    if (node >= job_.workers) {
      answer_arrives(node - job_.workers, now);
    } else if (workers_[node].computes) {
      push(node, now);
    } else {
      push_arrives(node, now);
    }
  }
  return summary();
}

void Simulation::begin_step(std::uint32_t rank, double now) {
  Worker& worker = workers_[rank];
  widest_gap_ = std::max(widest_gap_, worker.clock - slowest_);
  const double computing =
      job_.compute.draw(rank + 1 == job_.workers && job_.workers > 1, worker.random);
  worker.began = now;
  worker.computes = true;
  calendar_.set(rank, now + computing);
}

// The worker has computed: its buckets leave in the order in which worker/step has them complete.
void Simulation::push(std::uint32_t rank, double now) {
  Worker& worker = workers_[rank];
  worker.computes = false;
  worker.computed += now - worker.began;
  worker.unended = shards_in_use_;
  step_.begin(layout_.plan, {});
  for (const std::uint32_t bucket : step_.end(layout_.plan)) {
    const bool last = step_.leaves(layout_.plan, bucket);
    worker.queue.push({now, layout_.plan.buckets[bucket].shard, bucket, last});
    ++worker.unanswered;
  }
  depart(rank);
}

void Simulation::depart(std::uint32_t node) {
  const bool sends_answers = node >= job_.workers;
  const Queue& queue = sends_answers ? shard_queues_[node - job_.workers] : workers_[node].queue;
  if (queue.empty()) return calendar_.set(node, kNeverSeconds);
  const Queued& next = queue.front();
  Port& out = sends_answers ? shards_[node - job_.workers].out() : workers_[node].out;
  const double rate = sends_answers ? job_.shard_bytes_per_second : job_.worker_bytes_per_second;
  calendar_.set(node, out.take(next.ready, seconds(next.bucket, rate)) + job_.latency_seconds);
}

void Simulation::push_arrives(std::uint32_t rank, double now) {
  Worker& worker = workers_[rank];
  const Queued message = worker.queue.front();
  worker.queue.pop();
  ++messages_;
  depart(rank);
  const std::uint64_t pulled =
      versions_[std::size_t{rank} * layout_.plan.buckets.size() + message.bucket];
  answers_.clear();
  shards_[message.to].receive({rank, message.bucket, message.last, pulled}, now,
                              now + seconds(message.bucket, job_.worker_bytes_per_second),
                              answers_);
  if (message.last && --worker.unended == 0) completed_everywhere(rank);
  if (answers_.empty()) return;
  Queue& queue = shard_queues_[message.to];
  const bool idle = queue.empty();
  for (const Shard::Answer& answer : answers_) {
    versions_[std::size_t{answer.rank} * layout_.plan.buckets.size() + answer.bucket] =
        answer.version;
    queue.push({answer.ready, answer.rank, answer.bucket, false});
  }
  if (idle) depart(job_.workers + message.to);
}

void Simulation::completed_everywhere(std::uint32_t rank) {
  const std::uint64_t steps = ++ended_[rank];
  if (ended_by_.size() <= steps) ended_by_.resize(steps + 1);
  ++ended_by_[steps];
  --ended_by_[steps - 1];
  while (ended_by_[slowest_] == 0) ++slowest_;
}

void Simulation::answer_arrives(std::uint32_t shard, double now) {
  Queue& queue = shard_queues_[shard];
  const Queued message = queue.front();
  queue.pop();
  ++messages_;
  depart(job_.workers + shard);
  Worker& worker = workers_[message.to];
  worker.in.take(now, seconds(message.bucket, job_.worker_bytes_per_second));
  const double whole =
      std::max(worker.in.free(), now + seconds(message.bucket, job_.shard_bytes_per_second));
  worker.answered = std::max(worker.answered, whole);
  if (--worker.unanswered == 0) end_step(message.to);
}

void Simulation::end_step(std::uint32_t rank) {
  Worker& worker = workers_[rank];
  ++worker.clock;
  ++steps_;
  now_ = std::max(now_, worker.answered);
  if (steps_ == warm_steps_) warm_ = now_;
  if (steps_ > warm_steps_)
    step_seconds_.push_back(static_cast<float>(worker.answered - worker.began));
  if (!over()) begin_step(rank, worker.answered);
}

Outcome Simulation::summary() const {
  Outcome outcome;
  outcome.events = events_;
  outcome.messages = messages_;
  outcome.steps = steps_;
  outcome.seconds = now_;
  outcome.steps_per_second = static_cast<double>(steps_ - warm_steps_) / (now_ - warm_);
  outcome.step_seconds = job_.workers / outcome.steps_per_second;
  outcome.step_p50 = quantile(step_seconds_, 0.5);
  outcome.step_p99 = quantile(step_seconds_, 0.99);
  outcome.widest_gap = widest_gap_;
  for (const Shard& shard : shards_) {
    outcome.staleness.merge(shard.staleness());
    outcome.most_staged_bytes = std::max(outcome.most_staged_bytes, shard.most_staged_bytes());
  }
  outcome.computing = use_of(workers_, now_, [](const Worker& w) { return w.computed; });
  outcome.shard_in = use_of(shards_, now_, [](const Shard& s) { return s.in().busy(); });
  outcome.shard_out = use_of(shards_, now_, [](const Shard& s) { return s.out().busy(); });
  outcome.shard_update = use_of(shards_, now_, [](const Shard& s) { return s.processor().busy(); });
  return outcome;
}

}  // namespace pssim
