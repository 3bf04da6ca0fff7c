#include "worker/request_table.h"

#include <algorithm>

#include "base/planted.h"

namespace ps::worker {

std::uint64_t RequestTable::add(wire::Message message,
                                std::uint64_t owner,
                                std::size_t credit,
                                TimePoint now) {
  std::uint64_t sequence = next_sequence_++;
  if (planted(PlantedBug::kSequenceWraps)) sequence &= 0xFF;
  Request request;
  request.message = std::move(message);
  request.message.header.sequence = sequence;
  request.owner = owner;
  request.credit = credit;
  request.pause = timing_.retry;
  request.next = now + jittered(request.pause);
  request.deadline = now + timing_.deadline;
  requests_.insert_or_assign(sequence, std::move(request));
  return sequence;
}

RequestTable::Request* RequestTable::find(std::uint64_t sequence) {
  const auto found = requests_.find(sequence);
  return found == requests_.end() ? nullptr : &found->second;
}

void RequestTable::heard(Request& request, TimePoint now) {
  request.resend = false;
  request.pause = timing_.retry;
  request.next = now + jittered(request.pause);
  request.deadline = now + timing_.deadline;
}

void RequestTable::again(Request& request, TimePoint now, Duration delay) {
  request.resend = true;
  request.next = now + delay;
  request.deadline = now + timing_.deadline;
}

std::vector<RequestTable::Due> RequestTable::due(TimePoint now) {
  std::vector<Due> result;
  for (auto& [sequence, request] : requests_) {
    if (now < request.next) continue;
    result.push_back({sequence, request.resend});
    request.resend = false;
    request.pause = std::min(request.pause * 2, timing_.retry_cap);
    request.next = now + jittered(request.pause);
  }
  return result;
}

const RequestTable::Request* RequestTable::expired(TimePoint now) const {
  for (const auto& [sequence, request] : requests_) {
    if (now >= request.deadline) return &request;
  }
  return nullptr;
}

TimePoint RequestTable::next_time() const {
  TimePoint next = kNever;
  for (const auto& [sequence, request] : requests_)
    next = std::min({next, request.next, request.deadline});
  return next;
}

std::uint64_t RequestTable::first_incomplete() const {
  return requests_.empty() ? next_sequence_ : requests_.begin()->first;
}

// Up to an eighth longer, so that workers do not all ask at once.
Duration RequestTable::jittered(Duration pause) {
  jitter_ = jitter_ * 6364136223846793005ULL + 1442695040888963407ULL;
  return pause + pause / 8 * static_cast<int>(jitter_ >> 60) / 16;
}

}  // namespace ps::worker
