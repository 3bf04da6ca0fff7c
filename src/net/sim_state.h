// The simulated network's inside, shared by net/sim_network.cpp (events and faults) and
// net/sim_transport.cpp (a node's links). Not for others.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/wakeup.h"
#include "net/full_links.h"
#include "net/sim_network.h"

namespace ps::net {

class SimTransport;
using SimConnectionId = std::uint64_t;  // 0: none

// Sides: 0 opened it, 1 accepted it. Direction d carries what side d sends.
struct SimConnection {
  struct Side {
    SimNode node = 0;
    Link link = 0;
    bool attached = true;  // this side has not noticed its end yet
  };
  std::array<Side, 2> sides;
  bool broken = false;                  // whatever is in flight is lost
  std::array<TimePoint, 2> last_due{};  // per direction: nothing in order comes before it
  std::array<std::size_t, 2> unread{};  // per direction: in flight or in the inbox
  std::array<bool, 2> sender_waits{};   // per direction: a send was refused
};

struct SimEvent {
  enum class Kind { kMessage, kLinkDown };
  TimePoint due;
  std::uint64_t order = 0;  // breaks ties
  Kind kind = Kind::kMessage;
  SimConnectionId connection = 0;
  std::size_t direction = 0;  // kMessage: what it travels in; kLinkDown: what leads to the side
                              // that notices
  Frames frames;

  bool operator>(const SimEvent& other) const {
    return std::pair(due, order) > std::pair(other.due, other.order);
  }
};

struct SimState {
  explicit SimState(std::uint64_t seed) : random(seed) {}

  SimConnectionId connect(SimTransport& from, Link link, const std::string& name);
  // REQUIRES: the sender's side is attached.
  SendResult send(SimConnectionId id, std::size_t direction, const Frames& frames);
  // One side gives it up; the other notices after what is in flight towards it.
  void close(SimConnectionId id, std::size_t side);
  void reset(SimConnectionId id);
  void message_read(SimConnectionId id, std::size_t direction);  // it left the inbox
  [[nodiscard]] bool has_room(SimConnectionId id, std::size_t direction) const;

  void step();  // handles the earliest event
  void wake(SimTransport& transport);
  SimTransport* find(SimNode node) const;

  TimePoint now{};
  Random random;
  SimFaults default_faults;
  SimFaultCounts counts;
  std::map<std::pair<SimNode, SimNode>, SimFaults> faults;     // by direction
  std::map<std::pair<SimNode, SimNode>, TimePoint> cut_until;  // by direction
  std::map<SimNode, SimTransport*> transports;
  std::map<std::string, SimNode> bound;
  std::map<SimConnectionId, SimConnection> connections;
  std::priority_queue<SimEvent, std::vector<SimEvent>, std::greater<>> events;
  std::vector<SimNode> woken;
  std::uint64_t last_order = 0;
  SimConnectionId last_connection = 0;
  std::uint64_t names_made = 0;

 private:
  [[nodiscard]] const SimFaults& faults_of(SimNode from, SimNode to) const;
  [[nodiscard]] bool is_cut(SimNode from, SimNode to) const;
  Duration draw(Duration low, Duration high);
  void schedule(SimConnectionId id, std::size_t direction, const Frames& frames, bool in_order);
  void notice_later(SimConnectionId id, std::size_t side);
  void notice(const SimEvent& event);
  void deliver(const SimEvent& event);
  [[nodiscard]] Frames with_flipped_bit(const Frames& frames);
};

class SimTransport final : public Transport {
 public:
  SimTransport(std::shared_ptr<SimState> state, SimNode node, const TransportLimits& limits);
  ~SimTransport() override;
  SimTransport(const SimTransport&) = delete;
  SimTransport& operator=(const SimTransport&) = delete;

  std::string bind(const std::string& endpoint) override;
  void connect(Link link, const std::string& endpoint) override;
  void disconnect(Link link) override;
  SendResult send(Link link, const Frames& frames) override;
  bool receive(Link& from, Frames& frames) override;
  [[nodiscard]] int fd() const noexcept override;
  [[nodiscard]] bool needs_checksum(Link /*link*/) const noexcept override {
    return true;
  }  // bits may flip

  // For SimState.
  [[nodiscard]] SimNode node() const noexcept { return node_; }
  [[nodiscard]] const TransportLimits& limits() const noexcept { return limits_; }
  Link accept(SimConnectionId id);
  void put(Link link, SimConnectionId id, Frames frames);
  void link_down(Link link, SimConnectionId id);
  void try_waiting(const std::string& name);  // someone bound it
  bool take_wake();                           // true at the first wake since the last look
  void looked_at() noexcept { woken_ = false; }

 private:
  struct LinkState {
    std::string name;  // what an own link was opened to
    SimConnectionId connection = 0;
  };
  struct Message {
    Link link = 0;
    SimConnectionId connection = 0;
    Frames frames;
  };
  [[nodiscard]] static std::size_t side_of(Link link) { return link >= kAcceptedBit ? 1 : 0; }

  const std::shared_ptr<SimState> state_;
  const SimNode node_;
  const TransportLimits limits_;
  std::string name_;
  std::map<Link, LinkState> links_;
  Link next_accepted_ = kAcceptedBit;
  std::deque<Message> inbox_;
  bool woken_ = false;                    // is in SimState::woken
  mutable std::optional<Wakeup> wakeup_;  // made when someone polls: simulations have many nodes
  FullLinks full_;
};

}  // namespace ps::net
