// One sync model's round at one shard, where the shards must agree before anyone commits: who
// contributes (backup workers), how long the whole gradient is (clipping, LARS, finite = step), and
// how long the whole update is (LAMB). The shards' parts go to the scheduler, which answers all of
// them with the same (cluster/rounds.h). Pure: says what is due, and the shard does it.
//
// Invariants
// 1. A round's contributors are named once: by its ticket, or they are all ranks.
// 2. A phase is asked for once, after the one before it has been answered.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "wire/control.h"

namespace ps::server {

class Agreement {
 public:
  struct Needs {
    bool ticket = false;
    bool gradient = false;
    bool update = false;
    [[nodiscard]] bool any() const { return ticket || gradient || update; }
  };
  enum class Due {
    kNothing,   // it waits
    kTicket,    // tell who has arrived
    kGradient,  // reduce, and tell the gradient's sums
    kUpdate,    // turn the gradient into an update, and tell its sums
    kCommit,
  };

  Agreement() = default;
  // A ticket names `quorum` of the `workers` ranks.
  Agreement(Needs needs, std::uint32_t workers, std::uint32_t quorum);

  [[nodiscard]] const Needs& needs() const { return needs_; }
  [[nodiscard]] std::uint64_t round() const { return round_; }

  // Initial values are of `round`: nothing has been agreed on before.
  void start_at(std::uint64_t round) { round_ = round; }
  // All of rank's step for `round` is here. One for an earlier round only counts as consumed.
  void arrived(std::uint32_t rank, std::uint64_t round, std::uint32_t samples);
  // The rank takes no step for a while, or does again: a ticket does not wait for it.
  void retire(std::uint32_t rank) { retired_.insert(rank); }
  void join(std::uint32_t rank) { retired_.erase(rank); }
  // A message of the rank's for the round under way was not finite; that matters if it contributes.
  void spoiled(std::uint32_t rank) { spoiled_.insert(rank); }
  // With tickets: samples of all steps that arrived.
  [[nodiscard]] std::uint64_t heard() const { return heard_; }
  // What to do next. Says kTicket, kGradient and kUpdate once each a round.
  Due next();
  // A part of the phase that next() has just named, to be completed and sent.
  [[nodiscard]] wire::RoundPart part(std::uint16_t model);
  // The scheduler's answer; false if it answers nothing that was asked.
  bool on_result(const wire::RoundResult& result);

  // Valid when next() says kCommit; `gradient` and `update` where those phases were needed.
  [[nodiscard]] bool contributes(std::uint32_t rank) const;
  [[nodiscard]] bool finite() const { return gradient_ ? gradient_->finite : true; }
  [[nodiscard]] const std::optional<wire::RoundResult>& ticket() const { return ticket_; }
  [[nodiscard]] const std::optional<wire::RoundResult>& gradient() const { return gradient_; }
  [[nodiscard]] const std::optional<wire::RoundResult>& update() const { return update_; }
  // The round is over; the next one begins.
  void close();

 private:
  Needs needs_;
  std::uint32_t workers_ = 0;
  std::uint32_t quorum_ = 0;
  std::uint64_t round_ = 0;
  [[nodiscard]] std::size_t quorum() const;

  std::set<std::uint32_t> arrived_;
  std::set<std::uint32_t> retired_;
  std::vector<std::uint32_t> order_;      // of arrival
  std::vector<wire::Consumed> consumed_;  // not told yet
  std::uint64_t heard_ = 0;
  std::optional<wire::RoundPart::Phase> asked_;
  std::set<std::uint32_t> spoiled_;  // ranks
  std::optional<wire::RoundResult> ticket_;
  std::optional<wire::RoundResult> gradient_;
  std::optional<wire::RoundResult> update_;
};

}  // namespace ps::server
