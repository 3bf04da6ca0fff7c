#include "server/window.h"

#include <algorithm>
#include <set>
#include <vector>

#include "base/random.h"
#include "support/catch.h"

namespace ps::server {
namespace {

wire::Message request(std::uint64_t sequence, std::uint64_t first_incomplete = 1) {
  wire::Message message;
  message.header.sequence = sequence;
  message.header.first_incomplete = first_incomplete;
  return message;
}

using Verdict = Window::Verdict;

Verdict arrive(Window& window, std::uint64_t sequence, std::uint64_t first_incomplete = 1) {
  auto message = request(sequence, first_incomplete);
  return window.arrive(message);
}

}  // namespace

TEST_CASE("window: a request that comes again is known at every stage of its life", "[unit]") {
  Window window;
  CHECK_FALSE(window.knows(1));
  CHECK(arrive(window, 1) == Verdict::kNext);
  window.start(1);
  CHECK(window.knows(1));
  CHECK(arrive(window, 1) == Verdict::kWorking);
  CHECK(window.answer(1) == nullptr);
  window.finish(1, {.clock = 7});
  CHECK(arrive(window, 1) == Verdict::kAnswered);
  CHECK(window.answer(1)->clock == 7);
  CHECK(arrive(window, 2, 2) == Verdict::kNext);  // the worker has the answer
  CHECK(arrive(window, 1) == Verdict::kOld);
  CHECK_FALSE(window.knows(1));
}

TEST_CASE("window: what came too early waits and follows in order", "[unit]") {
  Window window;
  CHECK(arrive(window, 3) == Verdict::kHeld);
  CHECK(arrive(window, 3) == Verdict::kWorking);
  CHECK(arrive(window, 2) == Verdict::kHeld);
  CHECK_FALSE(window.take());
  CHECK(arrive(window, 1) == Verdict::kNext);
  window.start(1);
  for (const std::uint64_t sequence : {2U, 3U}) {
    auto next = window.take();
    REQUIRE(next);
    CHECK(next->header.sequence == sequence);
    window.start(sequence);
  }
  CHECK_FALSE(window.take());
}

TEST_CASE("window: what is held is bounded, and so is a liar's reach", "[unit]") {
  Window window;
  for (std::uint64_t i = 0; i < 1024; ++i) CHECK(arrive(window, 2 + i) == Verdict::kHeld);
  CHECK(arrive(window, 5000) == Verdict::kFull);
  CHECK(window.size() == 1024);
  CHECK(arrive(window, 1, ~std::uint64_t{0}) == Verdict::kNext);
  window.start(1);
  CHECK(window.size() == 1025);  // nothing that was not started has been acknowledged
}

TEST_CASE(
    "window: against a naive one over random networks, each request is handed on once, in "
    "order",
    "[unit]") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Window window;
    constexpr std::uint64_t kRequests = 120;
    std::set<std::uint64_t> unanswered;  // of the worker: sent, no answer yet
    std::set<std::uint64_t> handed_on;   // naive: all of them
    std::set<std::uint64_t> answered;
    std::uint64_t sent = 0;
    const auto first_incomplete = [&] {
      return unanswered.empty() ? sent + 1 : *unanswered.begin();
    };
    const auto hand_on = [&](std::uint64_t sequence) {
      REQUIRE(handed_on.insert(sequence).second);  // once
      REQUIRE(*handed_on.rbegin() == sequence);    // in order ...
      REQUIRE(handed_on.size() == sequence);       // ... without a gap
      window.start(sequence);
    };
    while (answered.size() < kRequests || !unanswered.empty()) {
      const auto what = random.below(10);
      if (what < 3 && sent < kRequests) {
        unanswered.insert(++sent);
      } else if (what < 7 && sent > 0) {
        // Any request comes, or comes again: the network repeats even what has been answered.
        const bool echo = random.chance(0.2) || unanswered.empty();
        std::uint64_t sequence = 1 + random.below(sent);
        if (!echo) {
          auto at = unanswered.begin();
          std::advance(at, static_cast<long>(random.below(unanswered.size())));
          sequence = *at;
        }
        auto message = request(sequence, echo ? 1 : first_incomplete());
        switch (window.arrive(message)) {
          case Verdict::kNext:
            REQUIRE_FALSE(handed_on.contains(sequence));
            hand_on(sequence);
            while (auto next = window.take()) hand_on(next->header.sequence);
            break;
          case Verdict::kHeld:
            REQUIRE_FALSE(handed_on.contains(sequence));
            break;
          case Verdict::kWorking:
            REQUIRE_FALSE(answered.contains(sequence));
            break;
          case Verdict::kAnswered:
            REQUIRE(answered.contains(sequence));
            REQUIRE(window.answer(sequence)->clock == sequence);
            unanswered.erase(sequence);
            break;
          case Verdict::kOld:
            REQUIRE(answered.contains(sequence));
            REQUIRE_FALSE(unanswered.contains(sequence));
            break;
          case Verdict::kFull:
            FAIL("no such load");
        }
      } else if (handed_on.size() > answered.size()) {
        std::vector<std::uint64_t> open;
        std::ranges::set_difference(handed_on, answered, std::back_inserter(open));
        const std::uint64_t sequence = open[random.below(open.size())];
        answered.insert(sequence);
        window.finish(sequence, {.clock = sequence});
        if (random.chance(0.7)) unanswered.erase(sequence);  // else the answer got lost
      }
      REQUIRE(window.size() <= sent);
    }
    auto last = request(sent + 1, sent + 1);
    CHECK(window.arrive(last) == Verdict::kNext);
    CHECK(window.size() == 0);  // everything has been forgotten
  }
}

}  // namespace ps::server
