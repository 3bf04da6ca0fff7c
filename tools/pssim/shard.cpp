#include "shard.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>

#include "base/assert.h"
#include "wire/header.h"

namespace pssim {
namespace {

// Values of which only the size counts. Never read: whoever adds up is not part of the simulation.
ps::Buffer sizes_only(std::size_t bytes) {
  constexpr std::size_t kMost = ps::wire::kMaxPayloadBytes;
  static const std::unique_ptr<std::byte[]> memory(new std::byte[kMost]);  // NOLINT: not touched
  return {nullptr, std::span(memory.get(), std::min(bytes, kMost))};
}

}  // namespace

Shard::Shard(const Job& job, const Layout& layout, std::uint32_t index)
    : job_(job),
      layout_(layout),
      sync_(std::holds_alternative<ps::Sync>(job.mode)),
      place_(layout.plan.buckets.size()),
      gate_(job.mode, job.workers),
      open_(sync_ ? 0 : job.workers) {
  for (std::uint32_t i = 0; i < place_.size(); ++i) {
    if (layout.plan.buckets[i].shard != index) continue;
    place_[i] = static_cast<std::uint32_t>(buckets_.size());
    buckets_.emplace_back();
  }
}

void Shard::receive(const Push& push, double time, double whole, std::vector<Answer>& answers) {
  const auto bytes = static_cast<double>(layout_.bytes[push.bucket]);
  in_.take(time, bytes / job_.shard_bytes_per_second);
  const double here = std::max(in_.free(), whole);
  if (sync_) return contribute(push, here, answers);
  apply(push, here, answers);
}

void Shard::contribute(const Push& push, double here, std::vector<Answer>& answers) {
  Bucket& bucket = this->bucket(push.bucket);
  const std::size_t payload = layout_.payload[push.bucket];
  const bool first = bucket.round.offer(push.rank, 1.0, sizes_only(payload));
  PS_ASSERT(first && push.pulled == bucket.version, "a worker is in the round that is under way");
  bucket.waiters.push_back(push.rank);
  staged_ += payload;
  most_staged_ = std::max(most_staged_, staged_);
  if (!bucket.round.complete(job_.workers)) return;
  processor_.take(here, update_seconds(job_, payload, job_.workers));
  staged_ -= payload * job_.workers;
  bucket.round.reset();
  ++bucket.version;
  for (const std::uint32_t rank : bucket.waiters)
    answers.push_back({processor_.free(), rank, push.bucket, bucket.version});
  bucket.waiters.clear();
}

void Shard::apply(const Push& push, double here, std::vector<Answer>& answers) {
  Bucket& bucket = this->bucket(push.bucket);
  processor_.take(here, update_seconds(job_, layout_.payload[push.bucket], 1));
  staleness_.add(bucket.version - push.pulled);
  ++bucket.version;
  const double ready = processor_.free();
  if (!gate_.bounded()) {
    if (push.last) gate_.step_done(push.rank);
    answers.push_back({ready, push.rank, push.bucket, bucket.version});
    return;
  }
  open_[push.rank].push_back(push.bucket);
  if (!push.last) return;
  const std::uint64_t least = gate_.least();
  gate_.step_done(push.rank);
  parked_.insert(std::ranges::lower_bound(parked_, push.rank), push.rank);
  if (gate_.least() == least && !gate_.open(push.rank, gate_.clock(push.rank))) return;
  std::erase_if(parked_, [&](std::uint32_t rank) {
    if (!gate_.open(rank, gate_.clock(rank))) return false;
    answer_step(rank, ready, answers);
    return true;
  });
}

// With the weights of now.
void Shard::answer_step(std::uint32_t rank, double ready, std::vector<Answer>& answers) {
  for (const std::uint32_t number : open_[rank])
    answers.push_back({ready, rank, number, bucket(number).version});
  open_[rank].clear();
}

}  // namespace pssim
