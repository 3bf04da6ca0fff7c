// A bounded queue between threads. At its limit try_push refuses and the caller decides.
#pragma once

#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>

namespace ps {

template <class T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t limit) : limit_(limit) {}

  // False, and `value` untouched, when the queue is full.
  [[nodiscard]] bool try_push(T&& value) {
    const std::lock_guard lock(mutex_);
    if (items_.size() >= limit_) return false;
    items_.push_back(std::move(value));
    return true;
  }

  std::optional<T> try_pop() {
    const std::lock_guard lock(mutex_);
    if (items_.empty()) return std::nullopt;
    std::optional<T> value(std::move(items_.front()));
    items_.pop_front();
    return value;
  }

 private:
  const std::size_t limit_;
  std::mutex mutex_;
  std::deque<T> items_;  // guarded by mutex_
};

}  // namespace ps
