// One node's links in the simulated network.
#include <ps/error.h>

#include "base/assert.h"
#include "net/endpoint.h"
#include "net/sim_state.h"

namespace ps::net {

SimTransport::SimTransport(std::shared_ptr<SimState> state,
                           SimNode node,
                           const TransportLimits& limits)
    : state_(std::move(state)), node_(node), limits_(limits) {
  state_->transports[node_] = this;
}

SimTransport::~SimTransport() {
  if (!name_.empty()) state_->bound.erase(name_);
  for (const auto& [link, state] : links_) state_->close(state.connection, side_of(link));
  state_->transports.erase(node_);
}

int SimTransport::fd() const noexcept {
  try {
    if (!wakeup_) wakeup_.emplace();
  } catch (const Error&) {
    return -1;  // no descriptor left: poll() ignores it
  }
  if (!inbox_.empty()) wakeup_->ring();
  return wakeup_->fd();
}

std::string SimTransport::bind(const std::string& endpoint) {
  PS_ASSERT(name_.empty(), "a transport is bound at most once");
  std::string name(address_of(endpoint, "sim"));
  if (name == "*") name = "any-" + std::to_string(++state_->names_made);
  if (!state_->bound.emplace(name, node_).second) {
    throw Error(ErrorCode::kUnavailable,
                "the endpoint " + endpoint + " is taken; bind another name, or sim://*");
  }
  name_ = name;
  for (const auto& [node, transport] : state_->transports) transport->try_waiting(name_);
  return "sim://" + name_;
}

void SimTransport::connect(Link link, const std::string& endpoint) {
  require_own_link(link);
  const std::string name(address_of(endpoint, "sim"));
  disconnect(link);
  links_[link] = {name, 0};
  try_waiting(name);
}

void SimTransport::try_waiting(const std::string& name) {
  for (auto& [link, state] : links_) {
    if (link >= kAcceptedBit || state.connection != 0 || state.name != name) continue;
    state.connection = state_->connect(*this, link, name);
    if (state.connection != 0) state_->wake(*this);
  }
}

Link SimTransport::accept(SimConnectionId id) {
  const Link link = next_accepted_++;
  links_[link].connection = id;
  return link;
}

void SimTransport::disconnect(Link link) {
  full_.remove(link);
  const auto found = links_.find(link);
  if (found == links_.end()) return;
  state_->close(found->second.connection, side_of(link));
  links_.erase(found);
  std::erase_if(inbox_, [&](const Message& message) { return message.link == link; });
}

// The connection's end is noticed.
void SimTransport::link_down(Link link, SimConnectionId id) {
  const auto found = links_.find(link);
  if (found == links_.end() || found->second.connection != id) return;
  if (link >= kAcceptedBit) {
    links_.erase(found);
  } else {
    found->second.connection = 0;
    try_waiting(std::string(found->second.name));
  }
  state_->wake(*this);
}

SendResult SimTransport::send(Link link, const Frames& frames) {
  require_fits(frames, limits_);
  full_.remove(link);
  const auto found = links_.find(link);
  if (found == links_.end()) return SendResult::kUnreachable;
  const SimConnectionId connection = found->second.connection;
  const SendResult result =
      connection == 0 ? SendResult::kFull : state_->send(connection, side_of(link), frames);
  if (result == SendResult::kFull) full_.add(link);
  return result;
}

void SimTransport::put(Link link, SimConnectionId id, Frames frames) {
  inbox_.push_back({link, id, std::move(frames)});
}

bool SimTransport::take_wake() {
  if (wakeup_) wakeup_->ring();
  return !std::exchange(woken_, true);
}

bool SimTransport::receive(Link& from, Frames& frames) {
  if (!inbox_.empty()) {
    Message message = std::move(inbox_.front());
    inbox_.pop_front();
    state_->message_read(message.connection, 1 - side_of(message.link));
    from = message.link;
    frames = std::move(message.frames);
    return true;
  }
  if (wakeup_) wakeup_->clear();
  const bool room_again = full_.remind([this](Link link) {
    const auto found = links_.find(link);
    return found == links_.end() || (found->second.connection != 0 &&
                                     state_->has_room(found->second.connection, side_of(link)));
  });
  if (room_again && wakeup_) wakeup_->ring();
  return false;
}

}  // namespace ps::net
