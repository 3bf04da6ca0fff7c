#include "server/agreement.h"

#include "support/catch.h"

namespace ps::server {
namespace {

using Due = Agreement::Due;
using Phase = wire::RoundPart::Phase;

wire::RoundResult result(std::uint64_t round, Phase phase, std::vector<std::uint32_t> ranks = {}) {
  wire::RoundResult result;
  result.round = round;
  result.phase = phase;
  result.ranks = std::move(ranks);
  return result;
}

TEST_CASE("agreement: without needs a round commits when all have arrived", "[unit]") {
  Agreement round({}, 2, 2);
  round.arrived(1, 0, 5);
  CHECK(round.next() == Due::kNothing);
  round.arrived(0, 0, 5);
  CHECK(round.next() == Due::kCommit);
  round.close();
  CHECK(round.next() == Due::kNothing);
}

TEST_CASE("agreement: phases come in turn, and each is asked for once", "[unit]") {
  Agreement round({.ticket = true, .gradient = true, .update = true}, 3, 2);
  round.arrived(2, 0, 1);
  CHECK(round.next() == Due::kNothing);
  round.arrived(1, 0, 1);
  CHECK(round.next() == Due::kTicket);
  const wire::RoundPart part = round.part(9);
  CHECK(part.model == 9);
  CHECK(part.ranks == std::vector<std::uint32_t>{1, 2});
  CHECK(part.consumed.size() == 2);
  CHECK(round.next() == Due::kNothing);
  CHECK_FALSE(round.on_result(result(0, Phase::kGradient)));  // not asked yet
  CHECK_FALSE(round.on_result(result(1, Phase::kTicket, {0, 1})));
  CHECK(round.on_result(result(0, Phase::kTicket, {0, 1})));
  CHECK_FALSE(round.on_result(result(0, Phase::kTicket, {1, 2})));
  CHECK(round.next() == Due::kNothing);  // worker 0's part is not here yet
  round.arrived(0, 0, 1);
  CHECK(round.next() == Due::kGradient);
  CHECK(round.next() == Due::kNothing);
  CHECK(round.on_result(result(0, Phase::kGradient)));
  CHECK(round.next() == Due::kUpdate);
  CHECK(round.on_result(result(0, Phase::kUpdate)));
  CHECK(round.next() == Due::kCommit);
  CHECK(round.contributes(0));
  CHECK_FALSE(round.contributes(2));
  round.close();
  CHECK(round.round() == 1);
  round.arrived(2, 0, 7);  // the dropped one ends its step: consumed, and no part of round 1
  round.arrived(0, 1, 1);
  round.arrived(1, 1, 1);
  CHECK(round.next() == Due::kTicket);
  CHECK(round.part(9).consumed.size() == 4);
}

TEST_CASE("agreement: what is not finite of a worker that is too late spoils nothing", "[unit]") {
  Agreement round({.ticket = true, .gradient = true, .update = false}, 3, 2);
  round.spoiled(2);
  round.arrived(0, 0, 1);
  round.arrived(1, 0, 1);
  CHECK(round.next() == Due::kTicket);
  CHECK(round.on_result(result(0, Phase::kTicket, {0, 1})));
  CHECK(round.next() == Due::kGradient);
  CHECK(round.part(0).finite);
}

TEST_CASE("agreement: what is not finite is told, and ends the round without an update", "[unit]") {
  Agreement round({.gradient = true, .update = true}, 1, 1);
  round.spoiled(0);
  round.arrived(0, 0, 1);
  REQUIRE(round.next() == Due::kGradient);
  CHECK_FALSE(round.part(0).finite);
  wire::RoundResult bad = result(0, Phase::kGradient);
  bad.finite = false;
  CHECK(round.on_result(bad));
  CHECK(round.next() == Due::kCommit);
  CHECK_FALSE(round.finite());
  round.close();
  CHECK(round.finite());
}

}  // namespace
}  // namespace ps::server
