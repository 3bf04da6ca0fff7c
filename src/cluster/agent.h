// The scheduler's representative inside a worker's or a shard's core: joins the job, beats the
// heart, keeps the last view, repeats what was asked of the scheduler until it is answered, and
// notices when the scheduler is gone.
//
// Invariants
// 1. view().revision never falls.
// 2. Once failure() is set it never changes; the agent then sends nothing but its farewell.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ps/error.h>

#include "cluster/outbox.h"
#include "cluster/timing.h"
#include "wire/control.h"

namespace ps::cluster {

inline constexpr net::Link kSchedulerLink = 1;

struct Failure {
  ErrorCode code = ErrorCode::kInternal;
  std::string text;
};

class Agent {
 public:
  struct Options {
    wire::JobId job{};
    wire::Sender self{};
    std::uint64_t nonce = 0;   // differs between two lives of the same node
    std::string scheduler;     // endpoint
    std::string own_endpoint;  // a shard's
    Timing timing;
  };

  explicit Agent(Options options) : options_(std::move(options)) {}

  void start(TimePoint now, Outbox& out);

  // Takes a message that came over kSchedulerLink. Returns what its owner has to look at: a View
  // (already taken over into view()), CollectiveResult, LeaseGrant; nothing for what the agent
  // deals with itself.
  std::optional<wire::Control> on_message(const wire::Message& message, TimePoint now, Outbox& out);
  void on_bad_message(const wire::DecodeError& error);
  void on_time(TimePoint now, Outbox& out);
  [[nodiscard]] TimePoint next_time() const;

  // Sends `request`, once joined, now and again, less and less often, until settle() is called with
  // the returned ticket.
  std::uint64_t ask(wire::Control request, TimePoint now, Outbox& out);
  void settle(std::uint64_t ticket);

  // Says goodbye once; on a failure the scheduler tells everybody why.
  void leave(bool failed, const std::string& reason, TimePoint now, Outbox& out);

  // Tells the scheduler at once which view has been seen.
  void confirm(TimePoint now, Outbox& out) { beat(now, out); }

  // What heartbeats say.
  void set_progress(std::uint64_t step, std::string phase) {
    step_ = step;
    phase_ = std::move(phase);
  }

  // Fills in the fields of a header that say who sends it.
  void stamp(wire::Header& header) const;

  [[nodiscard]] bool joined() const { return incarnation_ != 0; }
  [[nodiscard]] std::uint32_t incarnation() const { return incarnation_; }
  [[nodiscard]] const wire::View& view() const { return view_; }
  [[nodiscard]] const std::optional<Failure>& failure() const { return failure_; }
  void fail(ErrorCode code, std::string text);
  [[nodiscard]] const Options& options() const { return options_; }

 private:
  struct Ask {
    std::uint64_t ticket;
    wire::Control request;
    TimePoint again;  // kNever: not before it has joined
    Duration pause;   // after the next sending
  };

  void send(const wire::Control& control, Outbox& out) const;
  [[nodiscard]] bool may_send(const Ask& ask) const;
  void beat(TimePoint now, Outbox& out);
  void on_view(wire::View view, TimePoint now, Outbox& out);

  Options options_;
  std::uint32_t incarnation_ = 0;
  wire::View view_;
  std::optional<Failure> failure_;
  std::vector<Ask> asks_;
  std::uint64_t next_ticket_ = 1;
  std::uint64_t join_ticket_ = 0;
  TimePoint next_beat_ = kNever;
  TimePoint last_heard_{};
  bool renewed_ = false;    // the link, since the scheduler was last heard
  int other_versions_ = 0;  // messages of another version since then
  bool left_ = false;
  std::uint64_t step_ = 0;
  std::string phase_ = "starting";
};

// "worker 3", "shard 0", "the scheduler".
std::string name_of(const wire::Sender& sender);

}  // namespace ps::cluster
