#include "server/gate.h"

#include <algorithm>
#include <limits>
#include <queue>

#include "base/random.h"
#include "support/catch.h"

namespace ps::server {

TEST_CASE("gate: in sync and async mode it is always open", "[unit]") {
  const Gate sync(Sync{}, 2);
  const Gate async(Async{}, 2);
  CHECK(sync.open(0, 1000));
  CHECK(async.open(0, 1000));
  CHECK_FALSE(async.bounded());
}

TEST_CASE("gate: ssp lets a worker read that is at most s clocks ahead of the slowest", "[unit]") {
  const auto s = GENERATE(std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{3});
  Gate gate(Ssp{.staleness = s}, 2);
  for (std::uint64_t clock = 1; clock <= s; ++clock) {
    CHECK_FALSE(gate.open(0, clock));  // not before it has completed them itself
    gate.step_done(0);
    CHECK(gate.open(0, clock));
  }
  gate.step_done(0);
  CHECK_FALSE(gate.open(0, s + 1));
  gate.step_done(1);
  CHECK(gate.open(0, s + 1));
}

TEST_CASE("gate: the dead and the retired hold nobody back", "[unit]") {
  Gate gate(Ssp{.staleness = 0}, 3);
  gate.step_done(0);
  gate.step_done(1);
  CHECK_FALSE(gate.open(0, 1));
  gate.leave(2);
  CHECK(gate.open(0, 1));
  CHECK(gate.least() == 1);
}

TEST_CASE("gate: who joins again starts at the least clock of the others", "[unit]") {
  Gate gate(Ssp{.staleness = 5}, 3);
  for (int i = 0; i < 4; ++i) gate.step_done(0);
  for (int i = 0; i < 3; ++i) gate.step_done(1);
  CHECK(gate.join(2) == 0);  // it was never away
  gate.leave(2);
  CHECK(gate.join(2) == 3);
  gate.leave(0);
  CHECK(gate.join(0) == 4);  // a clock never falls
  gate.leave(0);
  gate.leave(1);
  gate.leave(2);
  CHECK(gate.join(1) == 4);  // nobody is there: where the furthest was
}

TEST_CASE("gate: the least clock is that of those that count, whoever steps, leaves or joins",
          "[unit]") {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const auto workers = static_cast<std::uint32_t>(1 + random.below(6));
    Gate gate(Ssp{.staleness = 1}, workers);
    std::vector<bool> counted(workers, true);
    for (int i = 0; i < 300; ++i) {
      const auto rank = static_cast<std::uint32_t>(random.below(workers));
      const std::uint64_t what = random.below(10);
      if (what == 0) gate.leave(rank);
      if (what == 1) gate.join(rank);
      if (what < 2) counted[rank] = what == 1;
      if (what > 1) gate.step_done(rank);
      std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
      for (std::uint32_t each = 0; each < workers; ++each) {
        if (counted[each]) least = std::min(least, gate.clock(each));
      }
      REQUIRE(gate.least() == least);
    }
  }
}

TEST_CASE("gate: whatever workers do, between steps that have started the gap is at most s",
          "[unit]") {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::uint64_t s = random.below(4);
    const auto workers = static_cast<std::uint32_t>(1 + random.below(5));
    Gate gate(Ssp{.staleness = s}, workers);
    std::vector<std::uint64_t> started(workers, 0);
    std::vector<bool> running(workers, true);
    bool moved = true;
    for (int i = 0; i < 500; ++i) {
      const auto rank = static_cast<std::uint32_t>(random.below(workers));
      if (running[rank]) {
        gate.step_done(rank);
        running[rank] = false;
      } else if (gate.open(rank, gate.clock(rank))) {
        running[rank] = true;
        started[rank] = gate.clock(rank);
        for (const std::uint64_t other : started) REQUIRE(started[rank] <= other + s + 1);
        for (std::uint32_t other = 0; other < workers; ++other)
          REQUIRE(started[rank] <= gate.clock(other) + s);
      }
    }
    // Nobody is stuck for good.
    for (int i = 0; i < 20 && moved; ++i) {
      moved = false;
      for (std::uint32_t rank = 0; rank < workers; ++rank) {
        if (running[rank]) gate.step_done(rank);
        running[rank] = gate.open(rank, gate.clock(rank));
        moved = moved || running[rank];
      }
    }
    CHECK(moved);
  }
}

}  // namespace ps::server
