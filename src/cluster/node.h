// The shell around a core: turns frames into messages and the core's wishes into frames. It has no
// thread and no clock of its own; a Loop (cluster/loop.h) drives it in production, the simulator in
// tests.
#pragma once

#include <cstdint>
#include <deque>
#include <map>

#include "cluster/core.h"
#include "net/transport.h"

namespace ps::cluster {

class Node {
 public:
  struct Counters {
    std::uint64_t received = 0;
    std::uint64_t sent = 0;
    std::uint64_t undecodable = 0;
    std::uint64_t dropped =
        0;  // no room to queue, or no such link: the sender's retries make up for it
  };

  // Neither is owned; both must outlive the node.
  Node(net::Transport& transport, Core& core, Log log);

  void start(TimePoint now);
  // Receives what is there, runs the timers that are due, sends what came out of it.
  void pump(TimePoint now);
  // Lets `action(core's outbox)` speak to the core outside a message, then sends what came out of
  // it.
  template <class Action>
  void call(Action&& action) {
    std::forward<Action>(action)(outbox_);
    flush();
  }

  // When pump() is wanted at the latest; earlier whenever the transport's descriptor is readable.
  [[nodiscard]] TimePoint next_time(TimePoint now) const;
  [[nodiscard]] bool finished() const { return core_.finished(); }
  // Frames still wait for room in the transport.
  [[nodiscard]] bool blocked() const { return !blocked_.empty(); }
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] net::Transport& transport() { return transport_; }

 private:
  void flush();
  void carry_out(Outbox::Send& send);
  net::SendResult try_send(net::Link link, net::Frames& frames);
  void retry_blocked();
  void on_undecodable(net::Link from, const wire::DecodeError& error, TimePoint now);

  net::Transport& transport_;
  Core& core_;
  Log log_;
  Outbox outbox_;
  // Frames that the transport had no room for, oldest first; later frames of the same link queue
  // behind them.
  std::map<net::Link, std::deque<net::Frames>> blocked_;
  Counters counters_;
};

}  // namespace ps::cluster
