// A worker's communication thread: the loop that owns its sockets and its core, and the way for
// other threads to speak to that core.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>

#include "cluster/loop.h"
#include "session/fabric.h"
#include "session/pending.h"
#include "worker/worker.h"

namespace ps {

class WorkerRuntime final : public worker::Events {
 public:
  using Operation = std::function<void(
      worker::Worker& worker, worker::Ticket ticket, TimePoint now, cluster::Outbox& out)>;
  using Word = std::function<void(worker::Worker& worker, TimePoint now, cluster::Outbox& out)>;

  // Starts the thread. `patience` is how long waits last by default.
  WorkerRuntime(const worker::Worker::Options& options,
                std::shared_ptr<const Fabric> fabric,
                Log log,
                std::chrono::milliseconds patience);
  // Ends the thread; operations under way end with an error.
  ~WorkerRuntime() override;

  // Any thread. `what` is named when the wait takes too long.
  std::shared_ptr<Pending::State> submit(const std::string& what, Operation operation);
  void tell(Word word);

  // Any thread: the newest version that a step or pull has ended with.
  [[nodiscard]] std::uint64_t newest_version() const {
    return newest_version_.load(std::memory_order_relaxed);
  }

  void done(worker::Ticket ticket, worker::Outcome outcome) override;
  void arrived(worker::Ticket ticket, std::span<const std::uint32_t> parameters) override;

 private:
  void run(const std::stop_token& stop, const std::shared_ptr<const Fabric>& fabric);
  void end_all(const cluster::Failure& failure);

  const std::chrono::milliseconds patience_;
  worker::Worker worker_;  // the loop's thread alone
  cluster::Loop loop_;
  std::atomic<std::uint64_t> newest_version_{0};
  std::mutex mutex_;
  std::map<worker::Ticket, std::shared_ptr<Pending::State>> open_;  // guarded by mutex_
  worker::Ticket next_ticket_ = 1;                                  // guarded by mutex_
  std::optional<cluster::Failure> ended_;                           // guarded by mutex_
  std::jthread thread_;
};

}  // namespace ps
