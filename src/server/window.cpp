#include "server/window.h"

#include <algorithm>

#include "base/planted.h"

namespace ps::server {

Window::Verdict Window::arrive(wire::Message& message) {
  acknowledge(message.header.first_incomplete);
  const std::uint64_t sequence = message.header.sequence;
  if (planted(PlantedBug::kNoDedupe)) return Verdict::kNext;
  if (sequence < floor_) return Verdict::kOld;
  if (const auto entry = entries_.find(sequence); entry != entries_.end()) {
    return entry->second ? Verdict::kAnswered : Verdict::kWorking;
  }
  if (held_.contains(sequence)) return Verdict::kWorking;
  if (entries_.size() >= kEntries) return Verdict::kFull;
  if (sequence == next_ || planted(PlantedBug::kClockSkipsGap)) return Verdict::kNext;
  if (sequence < next_) return Verdict::kOld;
  if (held_.size() >= kHeldMessages) return Verdict::kFull;
  held_.emplace(sequence, std::move(message));
  return Verdict::kHeld;
}

void Window::start(std::uint64_t sequence) {
  entries_.emplace(sequence, std::nullopt);
  next_ = std::max(next_, sequence + 1);
}

std::optional<wire::Message> Window::take() {
  const auto due = held_.find(next_);
  if (due == held_.end()) return std::nullopt;
  std::optional<wire::Message> message(std::move(due->second));
  held_.erase(due);
  return message;
}

void Window::finish(std::uint64_t sequence, const Answer& answer) {
  if (const auto entry = entries_.find(sequence); entry != entries_.end()) entry->second = answer;
}

void Window::acknowledge(std::uint64_t first_incomplete) {
  // Everything below has been answered, so it was started; a liar only hurts itself.
  floor_ = std::max(floor_, std::min(first_incomplete, next_));
  entries_.erase(entries_.begin(), entries_.lower_bound(floor_));
}

const Answer* Window::answer(std::uint64_t sequence) const {
  const auto entry = entries_.find(sequence);
  return entry != entries_.end() && entry->second ? &*entry->second : nullptr;
}

bool Window::knows(std::uint64_t sequence) const {
  return entries_.contains(sequence) || held_.contains(sequence);
}

}  // namespace ps::server
