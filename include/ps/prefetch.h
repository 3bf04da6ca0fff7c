// Loads ahead: a thread makes the next items while the caller uses the last one.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

namespace ps {

// `make` runs on the prefetcher's own thread, one call at a time, until it returns nothing; at most
// `ahead` finished items wait. What it throws, next() throws. The destructor waits for a call under
// way.
template <class T>
class Prefetcher {
 public:
  Prefetcher(std::size_t ahead, std::function<std::optional<T>()> make)
      : ahead_(ahead > 0 ? ahead : 1),
        make_(std::move(make)),
        thread_([this](const std::stop_token& stop) { run(stop); }) {}
  ~Prefetcher() {
    thread_.request_stop();
    changed_.notify_all();
  }
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  // The next item; nothing at the end. One thread calls it.
  std::optional<T> next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !items_.empty() || ended_; });
    if (items_.empty()) {
      if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
      return std::nullopt;
    }
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    lock.unlock();
    changed_.notify_all();
    return item;
  }

 private:
  void run(const std::stop_token& stop) {
    std::exception_ptr error;
    try {
      while (!stop.stop_requested()) {
        std::optional<T> item = make_();
        std::unique_lock lock(mutex_);
        if (!item) break;
        items_.push_back(std::move(*item));
        changed_.notify_all();
        changed_.wait(lock, stop, [this] { return items_.size() < ahead_; });
      }
    } catch (...) {
      error = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    ended_ = true;
    error_ = error;
    changed_.notify_all();
  }

  const std::size_t ahead_;
  std::function<std::optional<T>()> make_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<T> items_;       // guarded by mutex_
  bool ended_ = false;        // guarded by mutex_
  std::exception_ptr error_;  // guarded by mutex_
  std::jthread thread_;       // last: starts when all else is there
};

}  // namespace ps
