#include "net/sim_network.h"

#include <algorithm>
#include <cstring>

#include <ps/error.h>

#include "base/assert.h"
#include "net/endpoint.h"
#include "net/sim_state.h"

namespace ps::net {

SimNetwork::SimNetwork(std::uint64_t seed) : state_(std::make_shared<SimState>(seed)) {}

std::unique_ptr<Transport> SimNetwork::join(SimNode node, const TransportLimits& limits) {
  PS_ASSERT(state_->find(node) == nullptr, "a node has one transport at a time");
  return std::make_unique<SimTransport>(state_, node, limits);
}

void SimNetwork::set_faults(const SimFaults& faults) {
  state_->default_faults = faults;
}

void SimNetwork::set_faults(SimNode from, SimNode to, const SimFaults& faults) {
  state_->faults[{from, to}] = faults;
}

void SimNetwork::cut(SimNode from, SimNode to, TimePoint until) {
  state_->cut_until[{from, to}] = until;
}

void SimNetwork::partition(SimNode a, SimNode b, TimePoint until) {
  cut(a, b, until);
  cut(b, a, until);
}

void SimNetwork::reset_connections(SimNode a, SimNode b) {
  std::vector<SimConnectionId> between;
  for (const auto& [id, connection] : state_->connections) {
    const SimNode opened = connection.sides[0].node;
    const SimNode accepted = connection.sides[1].node;
    if ((opened == a && accepted == b) || (opened == b && accepted == a)) between.push_back(id);
  }
  for (const SimConnectionId id : between) state_->reset(id);
}

TimePoint SimNetwork::now() const {
  return state_->now;
}

TimePoint SimNetwork::next_event() const {
  if (!state_->woken.empty()) return state_->now;
  return state_->events.empty() ? kNever : state_->events.top().due;
}

std::vector<SimNode> SimNetwork::deliver_until(TimePoint now) {
  PS_ASSERT(now >= state_->now, "simulated time does not go back");
  while (!state_->events.empty() && state_->events.top().due <= now) state_->step();
  state_->now = now;
  for (const SimNode node : state_->woken) {
    if (SimTransport* const transport = state_->find(node)) transport->looked_at();
  }
  return std::exchange(state_->woken, {});
}

const SimFaultCounts& SimNetwork::counts() const {
  return state_->counts;
}

SimTransport* SimState::find(SimNode node) const {
  const auto found = transports.find(node);
  return found == transports.end() ? nullptr : found->second;
}

void SimState::wake(SimTransport& transport) {
  if (transport.take_wake()) woken.push_back(transport.node());
}

const SimFaults& SimState::faults_of(SimNode from, SimNode to) const {
  const auto found = faults.find({from, to});
  return found == faults.end() ? default_faults : found->second;
}

bool SimState::is_cut(SimNode from, SimNode to) const {
  const auto found = cut_until.find({from, to});
  return found != cut_until.end() && now < found->second;
}

Duration SimState::draw(Duration low, Duration high) {
  if (high <= low) return low;
  const auto range = static_cast<std::uint64_t>((high - low).count());
  return low + Duration(static_cast<Duration::rep>(random.below(range + 1)));
}

SimConnectionId SimState::connect(SimTransport& from, Link link, const std::string& name) {
  const auto found = bound.find(name);
  if (found == bound.end()) return 0;
  SimTransport& to = *transports.at(found->second);
  const SimConnectionId id = ++last_connection;
  SimConnection& connection = connections[id];
  connection.sides[0] = {.node = from.node(), .link = link};
  connection.sides[1] = {.node = to.node(), .link = to.accept(id)};
  return id;
}

bool SimState::has_room(SimConnectionId id, std::size_t direction) const {
  const auto found = connections.find(id);
  if (found == connections.end()) return true;
  const SimTransport* const to = find(found->second.sides[1 - direction].node);
  return to == nullptr || found->second.unread[direction] < to->limits().queued_messages;
}

SendResult SimState::send(SimConnectionId id, std::size_t direction, const Frames& frames) {
  SimConnection& connection = connections.at(id);
  if (!has_room(id, direction)) {
    connection.sender_waits[direction] = true;
    return SendResult::kFull;
  }
  ++counts.sent;
  const SimNode from = connection.sides[direction].node;
  const SimNode to = connection.sides[1 - direction].node;
  const SimFaults chances = faults_of(from, to);
  if (connection.broken || !connection.sides[1 - direction].attached) {
    ++counts.lost;
  } else if (random.chance(chances.reset)) {
    ++counts.lost;
    reset(id);
  } else if (is_cut(from, to)) {
    ++counts.partitioned;
  } else if (random.chance(chances.drop)) {
    ++counts.dropped;
  } else {
    const bool flips = random.chance(chances.flip);
    schedule(id, direction, flips ? with_flipped_bit(frames) : frames, true);
    if (random.chance(chances.duplicate)) {
      ++counts.duplicated;
      schedule(id, direction, frames, false);
    }
  }
  return SendResult::kSent;
}

void SimState::schedule(SimConnectionId id,
                        std::size_t direction,
                        const Frames& frames,
                        bool in_order) {
  SimConnection& connection = connections.at(id);
  const SimFaults& chances =
      faults_of(connection.sides[direction].node, connection.sides[1 - direction].node);
  TimePoint due = now + draw(chances.delay_min, chances.delay_max);
  if (in_order && random.chance(chances.reorder)) {
    ++counts.reordered;
    due += draw(Duration(1), chances.reorder_delay);
  } else if (in_order) {
    due = std::max(due, connection.last_due[direction]);
    connection.last_due[direction] = due;
  }
  ++connection.unread[direction];
  events.push({due, ++last_order, SimEvent::Kind::kMessage, id, direction, frames});
}

Frames SimState::with_flipped_bit(const Frames& frames) {
  const std::size_t bytes = frames.header.size() + frames.payload.size();
  if (bytes == 0) return frames;
  ++counts.flipped;
  std::size_t at = random.below(bytes);
  Frames flipped = frames;
  Buffer& part = at < frames.header.size() ? flipped.header : flipped.payload;
  if (at >= frames.header.size()) at -= frames.header.size();
  const Memory copy = Memory::allocate(part.size());
  std::memcpy(copy.bytes().data(), part.data(), part.size());
  copy.bytes()[at] ^= static_cast<std::byte>(1U << random.below(8));
  part = copy.buffer();
  return flipped;
}

void SimState::step() {
  const SimEvent event = events.top();
  events.pop();
  now = std::max(now, event.due);
  if (event.kind == SimEvent::Kind::kMessage) {
    deliver(event);
    return;
  }
  notice(event);
}

void SimState::notice(const SimEvent& event) {
  const auto found = connections.find(event.connection);
  if (found == connections.end()) return;
  SimConnection::Side& side = found->second.sides[1 - event.direction];
  if (!std::exchange(side.attached, false)) return;
  const SimConnection::Side noticed = side;
  if (!found->second.sides[event.direction].attached) connections.erase(found);
  SimTransport* const transport = find(noticed.node);
  PS_ASSERT(transport != nullptr, "a crash detaches its sides");
  transport->link_down(noticed.link, event.connection);
}

void SimState::deliver(const SimEvent& event) {
  const auto found = connections.find(event.connection);
  if (found == connections.end() || found->second.broken ||
      !found->second.sides[1 - event.direction].attached) {
    ++counts.lost;
    return;
  }
  SimConnection& connection = found->second;
  const SimConnection::Side& to = connection.sides[1 - event.direction];
  SimTransport& transport = *transports.at(to.node);
  if (is_cut(connection.sides[event.direction].node, to.node)) {
    ++counts.partitioned;
    message_read(event.connection, event.direction);
  } else if (!fits(event.frames, transport.limits())) {
    ++counts.lost;
    reset(event.connection);  // as real transports cut off whoever sends too much
  } else {
    ++counts.delivered;
    transport.put(to.link, event.connection, event.frames);
    wake(transport);
  }
}

void SimState::message_read(SimConnectionId id, std::size_t direction) {
  const auto found = connections.find(id);
  if (found == connections.end()) return;
  --found->second.unread[direction];
  if (!std::exchange(found->second.sender_waits[direction], false)) return;
  if (SimTransport* const sender = find(found->second.sides[direction].node)) wake(*sender);
}

// A connection is forgotten when no side is attached any more.
void SimState::close(SimConnectionId id, std::size_t side) {
  const auto found = connections.find(id);
  if (found == connections.end() || !found->second.sides[side].attached) return;
  found->second.sides[side].attached = false;
  if (found->second.sides[1 - side].attached) {
    notice_later(id, 1 - side);
  } else {
    connections.erase(found);
  }
}

void SimState::reset(SimConnectionId id) {
  SimConnection& connection = connections.at(id);
  if (std::exchange(connection.broken, true)) return;
  ++counts.reset;
  for (const std::size_t side : {std::size_t{0}, std::size_t{1}}) {
    if (connection.sides[side].attached) notice_later(id, side);
  }
}

// After what is in flight towards that side has arrived.
void SimState::notice_later(SimConnectionId id, std::size_t side) {
  const std::size_t direction = 1 - side;
  const TimePoint due =
      std::max(now + SimNetwork::kReconnectDelay, connections.at(id).last_due[direction]);
  events.push({due, ++last_order, SimEvent::Kind::kLinkDown, id, direction, {}});
}

}  // namespace ps::net
