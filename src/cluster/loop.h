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

  // `make_transport` runs on the loop's own thread, because sockets belong to one thread. The core
  // is not owned.
  using MakeTransport = std::function<std::unique_ptr<net::Transport>()>;

  Loop(Core& core, Log log) : core_(core), log_(std::move(log)) {}

  // Runs until the core has finished or `stop` is asked for. On return every link is closed.
  // `on_bound`, when given, is told the transport before the core starts (to bind it).
  // Throws ps::Error from make_transport and on_bound.
  void run(const std::stop_token& stop,
           const MakeTransport& make_transport,
           const std::function<void(net::Transport&)>& on_bound = {});

  // Any thread: `task` runs on the loop's thread, after those posted before. False when the loop
  // has ended or its queue is full (a bug of the caller: nobody has a thousand things to say at
  // once).
  bool post(Task task);

 private:
  void run_tasks(Node& node, TimePoint now);
  void wait(const net::Transport& transport, TimePoint now, TimePoint until);

  Core& core_;
  Log log_;
  Wakeup wakeup_;
  BoundedQueue<Task> tasks_{4096};
  MonotonicClock clock_;
};

}  // namespace ps::cluster
