// The shared end of an operation: the worker's loop completes it, the user's thread waits for it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>

#include <ps/model.h>

#include "worker/worker.h"

namespace ps {

class Pending::State {
 public:
  explicit State(std::chrono::milliseconds patience, std::string what)
      : patience_(patience), what_(std::move(what)) {}

  // The loop's thread; once. Later calls change nothing.
  void complete(worker::Outcome outcome);
  // Throws what the operation failed with, or Error(kTimeout).
  const worker::Outcome& wait(std::optional<std::chrono::milliseconds> timeout);
  [[nodiscard]] bool done() const;

 private:
  const std::chrono::milliseconds patience_;
  const std::string what_;  // for the error text
  mutable std::mutex mutex_;
  std::condition_variable completed_;
  std::optional<worker::Outcome> outcome_;  // guarded by mutex_; never changes once set
};

StepInfo to_info(const worker::StepResult& result);

}  // namespace ps
