// What a simulated worker's user does: one model, some steps with compute in between, perhaps
// barriers and leases, a last pull, and goodbye. A state machine driven by the worker's events and
// by time, as a real program is driven by Pending::wait() and its own computing.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "cluster/node.h"
#include "worker/worker.h"

namespace ps::sim {

// One life of one worker.
struct Life {
  std::uint32_t rank = 0;
  std::uint32_t number = 0;  // of all lives of all workers, in the order they began
};

struct StepPlan {
  Duration compute{0};
  worker::StepBegin begin = {};
  std::vector<bool> skipped = {};  // by parameter; may be empty
  bool early = false;              // parameters become ready one by one while it computes
  bool spoiled = false;            // parameter 0, which is not skipped, has a NaN
};

struct Program {
  std::string name = "model";
  ModelOptions options = {};
  std::vector<wire::ParameterInfo> parameters = {};
  std::uint64_t steps = 10;         // until the worker's clock says so many
  std::uint64_t barrier_every = 0;  // steps; 0: only the one before the last pull
  std::uint64_t lease_block = 0;    // samples; > 0: every step reads a leased block ...
  std::uint64_t lease_samples = 0;  // ... of so many, and the worker is done when none is left
  // Functions of their arguments alone, so that a run can be replayed and judged.
  std::function<float(std::uint32_t parameter, std::uint64_t element)> initial;
  std::function<StepPlan(const Life&, std::uint64_t step)> plan;
  std::function<void(const Life&, std::uint64_t step, const std::vector<Memory>& gradients)> fill;
};

struct StepRecord {
  std::uint64_t step = 0;  // the worker's clock
  StepPlan plan;
  TimePoint started{};  // computing
  TimePoint pushed{};   // end_step()
  TimePoint ended{};    // kNever while it is under way
  worker::StepResult result;
  std::uint64_t arrived = 0;  // parameters whose weights were there before the step's end
};

struct LifeRecord {
  Life life;
  std::uint32_t incarnation = 0;  // once it takes steps
  TimePoint began{};
  bool running = true;   // neither crashed, failed nor left
  bool counted = false;  // takes steps, from its first one to a barrier or its end
  bool left = false;     // finished in order
  std::optional<cluster::Failure> failure;
  std::uint64_t next_step = 0;
  std::vector<StepRecord> steps;
  std::vector<wire::LeaseGrant> leases;           // read to the end
  std::vector<std::vector<float>> final_weights;  // by parameter, of the last pull
  std::uint64_t final_version = 0;
  std::string changed;                 // a parameter that was written again after it had arrived
  std::uint64_t operations = 0;        // asked for
  std::uint64_t operations_ended = 0;  // heard of
};

class SimUser final : public worker::Events {
 public:
  // Not owned; both outlive it.
  SimUser(const Program& program, LifeRecord& record) : program_(program), record_(record) {}

  // Only notes it: the core is in the middle of something.
  void done(worker::Ticket ticket, worker::Outcome outcome) override;
  void arrived(worker::Ticket ticket, std::span<const std::uint32_t> parameters) override;

  void start(worker::Worker& core, cluster::Node& node, TimePoint now);
  // Goes on: with what has ended, and with computing that is done.
  void go_on(worker::Worker& core, cluster::Node& node, TimePoint now);
  [[nodiscard]] TimePoint next_time() const { return news_.empty() ? timer() : TimePoint{}; }
  [[nodiscard]] bool over() const { return state_ == State::kLeft || state_ == State::kFailed; }
  [[nodiscard]] const char* doing() const;

 private:
  enum class State {
    kStarting,
    kLeasing,
    kComputing,
    kPushing,
    kMeeting,      // in a barrier between two steps
    kLastMeeting,  // in the one after the last step
    kPulling,
    kLeaving,
    kLeft,
    kFailed
  };
  struct News {
    worker::Ticket ticket;
    worker::Outcome outcome;
  };

  // While the node lends us its core's outbox.
  struct Context {
    worker::Worker& core;
    TimePoint now;
    cluster::Outbox& out;
  };

  [[nodiscard]] TimePoint timer() const;
  worker::Ticket next_ticket();
  void on_outcome(const worker::Outcome& outcome, const Context& at);
  void next(const Context& at);
  void compute(const Context& at);
  void meet(State state, const Context& at);
  void on_ready(const Context& at);
  void end_step(const Context& at);
  void compare_arrived();
  void keep_weights();

  const Program& program_;
  LifeRecord& record_;
  State state_ = State::kStarting;
  std::deque<News> news_;
  std::vector<Memory> weights_;
  std::vector<Memory> gradients_;
  // As they were when they had arrived in the step under way, by parameter.
  std::map<std::uint32_t, std::vector<float>> arrived_;
  worker::Ticket ticket_ = 0;
  std::uint64_t met_at_ = 0;
  TimePoint computed_ = kNever;
  std::deque<std::pair<TimePoint, std::uint32_t>> ready_;  // early parameters, by time
};

}  // namespace ps::sim
