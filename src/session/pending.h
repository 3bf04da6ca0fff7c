// The shared end of an operation: the worker's loop completes it, the user's thread waits for it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ps/model.h>

#include "worker/worker.h"

namespace ps {

class Pending::State {
 public:
  explicit State(std::chrono::milliseconds patience, std::string what)
      : patience_(patience), what_(std::move(what)) {}

  // The loop's thread; once. Later calls change nothing.
  void complete(worker::Outcome outcome);
  // Before that: these parameters' weights are in place.
  void arrived(std::span<const std::uint32_t> parameters);

  // --- the user's thread
  // What is left to do once this operation and `also` (if there is one) have succeeded: wait() or
  // done() does it, once. It may amend the outcome. Before either is called.
  using Rest = std::function<void(worker::Outcome& outcome, const worker::Outcome* also)>;
  void then(std::shared_ptr<State> also, Rest rest);
  // Throws what the operation failed with, or Error(kTimeout).
  const worker::Outcome& wait(std::optional<std::chrono::milliseconds> timeout);
  // The same, but returns as soon as this parameter has arrived. `name` is its.
  void wait_for_weights(std::uint32_t parameter,
                        const std::string& name,
                        std::optional<std::chrono::milliseconds> timeout);
  [[nodiscard]] bool done();

 private:
  void await(const std::function<bool()>& over,
             const std::string& what,
             std::chrono::milliseconds patience);
  void run_rest();

  const std::chrono::milliseconds patience_;
  const std::string what_;  // for the error text
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<bool> arrived_;  // by parameter, as far as needed; guarded by mutex_
  // Guarded by mutex_ until it is set; then the user's thread's alone.
  std::optional<worker::Outcome> outcome_;
  std::shared_ptr<State> also_;
  Rest rest_;
};

StepInfo to_info(const worker::StepResult& result);

}  // namespace ps
