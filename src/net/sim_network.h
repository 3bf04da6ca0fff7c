// A simulated network: one thread, time that its driver advances, faults drawn from a seed. The
// same seed and the same calls give the same messages at the same times. Not a model of bandwidth.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "net/transport.h"

namespace ps::net {

using SimNode = std::uint32_t;  // the driver's number for a node

// What happens to messages in one direction between two nodes. Probabilities are per message.
struct SimFaults {
  Duration delay_min{0};
  Duration delay_max{0};
  double drop = 0;
  double duplicate = 0;  // a second copy, with a delay of its own
  double reorder = 0;    // overtaken: up to reorder_delay later, and out of order
  Duration reorder_delay = std::chrono::milliseconds(10);
  double flip = 0;   // one bit of the header or the payload is inverted
  double reset = 0;  // the connection breaks: this message and all in flight on it are lost
};

struct SimFaultCounts {
  std::uint64_t sent = 0;       // accepted by send()
  std::uint64_t delivered = 0;  // put into an inbox, copies included
  std::uint64_t dropped = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t reordered = 0;
  std::uint64_t flipped = 0;
  std::uint64_t reset = 0;        // connections
  std::uint64_t partitioned = 0;  // messages lost in a partition
  std::uint64_t lost = 0;         // messages in flight on a connection that ended
};

struct SimState;

// Connections: made at once when both sides are there; a broken one is noticed by the survivor, and
// made anew where possible, kReconnectDelay later. Until it is noticed, sends succeed and are lost.
class SimNetwork {
 public:
  static constexpr Duration kReconnectDelay = std::chrono::milliseconds(100);

  explicit SimNetwork(std::uint64_t seed);

  // A transport for `node`, which has none now (a node that crashed may join again). Endpoints:
  // "sim://name", "sim://*". Destroying it is a crash: its connections end, what is in flight to it
  // is lost, what is in flight from it arrives. It may outlive the network.
  std::unique_ptr<Transport> join(SimNode node, const TransportLimits& limits = {});

  void set_faults(const SimFaults& faults);  // of every direction that has none of its own
  void set_faults(SimNode from, SimNode to, const SimFaults& faults);
  // Messages from `from` to `to` that are sent or due before `until` are lost.
  void cut(SimNode from, SimNode to, TimePoint until);
  void partition(SimNode a, SimNode b, TimePoint until);  // both directions
  void reset_connections(SimNode a, SimNode b);           // all between the two break now

  [[nodiscard]] TimePoint now() const;
  // When deliver_until() has something to do: kNever when nothing is in flight.
  [[nodiscard]] TimePoint next_event() const;
  // Advances the time to `now` and delivers what is due. Returns the nodes that may have something
  // to receive, or room to send again, since the last call: in the order of the events, each once.
  // REQUIRES: now >= this->now().
  std::vector<SimNode> deliver_until(TimePoint now);

  [[nodiscard]] const SimFaultCounts& counts() const;

 private:
  std::shared_ptr<SimState> state_;
};

}  // namespace ps::net
