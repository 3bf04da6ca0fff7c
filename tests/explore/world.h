// A tiny job in one thread, whose messages move one at a time, each when a search says so: the very
// cores of production, with no network, no node and no clock around them. Connections keep their
// order; time passes only when no message is under way.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "cluster/scheduler.h"
#include "server/shard.h"
#include "sim/oracles.h"
#include "worker/worker.h"

namespace ps::explore {

struct Job {
  sim::Program program;
  std::uint32_t workers = 2;
  cluster::OnFailure on_failure = cluster::OnFailure::kStop;
  std::uint32_t faults = 0;  // messages that are lost or come twice, at most
  // One worker may die at any moment. With kWait it starts again once its death is known; from then
  // on one order of messages stands for all.
  bool death = false;
  // A worker comes to the same state in whichever order different shards' answers reach it, as long
  // as nothing fails. If so, they are delivered at once, and nothing is lost (a test compares
  // both).
  bool workers_commute = true;
};

// What becomes of the first message of a channel.
struct Choice {
  enum class Kind : std::uint8_t { kDeliver, kDrop, kDuplicate, kDie };  // kDie: who was to have it
  Kind kind = Kind::kDeliver;
  std::uint64_t channel = 0;
  bool operator==(const Choice&) const = default;
};

// How many events of each node have led to something.
using CausalClock = std::array<std::uint32_t, 8>;

class World {
 public:
  static constexpr std::uint32_t kShards = 2;

  // All have joined, and every worker has sent its first step. `job` outlives it.
  explicit World(const Job& job);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // What may happen next, enough of it that no outcome is missed; empty once the job is over.
  [[nodiscard]] std::vector<Choice> choices() const;
  struct Event {
    std::size_t node = 0;
    std::uint32_t index = 0;  // among the node's, from 1
    CausalClock cause{};      // of the message
  };
  // The event that the choice would be.
  [[nodiscard]] Event event_of(const Choice& choice) const;
  // Whether the order of the node's events is nothing.
  [[nodiscard]] bool commutes(std::size_t node) const;
  void apply(const Choice& choice);
  [[nodiscard]] std::string describe(const Choice& choice) const;

  // What an invariant has found so far; empty if nothing.
  [[nodiscard]] const std::string& wrong() const;
  // To be called when there is no choice left: reads the weights, and says what is wrong at the
  // end.
  std::string judge();
  // How the job came out: who contributed to each round, or who ended by the death.
  [[nodiscard]] std::string outcome() const;
  [[nodiscard]] const sim::UpdateWatch& watch() const { return watch_; }
  // After judge(): what everybody reads of the one parameter; nothing where somebody died.
  [[nodiscard]] const std::vector<float>& weights() const { return weights_; }

 private:
  class User;
  struct Host;
  struct Transit {
    wire::Message message;
    CausalClock cause;
  };
  struct Channel {
    std::size_t to = 0;
    net::Link link = 0;  // at the receiver
    std::deque<Transit> messages;
  };

  std::size_t add(std::unique_ptr<cluster::Core> core, std::string endpoint);
  void add_worker(std::uint32_t rank);
  cluster::Agent::Options agent_options(wire::Sender self, const std::string& endpoint);
  void settle(std::size_t node);
  void carry_out(std::size_t node);
  void connect(std::size_t node, const cluster::Outbox::Connect& wish);
  void deliver(Channel& channel, Transit transit);
  void run_in_order();
  void wait();
  void remember_all();
  [[nodiscard]] bool is_known_dead(std::uint32_t rank) const;
  void begin_step(Host& host);
  void check_gate(const Host& host, std::uint64_t step);
  [[nodiscard]] bool over() const;
  [[nodiscard]] bool silent() const;

  const Job& job_;
  sim::UpdateWatch watch_;
  cluster::Outbox out_;
  TimePoint now_{std::chrono::seconds(1)};
  std::vector<std::unique_ptr<Host>> hosts_;  // scheduler, shards, workers' lives
  std::array<CausalClock, std::tuple_size_v<CausalClock>> clocks_{};  // by node
  std::map<std::uint64_t, Channel> channels_;              // by (opener, link, direction)
  std::array<std::vector<std::uint64_t>, kShards> heard_;  // completed steps by rank
  std::uint64_t nonces_ = 0;
  std::uint32_t faults_left_;
  std::optional<std::uint32_t> dead_;  // rank
  bool reborn_ = false;
  bool begun_ = false;
  std::uint32_t waits_ = 0;
  std::string wrong_;
  std::vector<float> weights_;
};

}  // namespace ps::explore
