// The shared end of an operation: the worker's loop completes it, the user's thread waits for it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
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

  // --- the user's thread
  // What is left to do once this operation and `also` (if there is one) have succeeded: wait() or
  // done() does it, once. It may amend the outcome. Before either is called.
  using Rest = std::function<void(worker::Outcome& outcome, const worker::Outcome* also)>;
  void then(std::shared_ptr<State> also, Rest rest);
  // Throws what the operation failed with, or Error(kTimeout).
  const worker::Outcome& wait(std::optional<std::chrono::milliseconds> timeout);
  [[nodiscard]] bool done();

 private:
  void run_rest();

  const std::chrono::milliseconds patience_;
  const std::string what_;  // for the error text
  std::mutex mutex_;
  std::condition_variable completed_;
  // Guarded by mutex_ until it is set; then the user's thread's alone.
  std::optional<worker::Outcome> outcome_;
  std::shared_ptr<State> also_;
  Rest rest_;
};

StepInfo to_info(const worker::StepResult& result);

}  // namespace ps
