#include "server/agreement.h"

#include <algorithm>

namespace ps::server {

using Phase = wire::RoundPart::Phase;

Agreement::Agreement(Needs needs, std::uint32_t workers, std::uint32_t quorum)
    : needs_(needs), workers_(workers), quorum_(quorum) {}

void Agreement::arrived(std::uint32_t rank, std::uint64_t round, std::uint32_t samples) {
  if (round > round_) return;
  if (needs_.ticket) {
    consumed_.push_back({rank, round, samples});
    heard_ += samples;
  }
  if (round == round_ && arrived_.insert(rank).second) order_.push_back(rank);
}

// Whoever has retired after its part of the round had come counts as active in it.
std::size_t Agreement::quorum() const {
  std::size_t active = 0;
  for (std::uint32_t rank = 0; rank < workers_; ++rank) {
    if (arrived_.contains(rank) || !retired_.contains(rank)) ++active;
  }
  return std::min<std::size_t>(quorum_, std::max<std::size_t>(active, 1));
}

Agreement::Due Agreement::next() {
  const auto ask = [&](Phase phase, Due due) {
    if (asked_ == phase) return Due::kNothing;
    asked_ = phase;
    return due;
  };
  if (needs_.ticket && !ticket_)
    return order_.size() < quorum() ? Due::kNothing : ask(Phase::kTicket, Due::kTicket);
  const bool complete =
      ticket_ ? std::ranges::all_of(ticket_->ranks, [&](auto r) { return arrived_.contains(r); })
              : arrived_.size() == workers_;
  if (!complete) return Due::kNothing;
  if (needs_.gradient && !gradient_) return ask(Phase::kGradient, Due::kGradient);
  if (!finite()) return Due::kCommit;  // there is no update to be long
  if (needs_.update && !update_) return ask(Phase::kUpdate, Due::kUpdate);
  return Due::kCommit;
}

wire::RoundPart Agreement::part(std::uint16_t model) {
  wire::RoundPart part;
  part.model = model;
  part.round = round_;
  part.phase = *asked_;
  part.finite = std::ranges::none_of(spoiled_, [&](auto rank) { return contributes(rank); });
  if (part.phase == Phase::kTicket) {
    part.ranks.assign(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(quorum()));
    std::ranges::sort(part.ranks);
    part.consumed.swap(consumed_);
  }
  return part;
}

bool Agreement::on_result(const wire::RoundResult& result) {
  if (result.round != round_ || asked_ != result.phase) return false;
  auto& slot = result.phase == Phase::kTicket     ? ticket_
               : result.phase == Phase::kGradient ? gradient_
                                                  : update_;
  if (slot) return false;
  slot = result;
  return true;
}

bool Agreement::contributes(std::uint32_t rank) const {
  return !ticket_ || std::ranges::binary_search(ticket_->ranks, rank);
}

void Agreement::close() {
  ++round_;
  arrived_.clear();
  order_.clear();
  asked_.reset();
  spoiled_.clear();
  ticket_.reset();
  gradient_.reset();
  update_.reset();
}

}  // namespace ps::server
