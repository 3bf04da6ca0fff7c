// Indices are handed out one by one, so that an expensive one holds nobody up.
#include "vision/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace ps::vision {
namespace {

constexpr std::size_t kProgressEvery = 64;

struct Shared {
  std::atomic<std::size_t> next = 0;
  std::atomic<std::size_t> done = 0;
  std::mutex mutex;  // guards the two below
  std::size_t failed = 0;
  std::exception_ptr error;

  // Nothing more is handed out after a failure.
  void fail(std::size_t index, std::size_t count) {
    next.store(count);
    const std::lock_guard lock(mutex);
    if (!error || index < failed) {
      failed = index;
      error = std::current_exception();
    }
  }
};

}  // namespace

void for_each_index(std::size_t count,
                    std::size_t threads,
                    const std::function<void(std::size_t)>& work,
                    const std::function<void(std::size_t, std::size_t)>& progress) {
  Shared shared;
  const auto run = [&](bool tells) {
    std::size_t told = 0;
    for (std::size_t i = shared.next++; i < count; i = shared.next++) {
      try {
        work(i);
        const std::size_t done = ++shared.done;
        if (tells && progress && done - told >= kProgressEvery && done < count) {
          told = done;
          progress(done, count);
        }
      } catch (...) {
        shared.fail(i, count);
      }
    }
  };
  if (threads == 0) threads = std::max(1U, std::thread::hardware_concurrency());
  {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < std::min(threads, count); ++i) others.emplace_back(run, false);
    run(true);
  }
  if (shared.error) std::rethrow_exception(shared.error);
  if (progress) progress(count, count);
}

}  // namespace ps::vision
