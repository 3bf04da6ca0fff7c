// A whole job in one thread: scheduler, shards and workers, the very cores and nodes of production,
// over a simulated network and a manual clock. What happens follows from the seed alone. Workers
// can crash, freeze and start again; what their users do is a Program. Judging what came of it is
// the business of tests/sim/oracles.h.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cluster/node.h"
#include "cluster/scheduler.h"
#include "net/sim_network.h"
#include "server/shard.h"
#include "support/sim_user.h"
#include "support/tap_transport.h"
#include "worker/worker.h"

namespace ps::sim {

struct JobOptions {
  std::uint64_t seed = 0;
  std::uint32_t workers = 2;
  std::uint32_t shards = 2;
  cluster::OnFailure on_failure = cluster::OnFailure::kStop;
  cluster::Timing timing = {};
  std::size_t staging_bytes = std::size_t{1} << 30;
  std::size_t credit_bytes = std::size_t{32} << 20;
  bool verbose = false;  // logs and messages go to standard error
};

// The timing of simulated jobs: quick to retry, and so patient about silence that no fault short of
// a crash or a freeze looks like a death.
cluster::Timing sim_timing();

class Simulator {
 public:
  // `program` is every worker's. `observer`, not owned, is told of every shard's updates.
  Simulator(const JobOptions& options, Program program, server::UpdateObserver* observer);
  ~Simulator();
  Simulator(const Simulator&) = delete;
  Simulator& operator=(const Simulator&) = delete;

  net::SimNetwork& network() { return network_; }
  [[nodiscard]] TimePoint now() const { return clock_.now(); }

  // `action` runs at that time, before anything else of it. Actions of one time run in the order of
  // these calls.
  void at(TimePoint time, std::function<void()> action);

  // Starts a new life of the worker; one that runs already becomes its rival.
  void start_worker(std::uint32_t rank);
  // The worker's newest life ends without a word. Its messages under way arrive.
  void crash_worker(std::uint32_t rank);
  // It does nothing until then, as a stopped process does; its messages wait.
  void freeze_worker(std::uint32_t rank, TimePoint until);
  // Lets a worker that has failed start again by itself after so long (a supervisor).
  void restart_failed_after(Duration delay) { restart_after_ = delay; }

  // Handles the next event if it comes before `limit`.
  bool step(TimePoint limit);
  // Until the job is over: every node has finished. False when that is not so by `limit`, or time
  // stands still.
  bool run(TimePoint limit);
  [[nodiscard]] bool over() const;

  [[nodiscard]] const cluster::Scheduler& scheduler() const { return *scheduler_core_; }
  [[nodiscard]] const server::Shard& shard(std::uint32_t index) const { return *shards_[index]; }
  // Of every life so far, in the order they began.
  [[nodiscard]] const std::vector<std::unique_ptr<LifeRecord>>& lives() const { return records_; }
  [[nodiscard]] net::SimNode node_of_worker(std::uint32_t rank) const;
  [[nodiscard]] static net::SimNode node_of_scheduler() { return 0; }
  [[nodiscard]] static net::SimNode node_of_shard(std::uint32_t index) { return 1 + index; }
  // Of every message that was received: when, by whom, over which link, and its bytes.
  [[nodiscard]] std::uint64_t trace_hash() const { return trace_.hash; }
  [[nodiscard]] std::uint64_t messages() const { return trace_.messages; }
  // What every node is doing, for a failed test.
  [[nodiscard]] std::string describe() const;

 private:
  struct Host;  // one node with its transport, core and timer
  struct Action {
    TimePoint time;
    std::uint64_t order;
    std::function<void()> run;
  };

  Host& add_host(net::SimNode node, const std::string& name, std::unique_ptr<cluster::Core> core);
  Host* worker_host(std::uint32_t rank) const;
  std::string scheduler_endpoint() const { return "sim://scheduler"; }
  cluster::Agent::Options agent_options(wire::Sender self, const std::string& own_endpoint);
  void touch(Host& host);
  void supervise(Host& host);
  [[nodiscard]] TimePoint next_time() const;

  JobOptions options_;
  Program program_;
  server::UpdateObserver* observer_;
  ManualClock clock_;
  net::SimNetwork network_;
  Trace trace_;
  std::vector<std::unique_ptr<LifeRecord>> records_;
  std::vector<std::unique_ptr<Host>> hosts_;  // scheduler, shards, then the workers' lives
  cluster::Scheduler* scheduler_core_ = nullptr;
  std::vector<server::Shard*> shards_;
  std::vector<Action> actions_;  // a heap, earliest first
  std::uint64_t next_order_ = 0;
  std::uint64_t nonces_ = 0;
  Duration restart_after_{0};
  std::uint64_t events_now_ = 0;  // since time last moved
};

}  // namespace ps::sim
