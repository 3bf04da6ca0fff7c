// The scheduler's core: who is a member, which models there are and where their chunks lie, who
// reads which samples, and when the job is over. It decides by changing one document, the View, and
// sees to it that every node has the latest one. It never touches a gradient.
//
// Invariants
// 1. Every change of view_ goes through publish(), which raises the revision.
// 2. generation changes exactly when a member's state or incarnation changes.
// 3. An incarnation is never given twice.
// 4. Once the phase is kStopping it stays, and so does its reason.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <ps/error.h>

#include "cluster/collectives.h"
#include "cluster/core.h"
#include "cluster/leases.h"
#include "cluster/rounds.h"
#include "cluster/timing.h"
#include "wire/control.h"

namespace ps::cluster {

// What a death does: kStop ends the job with a clear text, kWait holds its place until the worker
// is started again.
enum class OnFailure { kStop, kWait };

class Scheduler final : public Core {
 public:
  struct Options {
    wire::JobId job{};
    std::uint32_t workers = 1;
    std::uint32_t shards = 1;
    OnFailure on_failure = OnFailure::kStop;
    Timing timing;
  };

  explicit Scheduler(const Options& options);

  void on_start(TimePoint now, Outbox& out) override;
  void on_message(net::Link from, wire::Message message, TimePoint now, Outbox& out) override;
  void on_bad_message(net::Link from,
                      const wire::DecodeError& error,
                      TimePoint now,
                      Outbox& out) override;
  void on_time(TimePoint now, Outbox& out) override;
  [[nodiscard]] TimePoint next_time() const override;
  [[nodiscard]] bool finished() const override { return finished_; }

  // Ends the job from outside (a signal, say).
  void stop(const std::string& reason, TimePoint now, Outbox& out) { end(true, reason, now, out); }

  [[nodiscard]] const wire::View& view() const { return view_; }
  // Why the job failed; empty if it did not.
  [[nodiscard]] std::string failure() const { return view_.failed ? view_.reason : std::string(); }

 private:
  struct Member {
    net::Link link = 0;
    bool joined = false;
    bool dead = false;  // silent for too long, or failed: nothing it says counts any more
    std::uint64_t nonce = 0;
    std::uint32_t incarnation = 0;
    TimePoint last_heard{};
    std::uint64_t revision_seen = 0;
    std::uint64_t left_at = ~std::uint64_t{0};  // the revision that says so
    std::uint64_t step = 0;
    std::string phase;
  };
  struct Registration {  // of one model
    wire::Register first;
    std::uint32_t first_rank = 0;
    std::vector<bool> registered;  // by rank
    std::vector<bool> allocated;   // by shard
    std::optional<Rounds> rounds;  // sync mode
  };

  Member* member(const wire::Sender& sender);
  void on_join(net::Link from,
               const wire::Header& header,
               const wire::Join& join,
               TimePoint now,
               Outbox& out);
  void admit(
      Member& member, const wire::Sender& who, const wire::Join& join, TimePoint now, Outbox& out);
  void on_register(std::uint32_t rank, const wire::Register& request, TimePoint now, Outbox& out);
  void create_model(std::uint32_t rank, const wire::Register& request);
  void on_allocated(std::uint32_t shard, std::uint16_t model, Outbox& out);
  void on_heartbeat(Member& member, const wire::Heartbeat& heartbeat, Outbox& out);
  void on_collective(std::uint32_t rank,
                     const wire::Collective& collective,
                     TimePoint now,
                     Outbox& out);
  void on_round_part(std::uint32_t shard, const wire::RoundPart& part, TimePoint now, Outbox& out);
  void on_lease(Member& member,
                std::uint32_t rank,
                const wire::LeaseRequest& request,
                TimePoint now,
                Outbox& out);
  void on_leave(const wire::Sender& sender, const wire::Leave& leave, TimePoint now, Outbox& out);

  void check_gathering(TimePoint now, Outbox& out);
  void check_liveness(TimePoint now, Outbox& out);
  void on_death(const wire::Sender& who, Duration silent, TimePoint now, Outbox& out);
  void end(bool failed, const std::string& reason, TimePoint now, Outbox& out);
  void publish(Outbox& out);
  [[nodiscard]] wire::Message message_of(const wire::Control& control) const;
  void reply(net::Link to, const wire::Control& control, Outbox& out) const;
  void refuse(net::Link to, ErrorCode code, const std::string& text, Outbox& out) const;
  [[nodiscard]] bool everyone_knows() const;

  Options options_;
  wire::View view_;
  std::vector<Member> workers_;
  std::vector<Member> shards_;
  std::vector<Registration> registrations_;  // parallel to view_.models
  Collectives collectives_;
  std::map<std::uint64_t, LeaseBook> leases_;  // by stream
  std::uint32_t incarnations_ = 0;
  TimePoint started_{};
  TimePoint farewell_ = kNever;  // when it stops waiting for the members to hear of the end
  TimePoint next_check_ = kNever;
  bool finished_ = false;
};

}  // namespace ps::cluster
