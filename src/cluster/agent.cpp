#include "cluster/agent.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "base/assert.h"

namespace ps::cluster {
namespace {

std::string in_seconds(Duration duration) {
  std::ostringstream text;
  text.precision(3);
  text << seconds(duration) << " s";
  return text.str();
}

}  // namespace

std::string name_of(const wire::Sender& sender) {
  switch (sender.role) {
    case wire::Role::kScheduler:
      return "the scheduler";
    case wire::Role::kServer:
      return "shard " + std::to_string(sender.index);
    case wire::Role::kWorker:
      return "worker " + std::to_string(sender.index);
  }
  return "an unknown node";
}

void Agent::start(TimePoint now, Outbox& out) {
  last_heard_ = now;
  out.connect(kSchedulerLink, options_.scheduler);
  join_ticket_ =
      ask(wire::Join{options_.self.role, options_.self.index, options_.nonce, options_.own_endpoint,
                     "ps protocol " + std::to_string(wire::kMajor) + "." +
                         std::to_string(wire::kMinor)},
          now, out);
}

std::optional<wire::Control> Agent::on_message(const wire::Message& message,
                                               TimePoint now,
                                               Outbox& out) {
  if (message.header.type != wire::Type::kControl) return std::nullopt;
  auto decoded = wire::decode_control(message.payload.bytes());
  if (const auto* error = std::get_if<wire::DecodeError>(&decoded)) {
    out.note(LogLevel::kWarn, "a message of the scheduler could not be read and is ignored: " +
                                  wire::to_string(*error));
    return std::nullopt;
  }
  if (message.header.job != options_.job) return std::nullopt;
  last_heard_ = now;
  renewed_ = false;
  other_versions_ = 0;
  auto& control = std::get<wire::Control>(decoded);
  if (const auto* answer = std::get_if<wire::Joined>(&control)) {
    if (joined()) return std::nullopt;
    incarnation_ = answer->incarnation;
    settle(join_ticket_);
    next_beat_ = now;
    for (const auto& ask : asks_) send(ask.request, out);  // what had to wait for the incarnation
    return std::nullopt;
  }
  if (const auto* refused = std::get_if<wire::Refused>(&control)) {
    fail(static_cast<ErrorCode>(refused->code), refused->text);
    return std::nullopt;
  }
  // Joined got lost and something later did not: nothing can be done about it without an
  // incarnation. It is told again.
  if (!joined()) return std::nullopt;
  if (const auto* ack = std::get_if<wire::HeartbeatAck>(&control)) {
    if (ack->revision > view_.revision) next_beat_ = now;  // the view got lost: ask for it again
    return std::nullopt;
  }
  if (auto* view = std::get_if<wire::View>(&control)) {
    if (view->revision <= view_.revision) return std::nullopt;
    on_view(std::move(*view), now, out);
    return view_;
  }
  return std::move(control);
}

void Agent::on_view(wire::View view, TimePoint now, Outbox& out) {
  view_ = std::move(view);
  if (view_.phase == wire::View::Phase::kStopping) {
    beat(now, out);  // the scheduler waits until everybody knows
    if (view_.failed) fail(ErrorCode::kAborted, view_.reason);
  }
}

void Agent::on_bad_message(const wire::DecodeError& error) {
  // One such message may be a flipped bit.
  if (error.code != wire::DecodeError::Code::kVersion || ++other_versions_ < 3) return;
  fail(ErrorCode::kMismatch, "the scheduler at " + options_.scheduler +
                                 " speaks another version of the protocol: " +
                                 wire::to_string(error) + "; run the same build of ps everywhere");
}

void Agent::on_time(TimePoint now, Outbox& out) {
  if (failure_ || left_) return;
  const Duration silent = now - last_heard_;
  const Duration limit = joined() ? options_.timing.lease : options_.timing.deadline;
  if (silent >= limit) {
    fail(ErrorCode::kUnavailable, "the scheduler at " + options_.scheduler +
                                      " has not answered for " + in_seconds(silent) +
                                      (joined() ? "; it is taken for dead" : "; is it running?"));
    return;
  }
  if (joined() && silent >= options_.timing.suspect && !renewed_) {
    renewed_ = true;
    out.connect(kSchedulerLink, options_.scheduler);
  }
  if (now >= next_beat_) beat(now, out);
  for (auto& ask : asks_) {
    if (now < ask.again || !may_send(ask)) continue;
    send(ask.request, out);
    // Never longer than the scheduler waits for a sign of life.
    ask.pause = std::min(ask.pause * 2, options_.timing.lease / 3);
    ask.again = now + ask.pause;
  }
}

TimePoint Agent::next_time() const {
  if (failure_ || left_) return kNever;
  TimePoint next = std::min(
      next_beat_, last_heard_ + (joined() ? options_.timing.lease : options_.timing.deadline));
  if (joined() && !renewed_) next = std::min(next, last_heard_ + options_.timing.suspect);
  for (const auto& ask : asks_) {
    if (may_send(ask)) next = std::min(next, ask.again);
  }
  return next;
}

std::uint64_t Agent::ask(wire::Control request, TimePoint now, Outbox& out) {
  const std::uint64_t ticket = next_ticket_++;
  const Duration pause = std::min(options_.timing.retry, options_.timing.lease / 2);
  asks_.push_back({ticket, std::move(request), now + pause, pause});
  if (may_send(asks_.back())) send(asks_.back().request, out);
  return ticket;
}

// Before it has joined, a node has no incarnation to speak under.
bool Agent::may_send(const Ask& ask) const {
  return joined() || std::holds_alternative<wire::Join>(ask.request);
}

void Agent::settle(std::uint64_t ticket) {
  std::erase_if(asks_, [&](const Ask& ask) { return ask.ticket == ticket; });
}

void Agent::leave(bool failed, const std::string& reason, TimePoint now, Outbox& out) {
  if (left_) return;
  if (failed || failure_) {
    left_ = true;
    send(wire::Leave{failed, reason}, out);
    return;
  }
  ask(wire::Leave{false, reason}, now, out);
}

void Agent::stamp(wire::Header& header) const {
  header.job = options_.job;
  header.sender = options_.self;
  header.incarnation = incarnation_;
  header.generation = view_.generation;
}

void Agent::fail(ErrorCode code, std::string text) {
  if (!failure_) failure_ = Failure{code, std::move(text)};
}

void Agent::send(const wire::Control& control, Outbox& out) const {
  wire::Message message;
  message.header.type = wire::Type::kControl;
  stamp(message.header);
  message.payload = wire::encode_control(control);
  out.send(kSchedulerLink, std::move(message));
}

void Agent::beat(TimePoint now, Outbox& out) {
  send(wire::Heartbeat{view_.revision, step_, phase_}, out);
  next_beat_ = now + options_.timing.heartbeat;
}

}  // namespace ps::cluster
