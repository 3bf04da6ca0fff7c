// The worker's core: from gradients to messages, from replies to weights. Speaks to the scheduler
// through its Agent and to every shard over one link; each operation it was given ends exactly
// once, in Events::done().
//
// Invariants
// 1. Per model one step at a time; a bucket is sent once a step (again only as a repeat of the same
// request).
// 2. The bytes of a gradient are read from the moment its parameter is ready until its step is
// done.
// 3. Weights are written only between begin_step() and the step's end (and during add_model, pull
// and, in ssp mode, collective).
// 4. The last message of a step to each shard carries kFlagEndOfStep, so the shard knows that the
// step is whole.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/block_pool.h"
#include "cluster/agent.h"
#include "cluster/core.h"
#include "worker/encoder.h"
#include "worker/plan.h"
#include "worker/request_table.h"
#include "worker/snapshot.h"
#include "worker/step.h"

namespace ps::worker {

// The caller's name for an operation.
using Ticket = std::uint64_t;

struct Outcome {
  std::optional<cluster::Failure> failure;
  StepResult step;                  // add_model, end_step, pull
  std::vector<double> values;       // collective
  wire::LeaseGrant lease;           // lease
  Snapshot snapshot;                // save
  std::vector<Encoding> encodings;  // encodings
  std::uint64_t clock = 0;          // clock_now
};

class Events {
 public:
  Events() = default;
  virtual ~Events() = default;
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;
  // On the core's thread, once per ticket.
  virtual void done(Ticket ticket, Outcome outcome) = 0;
  // Before that, of a step: these parameters' weights are those that it leaves, and are not written
  // before the next one begins. Each at most once; in modes that write weights again, none.
  virtual void arrived(Ticket /*ticket*/, std::span<const std::uint32_t> /*parameters*/) {}
};

class Worker final : public cluster::Core {
 public:
  struct Options {
    cluster::Agent::Options agent;
    std::size_t credit_bytes = std::size_t{32}
                               << 20;  // in flight to one shard, unless a single bucket is larger
    std::uint64_t seed = 0;            // of the jitter
    AllocateMemory allocate = &Memory::allocate;  // for what is sent
  };
  struct ModelSetup {
    std::string name;
    ModelOptions options;
    std::vector<wire::ParameterInfo> parameters;
    std::vector<Memory>
        weights;  // fp32, one per parameter; rank 0's contents are the initial values
    std::vector<Memory> gradients;  // likewise; for kAverage the values to average
    // What else to start with than the weights; rank 0's too, and of no parameters if it is
    // nothing.
    Snapshot initial = {};
    std::uint64_t checkpoint = 0;  // tells it from another one; equal on all workers
  };

  Worker(Options options, Events& events);

  // --- operations, on the core's thread
  // ------------------------------------------------------------------------ Registers, assigns
  // (rank 0) and pulls the first weights. Returns the model's number here.
  std::size_t add_model(Ticket ticket, ModelSetup setup, TimePoint now, cluster::Outbox& out);
  void begin_step(std::size_t model, const StepBegin& begin, TimePoint now, cluster::Outbox& out);
  // This parameter's gradient is complete; its buckets may leave.
  void ready(std::size_t model, std::uint32_t parameter, TimePoint now, cluster::Outbox& out);
  // It is, and its owner has encoded it, as encodings() said, into these bytes.
  void ready_encoded(std::size_t model,
                     std::uint32_t parameter,
                     Memory bytes,
                     TimePoint now,
                     cluster::Outbox& out);
  // This step does not touch the parameter: it contributes n = 0.
  void skip(std::size_t model, std::uint32_t parameter, TimePoint now, cluster::Outbox& out);
  // Everything not sent yet is ready now; `ticket` is done when every answer is in.
  void end_step(Ticket ticket, std::size_t model, TimePoint now, cluster::Outbox& out);
  // How gradients can be handed over encoded, by parameter: without pieces where they cannot, being
  // clipped here or not compressed.
  void encodings(Ticket ticket, std::size_t model, TimePoint now, cluster::Outbox& out);
  // How many steps were completed, as encoding counts them.
  void clock_now(Ticket ticket, std::size_t model, TimePoint now, cluster::Outbox& out);
  // The shards' sums of what they measure, in Outcome::values.
  void measures(Ticket ticket, std::size_t model, TimePoint now, cluster::Outbox& out);
  // Brings the weights, or their moving average, to where the user reads weights.
  void pull(Ticket ticket, std::size_t model, wire::Part part, TimePoint now, cluster::Outbox& out);
  // All that the shards keep of the model, in Outcome::snapshot: of each chunk what it has at one
  // moment.
  void save(Ticket ticket, std::size_t model, TimePoint now, cluster::Outbox& out);
  // Sum over the ranks; empty for a barrier. In ssp mode a worker that waits here holds nobody
  // back; when it comes back it has the others' clock and fresh weights.
  void collective(Ticket ticket, std::vector<double> values, TimePoint now, cluster::Outbox& out);
  void lease(Ticket ticket, wire::LeaseRequest request, TimePoint now, cluster::Outbox& out);
  void leave(Ticket ticket, TimePoint now, cluster::Outbox& out);
  // Ends the job for everybody: `reason` says why.
  void abort(const std::string& reason, TimePoint now, cluster::Outbox& out);
  // What heartbeats say this worker is doing.
  void set_phase(std::string phase) { phase_ = std::move(phase); }

  // --- Core
  // ------------------------------------------------------------------------------------------------------
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
  [[nodiscard]] std::uint64_t clock(std::size_t model) const { return models_[model]->clock; }

 private:
  // The owner of requests that belong to no operation of the user (a retirement).
  static constexpr std::size_t kNobody = ~std::size_t{0};

  struct Model {
    ModelSetup setup;
    std::uint16_t id = 0;  // the scheduler's
    Plan plan;
    Encoder encoder;                      // of gradients
    std::vector<Encoding> encodings;      // once they were asked for
    std::vector<Memory> handed;           // then: gradients of the step that came encoded
    std::vector<std::uint64_t> versions;  // of the weights held, by chunk
    std::uint64_t clock = 0;
    std::vector<double> measured;  // sums over the shards, while they come
    std::uint64_t wanted = 0;  // version that pulls ask for, if it is beyond the clock // completed
                               // steps; in sync the round
    enum class State { kRegistering, kAssigning, kPulling, kReady } state = State::kRegistering;
    Ticket ticket = 0;  // of add_model or pull
    std::uint64_t register_ask = 0;
    std::uint64_t outstanding = 0;  // requests of add_model, pull or the step
    std::optional<Snapshot> saving;
    bool torn = false;  // what came of a chunk for it is of two versions
    Step step;
    bool retired = false;     // from the shards' minimum clock, until the next step
    bool rejoin = false;      // the pull under way asks where to start
    bool comes_back = false;  // that pull ends a retirement
  };
  struct ShardLink {
    RequestTable requests;
    std::size_t in_flight = 0;  // bytes
    std::set<std::pair<std::size_t, std::uint32_t>>
        queue;  // (model, bucket) that wait for credit, by priority
    TimePoint last_heard{};
    TimePoint last_renewed{};
  };

  [[nodiscard]] net::Link link_of(std::size_t shard) const {
    return cluster::kSchedulerLink + 1 + shard;
  }
  void on_view(TimePoint now, cluster::Outbox& out);
  void connect_shards(TimePoint now, cluster::Outbox& out);
  void on_model_ready(std::size_t index,
                      const wire::ModelInfo& info,
                      TimePoint now,
                      cluster::Outbox& out);
  void on_reply(std::size_t shard, const wire::Message& reply, TimePoint now, cluster::Outbox& out);
  bool take_weights(Model& model, const wire::Message& reply);
  static bool take_parts(Model& model, const wire::Message& request, const wire::Message& reply);
  void on_answered(Model& model,
                   const wire::Message& request,
                   const wire::Message& reply,
                   TimePoint now,
                   cluster::Outbox& out);
  void tell_arrived(const Model& model, const std::vector<std::uint32_t>& parameters);
  static bool arrives_early(const Model& model, const StepBegin& begin);
  static bool clips(const Model& model);
  static void clip(Model& model);
  bool catch_up(std::size_t index, TimePoint now, cluster::Outbox& out);
  void on_all_answered(std::size_t index, TimePoint now, cluster::Outbox& out);

  void assign_all(std::size_t index, TimePoint now, cluster::Outbox& out);
  void pull_all(std::size_t index,
                std::uint8_t flags,
                TimePoint now,
                cluster::Outbox& out,
                wire::Part part = wire::Part::kWeights);
  // Every part of the bucket's chunks: to be asked for, or with initial values.
  std::vector<wire::Message> make_whole(std::size_t index, wire::Type type, const Bucket& bucket);
  static std::vector<wire::Segment> segments_of(const Model& model,
                                                std::uint32_t chunk,
                                                bool carried);
  Buffer initial_values(const Model& model, const std::vector<wire::Segment>& segments);
  void retire(TimePoint now, cluster::Outbox& out);
  void come_back(Ticket ticket, std::vector<double> values, TimePoint now, cluster::Outbox& out);
  void finish_collectives();
  void announce(
      std::size_t index, wire::Type type, std::uint8_t flag, TimePoint now, cluster::Outbox& out);
  void pull_skipped(std::size_t index, std::uint32_t shard, TimePoint now, cluster::Outbox& out);
  void enqueue(std::size_t index, std::uint32_t bucket, TimePoint now, cluster::Outbox& out);
  void pump_queue(std::size_t shard, TimePoint now, cluster::Outbox& out);
  void send_bucket(std::size_t index, std::uint32_t bucket, TimePoint now, cluster::Outbox& out);
  void end_shard(std::size_t index, std::uint32_t shard, TimePoint now, cluster::Outbox& out);
  // Which of the bucket's chunks go into a message: those that are part of the step, or those that
  // are not.
  enum class Which { kAll, kTouched, kSkipped };
  wire::Message make_message(
      std::size_t index, wire::Type type, const Bucket& bucket, Which which, bool payload);
  Buffer encode(Model& model, const std::vector<wire::Segment>& segments);
  static bool came_encoded(const Model& model, std::uint32_t parameter);
  static Buffer handed_over(const Model& model, const wire::Segment& segment);
  Buffer gather(const std::vector<Memory>& source,
                const Plan& plan,
                const std::vector<std::uint32_t>& chunks);
  void request(std::size_t index,
               std::uint32_t shard,
               wire::Message message,
               std::size_t credit,
               TimePoint now,
               cluster::Outbox& out);
  void transmit(std::size_t shard, const wire::Message& message, cluster::Outbox& out);
  void check_requests(std::size_t shard, TimePoint now, cluster::Outbox& out);

  void fail(ErrorCode code, const std::string& text, TimePoint now, cluster::Outbox& out);
  void check_failure(TimePoint now, cluster::Outbox& out);
  void finish(Ticket ticket, Outcome outcome);

  Options options_;
  Events& events_;
  cluster::Agent agent_;
  BlockPool pool_;
  std::vector<std::unique_ptr<Model>> models_;
  std::vector<ShardLink> shards_;
  std::set<Ticket> open_;  // tickets that are not done
  struct Asked {
    std::uint64_t index = 0;
    std::uint64_t ask = 0;
  };
  std::map<Ticket, Asked> collectives_;
  std::map<Ticket, Outcome> coming_back_;  // from collectives that are over, by way of a pull
  std::map<Ticket, Asked> leases_;
  std::uint64_t next_collective_ = 0;
  std::uint64_t next_lease_ = 0;
  std::optional<Ticket> leaving_;
  std::uint64_t leave_ask_ = 0;
  std::string phase_;
  bool failed_ = false;
  bool finished_ = false;
};

}  // namespace ps::worker
