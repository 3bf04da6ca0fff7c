// Wakeup: what poll() sees on its descriptor.
#include "base/wakeup.h"

#include <poll.h>
#include <thread>

#include "support/catch.h"

namespace {

bool rung(const ps::Wakeup& wakeup, int timeout_ms) {
  ::pollfd entry{.fd = wakeup.fd(), .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, timeout_ms) == 1 && (entry.revents & POLLIN) != 0;
}

}  // namespace

TEST_CASE("wakeup: is quiet until it is rung, and again when cleared", "[unit]") {
  ps::Wakeup wakeup;
  CHECK_FALSE(rung(wakeup, 0));
  wakeup.ring();
  CHECK(rung(wakeup, 0));
  CHECK(rung(wakeup, 0));  // polling alone does not consume the ring
  wakeup.clear();
  CHECK_FALSE(rung(wakeup, 0));
}

TEST_CASE("wakeup: many rings are one, and clearing a quiet one does not block", "[unit]") {
  ps::Wakeup wakeup;
  wakeup.clear();
  for (int i = 0; i < 1000; ++i) wakeup.ring();
  wakeup.clear();
  CHECK_FALSE(rung(wakeup, 0));
}

TEST_CASE("wakeup: another thread's ring ends a poll that waits", "[unit]") {
  ps::Wakeup wakeup;
  const std::jthread ringer([&] { wakeup.ring(); });
  CHECK(rung(wakeup, 10'000));
}
