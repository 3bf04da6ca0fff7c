#include "cluster/loop.h"

#include <algorithm>
#include <array>
#include <poll.h>

namespace ps::cluster {
namespace {

constexpr Duration kFarewell = std::chrono::milliseconds(500);

// How long poll() may sleep until `until`, in milliseconds, rounded up so that a timer is due when
// it wakes.
int timeout_ms(TimePoint now, TimePoint until) {
  constexpr auto kLongest = std::chrono::milliseconds(1000);
  if (until <= now) return 0;
  const auto wait = std::min<Duration>(until - now, kLongest);
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(wait).count());
}

}  // namespace

void Loop::run(const std::stop_token& stop,
               const MakeTransport& make_transport,
               const MakeCore& make_core) {
  const std::unique_ptr<net::Transport> transport = make_transport();
  Node node(*transport, make_core(*transport), log_);
  const std::stop_callback wake_up(stop, [this] { wakeup_.ring(); });
  node.start(clock_.now());
  while (!stop.stop_requested() && !node.finished()) {
    TimePoint now = clock_.now();
    // Both receiving and sending may hide from the descriptor that there is more: wait only after
    // neither.
    const auto moved = [&] { return node.counters().received + node.counters().sent; };
    const auto before = moved();
    run_tasks(node, now);
    node.pump(now);
    if (moved() != before) continue;
    now = clock_.now();
    wait(*transport, now, node.next_time(now));
  }
  // Last words get a moment to leave; a peer that does not read cannot hold us.
  const TimePoint give_up = clock_.now() + kFarewell;
  for (TimePoint now = clock_.now(); node.blocked() && now < give_up; now = clock_.now()) {
    node.pump(now);
    wait(*transport, now, std::min(give_up, node.next_time(now)));
  }
}

void Loop::wait(const net::Transport& transport, TimePoint now, TimePoint until) {
  std::array<pollfd, 2> fds{pollfd{transport.fd(), POLLIN, 0}, pollfd{wakeup_.fd(), POLLIN, 0}};
  ::poll(fds.data(), fds.size(), timeout_ms(now, until));
}

bool Loop::post(Task task) {
  if (!tasks_.try_push(std::move(task))) return false;
  wakeup_.ring();
  return true;
}

void Loop::run_tasks(Node& node, TimePoint now) {
  wakeup_.clear();
  while (auto task = tasks_.try_pop()) {
    node.call([&](Outbox& out) { (*task)(now, out); });
  }
}

}  // namespace ps::cluster
