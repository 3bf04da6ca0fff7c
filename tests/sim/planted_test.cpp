// The tester's test: each bug of base/planted.h, switched on, makes some seed of the swarm fail,
// and that seed passes with the bug off.
#include "base/planted.h"

#ifdef PS_PLANTED_BUGS

#include <iostream>
#include <string>

#include "sim/swarm.h"
#include "support/catch.h"

namespace ps::sim {
namespace {

constexpr std::uint64_t kSeeds = 2000;

class Plant {
 public:
  explicit Plant(PlantedBug bug) { planted_bug = bug; }
  ~Plant() { planted_bug = PlantedBug::kNone; }
  Plant(const Plant&) = delete;
  Plant& operator=(const Plant&) = delete;
};

void require_found(PlantedBug bug, const std::string& name) {
  std::uint64_t seed = 0;
  std::string wrong;
  {
    const Plant plant(bug);
    while (seed < kSeeds && (wrong = run_seed(seed).wrong).empty()) ++seed;
  }
  INFO(name << " is not found by any of " << kSeeds << " seeds");
  REQUIRE(seed < kSeeds);
  std::cout << "planted bug: " << name << ": " << seed + 1 << " seeds to find it; "
            << wrong.substr(0, wrong.find('\n')) << std::endl;
  const Result honest = run_seed(seed);
  INFO("seed " << seed << " without the bug");
  CHECK(honest.wrong == "");
}

}  // namespace

TEST_CASE("planted bugs: a forgotten incarnation is found", "[sim]") {
  require_found(PlantedBug::kIncarnationIgnored, "incarnation ignored");
}
TEST_CASE("planted bugs: an answer before the update is found", "[sim]") {
  require_found(PlantedBug::kAckBeforeApply, "answered before applied");
}
TEST_CASE("planted bugs: repeated pushes applied again are found", "[sim]") {
  require_found(PlantedBug::kNoDedupe, "no dedupe");
}
TEST_CASE("planted bugs: a round that counts messages is found", "[sim]") {
  require_found(PlantedBug::kCountNotSet, "count, not set");
}
TEST_CASE("planted bugs: sums in the order of arrival are found", "[sim]") {
  require_found(PlantedBug::kArrivalOrder, "order of arrival");
}
TEST_CASE("planted bugs: a dead worker in the minimum clock is found", "[sim]") {
  require_found(PlantedBug::kDeadWorkerInMinimum, "dead worker in the minimum");
}
TEST_CASE("planted bugs: messages of a dead life that are taken are found", "[sim]") {
  require_found(PlantedBug::kStaleGeneration, "stale generation");
}
TEST_CASE("planted bugs: a step's end over a gap is found", "[sim]") {
  require_found(PlantedBug::kClockSkipsGap, "clock skips a gap");
}
TEST_CASE("planted bugs: a gate that opens one clock early is found", "[sim]") {
  require_found(PlantedBug::kGateOffByOne, "gate off by one");
}
TEST_CASE("planted bugs: a pull of another version than it says is found", "[sim]") {
  require_found(PlantedBug::kTornPull, "torn pull");
}
TEST_CASE("planted bugs: a lost reply that is not said again is found", "[sim]") {
  require_found(PlantedBug::kReplyForgotten, "reply forgotten");
}
TEST_CASE("planted bugs: sequence numbers of eight bits are found", "[sim]") {
  require_found(PlantedBug::kSequenceWraps, "sequence wraps");
}

TEST_CASE("planted bugs: shards that name their own contributors are found", "[sim]") {
  require_found(PlantedBug::kOwnTicket, "own ticket");
}
TEST_CASE("planted bugs: shards that judge a gradient alone are found", "[sim]") {
  require_found(PlantedBug::kJudgesAlone, "judges alone");
}

}  // namespace ps::sim

#endif
