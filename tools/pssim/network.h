// What messages take: each node's network card sends and receives one byte stream each, and what is
// in between never fills. Sizes only; no byte exists.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace pssim {

// One direction of a card, or a processor: serves one after the other.
class Port {
 public:
  // Serves for `seconds`, from `ready` on or when it is free; returns when it begins.
  double take(double ready, double seconds) {
    const double begin = std::max(ready, free_);
    free_ = begin + seconds;
    busy_ += seconds;
    return begin;
  }
  [[nodiscard]] double free() const { return free_; }
  [[nodiscard]] double busy() const { return busy_; }

 private:
  double free_ = 0.0;
  double busy_ = 0.0;
};

// A message that waits for its turn on its sender's card.
struct Queued {
  double ready = 0.0;  // it exists from then on
  std::uint32_t to = 0;
  std::uint32_t bucket = 0;
  bool last = false;  // of its step to that shard
};

// First in, first out, in one block.
class Queue {
 public:
  void push(const Queued& message) { items_.push_back(message); }
  [[nodiscard]] const Queued& front() const { return items_[head_]; }
  [[nodiscard]] bool empty() const { return head_ == items_.size(); }
  void pop() {
    ++head_;
    if (head_ < kKept || 2 * head_ < items_.size()) return;
    items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }

 private:
  static constexpr std::size_t kKept = 64;
  std::vector<Queued> items_;
  std::size_t head_ = 0;
};

}  // namespace pssim
