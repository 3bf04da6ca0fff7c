// One thread that owns one transport and one core, and sleeps in poll() between events. Nothing it
// owns is shared, so nothing is locked; other threads speak to it by post() alone.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>

#include "base/queue.h"
#include "base/wakeup.h"
#include "cluster/node.h"

namespace ps::cluster {

class Loop {
 public:
  using Task = std::function<void(TimePoint now, Outbox& out)>;

  // Both run on the loop's own thread, because sockets belong to one thread: the second may bind
  // the transport, and returns the core, which it or its caller owns.
  using MakeTransport = std::function<std::unique_ptr<net::Transport>()>;
  using MakeCore = std::function<Core&(net::Transport&)>;

  explicit Loop(Log log) : log_(std::move(log)) {}

  // Runs until the core has finished or `stop` is asked for. On return every link is closed.
  // Throws what the two functions throw (an endpoint that is taken, say).
  void run(const std::stop_token& stop,
           const MakeTransport& make_transport,
           const MakeCore& make_core);

  // Any thread: `task` runs on the loop's thread, after those posted before. False when the loop
  // has ended or its queue is full (a bug of the caller: nobody has a thousand things to say at
  // once).
  bool post(Task task);

 private:
  void run_tasks(Node& node, TimePoint now);
  void wait(const net::Transport& transport, TimePoint now, TimePoint until);

  Log log_;
  Wakeup wakeup_;
  BoundedQueue<Task> tasks_{4096};
  MonotonicClock clock_;
};

}  // namespace ps::cluster
