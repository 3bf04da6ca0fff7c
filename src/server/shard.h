// The shard's core: owns a set of chunks, takes gradients, decides when they count, applies the
// optimizer, and answers with weights. One loop thread or one simulator runs it; nothing in it is
// shared.
//
// Invariants
// 1. A request takes effect once and in its worker's order (server/window.h).
// 2. chunk.version only rises, by one per update; weights change only with it.
// 3. A weight block that an answer still holds is never written: an update writes into another
// block.
// 4. Sync: round r of a chunk commits exactly when every rank has contributed to it (n = 0 counts).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/block_pool.h"
#include "base/histogram.h"
#include "cluster/agent.h"
#include "cluster/core.h"
#include "cluster/placement.h"
#include "optim/groups.h"
#include "optim/optimizer.h"
#include "server/agreement.h"
#include "server/gate.h"
#include "server/measure.h"
#include "server/round.h"
#include "server/window.h"

namespace ps::server {

// Told of every update, before it is applied: for tests that replay them.
class UpdateObserver {
 public:
  struct Update {
    std::uint16_t model;
    cluster::Chunk chunk;
    std::uint64_t version;       // of the weights before it
    const Round* round;          // sync
    optim::Contribution single;  // else
  };
  UpdateObserver() = default;
  virtual ~UpdateObserver() = default;
  UpdateObserver(const UpdateObserver&) = delete;
  UpdateObserver& operator=(const UpdateObserver&) = delete;
  virtual void on_update(const Update& update) = 0;
};

class Shard final : public cluster::Core {
 public:
  struct Options {
    cluster::Agent::Options agent;
    std::size_t staging_bytes = std::size_t{1} << 30;  // of contributions that wait for their round
    UpdateObserver* observer = nullptr;                // not owned
    AllocateMemory allocate = &Memory::allocate;       // for what is sent
  };
  struct Counters {
    std::uint64_t updates = 0;
    std::uint64_t repeated = 0;   // requests that came again
    std::uint64_t nonfinite = 0;  // messages refused for NaN or infinity
    std::uint64_t overflows = 0;  // updates left out because the new weights were not finite
    std::uint64_t late = 0;
    std::uint64_t stale = 0;
    std::uint64_t skipped = 0;  // rounds that were not finite
    std::uint64_t fenced = 0;
    std::uint64_t refused = 0;
    std::uint64_t busy = 0;
  };

  explicit Shard(Options options);

  void on_start(TimePoint now, cluster::Outbox& out) override;
  void on_message(net::Link from,
                  wire::Message message,
                  TimePoint now,
                  cluster::Outbox& out) override;
  void on_bad_message(net::Link from,
                      const wire::DecodeError& error,
                      TimePoint now,
                      cluster::Outbox& out) override;
  void on_time(TimePoint now, cluster::Outbox& out) override;
  [[nodiscard]] TimePoint next_time() const override;
  [[nodiscard]] bool finished() const override { return finished_; }

  [[nodiscard]] const cluster::Agent& agent() const { return agent_; }
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] const Histogram& staleness(std::uint32_t rank) const {
    return workers_[rank].staleness;
  }

 private:
  struct RequestId {
    std::uint32_t rank;
    std::uint64_t sequence;
    auto operator<=>(const RequestId&) const = default;
  };
  struct Waiter {
    RequestId id;
    std::uint64_t version;  // done once the chunk has it
  };
  struct Held {
    std::uint32_t rank;
    double weight;
    std::uint64_t version;  // it was computed at
    Buffer values;
  };
  struct Pulled {
    std::uint32_t rank;
    std::uint64_t version;
    Memory weights;  // the block itself: nothing is copied
  };
  struct Chunk {
    cluster::Chunk where;
    std::uint32_t position = 0;  // among all chunks of the model
    bool initialised = false;
    // Update::kWorker: the weights are the gradients' last mean, for the workers to judge.
    bool is_gradient = false;
    std::uint64_t version = 0;
    Memory weights;
    Memory encoded;  // the weights as answers to steps have them; made when one asks
    optim::Optimizer::ChunkState state;
    Round round;
    Memory gradient;             // reduced, in a round that the shards agree on
    bool reduced = false;        // somebody contributed to it
    Memory average;              // ModelOptions::ema
    std::vector<Held> held;      // async: pushes that wait for more
    std::vector<Pulled> pulled;  // async with compensation: what workers have been sent
    Memory mean_square;          // adaptive compensation
    std::vector<Waiter> waiters;
  };
  struct Model {
    std::uint16_t id = 0;
    ModelOptions options;
    std::vector<wire::ParameterInfo> parameters;  // of kinds as optim::kind_on_servers() has them
    std::vector<optim::ParameterRates> rates;     // by parameter
    std::unique_ptr<optim::Optimizer> optimizer;
    Gate gate;
    bool sync = false;
    Async async = {};  // in async mode
    Agreement agreement = {};
    Measure measure = {};
    std::uint64_t round_ask = 0;
    std::vector<Chunk> chunks = {};
    std::map<std::pair<std::uint32_t, std::uint64_t>, std::size_t> index =
        {};                                         // (parameter, offset) -> chunk
    std::uint64_t samples = 0;                      // consumed before the round or update under way
    std::uint64_t samples_at_start = 0;             // by the run that this one goes on with
    std::optional<std::uint64_t> first_round = {};  // sync: of the initial values
    std::map<std::uint32_t, std::uint32_t> round_samples =
        {};  // sync: of the round under way, by rank
    std::uint64_t allocated_ask = 0;
  };
  // A request that has been taken and not answered.
  struct Pending {
    wire::Header header;
    std::vector<wire::Segment> segments;
    net::Link link = 0;
    std::size_t model = 0;
    std::size_t chunks_left = 0;  // whose version it waits for
    std::uint64_t gate_clock = 0;
    Answer answer;
  };
  struct WorkerState {
    std::uint32_t incarnation = 0;
    bool dead = false;
    Window window;
    Histogram staleness;
  };

  // control side (shard.cpp)
  void on_view(TimePoint now, cluster::Outbox& out);
  void on_worker_change(std::uint32_t rank, const wire::WorkerInfo& info, cluster::Outbox& out);
  void allocate(const wire::ModelInfo& info, TimePoint now, cluster::Outbox& out);
  void check_failure(TimePoint now, cluster::Outbox& out);

  // requests (shard_requests.cpp) and updates (shard_updates.cpp)
  void on_request(net::Link from, wire::Message message, cluster::Outbox& out);
  std::optional<wire::Status> reject(const wire::Message& message) const;
  void on_query(net::Link from, const wire::Message& message, cluster::Outbox& out);
  void repeat_answer(net::Link from,
                     const wire::Message& message,
                     const Answer& answer,
                     cluster::Outbox& out);
  bool has_room(const Model& model, const wire::Message& message) const;
  void process(net::Link from, wire::Message message, cluster::Outbox& out);
  std::string find_fault(const Model& model, const wire::Message& message) const;
  void push(Model& model, const wire::Message& message, Pending& pending, cluster::Outbox& out);
  std::vector<Chunk*> contribute(Model& model, const wire::Message& message, Pending& pending);
  void apply_now(Model& model, const wire::Message& message, Pending& pending);
  static void end_step(Model& model,
                       const wire::Header& header,
                       Pending& pending,
                       std::vector<Chunk*>& offered);
  void commit_if_complete(Model& model, Chunk& chunk, cluster::Outbox& out);
  void update(Model& model,
              Chunk& chunk,
              const optim::Optimizer::Step& step,
              const Round* round,
              const optim::Contribution& single);
  void finish_update(Model& model, Chunk& chunk, const Memory& next, bool finite);
  static void close_round(Model& model);
  static void end_measured_round(Model& model);

  // what is kept of the chunks (shard_state.cpp)
  static bool keeps(const Model& model, std::uint32_t parameter, wire::Part part);
  std::string find_segment_fault(const Model& model,
                                 wire::Type type,
                                 const wire::Segment& segment) const;
  static std::string find_assign_fault(const Model& model, const wire::Message& message);
  void assign(Model& model, const wire::Message& message, cluster::Outbox& out);
  static void take_part(Model& model, Chunk& chunk, wire::Part part, const Buffer& values);
  void give(Model& model,
            const wire::Header& request,
            const std::vector<wire::Segment>& segments,
            wire::Message& message);
  const Memory& encoded(Chunk& chunk, wire::Codec codec);
  static void give_part(const Model& model,
                        const Chunk& chunk,
                        wire::Part part,
                        std::span<std::byte> to);
  static std::span<std::byte> state_of(const Chunk& chunk, wire::Part part);
  static std::uint64_t consumed(const Model& model);

  // rounds that all shards agree on (shard_rounds.cpp)
  void on_round_result(const wire::RoundResult& result, cluster::Outbox& out);
  void advance(Model& model, cluster::Outbox& out);
  void reduce_round(Model& model, wire::RoundPart& part);
  void direct_round(Model& model, wire::RoundPart& part);
  void commit_round(Model& model, cluster::Outbox& out);
  optim::Optimizer::Step step_of(const Model& model, const Chunk& chunk) const;
  optim::Optimizer::Step agreed_step_of(const Model& model, const Chunk& chunk, float clip) const;
  static float clip_of(const Model& model);
  void drop_late(const Model& model, Chunk& chunk);

  // async and ssp (shard_async.cpp)
  void apply_held(Model& model, Chunk& chunk, Pending& pending);
  Memory compensated(const Model& model, Chunk& chunk, const Held& push);
  static void remember_pull(Chunk& chunk, std::uint32_t rank);
  void wake(Chunk& chunk, cluster::Outbox& out);
  void open_gates(cluster::Outbox& out);
  bool answer_if_done(const RequestId& id, cluster::Outbox& out);
  void reply(net::Link to,
             const wire::Header& request,
             wire::Status status,
             cluster::Outbox& out,
             const std::string& text = {}) const;
  void send_answer(net::Link to,
                   const wire::Header& request,
                   const std::vector<wire::Segment>& segments,
                   const Answer& answer,
                   cluster::Outbox& out);
  Model* find_model(std::uint16_t id);
  static Chunk* find_chunk(Model& model, const wire::Segment& segment);

  Options options_;
  cluster::Agent agent_;
  BlockPool pool_;
  std::vector<std::unique_ptr<Model>> models_;
  std::vector<WorkerState> workers_;
  std::map<RequestId, Pending> pending_;
  std::size_t staged_bytes_ = 0;
  TimePoint now_{};  // of the event in hand
  Counters counters_;
  bool finished_ = false;
  bool failed_ = false;
};

}  // namespace ps::server
