// A node's state machine: scheduler, shard or worker. One host drives it from one thread; time
// comes as an argument and never goes back.
#pragma once

#include "base/clock.h"
#include "cluster/outbox.h"

namespace ps::cluster {

class Core {
 public:
  Core() = default;
  virtual ~Core() = default;
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // Once, before anything else.
  virtual void on_start(TimePoint now, Outbox& out) = 0;
  virtual void on_message(net::Link from, wire::Message message, TimePoint now, Outbox& out) = 0;
  // Bytes that were no message. Never the end of the node, unless they come from a peer it cannot
  // do without.
  virtual void on_bad_message(net::Link from,
                              const wire::DecodeError& error,
                              TimePoint now,
                              Outbox& out) = 0;
  // Called when next_time() has come (or earlier; then it does nothing).
  virtual void on_time(TimePoint now, Outbox& out) = 0;
  [[nodiscard]] virtual TimePoint next_time() const = 0;
  // True once the node has nothing left to do.
  [[nodiscard]] virtual bool finished() const = 0;
};

}  // namespace ps::cluster
