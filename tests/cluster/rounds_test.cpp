#include "cluster/rounds.h"

#include "support/catch.h"

namespace ps::cluster {
namespace {

using wire::RoundPart;

// Two parameters of 4 and 2 elements in chunks of 2: chunks 0 and 1 of the first, 2 of the second.
wire::ModelInfo model(std::uint32_t backup_workers, std::vector<std::uint32_t> placement) {
  wire::ModelInfo info;
  info.options.mode = Sync{.backup_workers = backup_workers};
  info.options.chunk_bytes = 8;
  info.parameters = {{"a", {4}, ParameterKind::kTrained}, {"b", {2}, ParameterKind::kTrained}};
  info.placement = std::move(placement);
  return info;
}

RoundPart ticket(std::uint64_t round,
                 std::vector<std::uint32_t> ranks,
                 std::vector<wire::Consumed> consumed = {}) {
  RoundPart part;
  part.round = round;
  part.ranks = std::move(ranks);
  part.consumed = std::move(consumed);
  return part;
}

RoundPart sums(std::uint64_t round, std::vector<std::uint32_t> chunks, std::vector<double> values) {
  RoundPart part;
  part.round = round;
  part.phase = RoundPart::Phase::kGradient;
  part.chunks = std::move(chunks);
  part.sums = std::move(values);
  return part;
}

TEST_CASE("rounds: the first shard to have enough workers names them for all", "[unit]") {
  Rounds rounds(model(1, {0, 1, 1}), 3);
  CHECK(rounds.shards() == std::vector<std::uint32_t>{0, 1});
  const auto first = rounds.take(1, ticket(0, {0, 2}));
  REQUIRE(first.result);
  CHECK(first.news);
  CHECK(first.result->ranks == std::vector<std::uint32_t>{0, 2});
  const auto second = rounds.take(0, ticket(0, {0, 1}));  // it saw others first
  REQUIRE(second.result);
  CHECK_FALSE(second.news);
  CHECK(second.result->ranks == first.result->ranks);
}

TEST_CASE("rounds: samples count once, dropped ones too, and from the next round on", "[unit]") {
  Rounds rounds(model(1, {0, 1, 1}), 3);
  const auto first = rounds.take(0, ticket(0, {0, 1}, {{0, 0, 10}, {1, 0, 20}}));
  CHECK(first.result->samples == 0);
  rounds.take(1, ticket(0, {0, 1}, {{0, 0, 10}, {1, 0, 20}}));
  // Worker 2's step for round 0 came late, and both shards tell.
  const auto next = rounds.take(1, ticket(1, {0, 1}, {{2, 0, 40}, {0, 1, 10}, {1, 1, 20}}));
  CHECK(next.result->samples == 70);
  rounds.take(0, ticket(1, {0, 1}, {{0, 1, 10}, {2, 0, 40}, {1, 1, 20}}));
  const auto last = rounds.take(0, ticket(2, {0, 1}));
  CHECK(last.result->samples == 100);
}

TEST_CASE("rounds: sums wait for every shard and do not depend on who was first", "[unit]") {
  const bool turned = GENERATE(false, true);
  Rounds rounds(model(0, {0, 1, 0}), 2);
  const RoundPart part0 = sums(3, {0, 2}, {1e16, 1, 5, 2});
  const RoundPart part1 = sums(3, {1}, {1, 3});
  CHECK_FALSE(rounds.take(turned ? 1 : 0, turned ? part1 : part0).result);
  CHECK_FALSE(rounds.take(turned ? 1 : 0, turned ? part1 : part0).result);  // it asks again
  const auto result = rounds.take(turned ? 0 : 1, turned ? part0 : part1);
  REQUIRE(result.result);
  CHECK(result.news);
  CHECK(result.result->sums == std::vector<double>{1e16 + 1, 4, 5, 2});
  CHECK_FALSE(rounds.take(0, part0).news);
}

TEST_CASE("rounds: one shard that is not finite makes it so for all", "[unit]") {
  Rounds rounds(model(0, {0, 1, 0}), 2);
  RoundPart spoiled = sums(0, {}, {});
  spoiled.finite = false;
  rounds.take(0, spoiled);
  CHECK_FALSE(rounds.take(1, sums(0, {1}, {1, 1})).result->finite);
}

TEST_CASE("rounds: parts that make no sense are told from those that do", "[unit]") {
  Rounds rounds(model(1, {0, 1, 0}), 3);
  CHECK_FALSE(rounds.take(2, ticket(0, {0, 1})).error.empty());
  CHECK_FALSE(rounds.take(0, ticket(0, {})).error.empty());
  CHECK_FALSE(rounds.take(0, ticket(0, {0, 1, 2})).error.empty());
  CHECK_FALSE(rounds.take(0, ticket(0, {1, 0})).error.empty());
  CHECK_FALSE(rounds.take(0, ticket(0, {1, 1})).error.empty());
  CHECK_FALSE(rounds.take(0, ticket(0, {1, 3})).error.empty());
  CHECK_FALSE(rounds.take(0, ticket(0, {0, 1}, {{9, 0, 1}})).error.empty());
  CHECK_FALSE(rounds.take(0, sums(0, {1}, {1, 1})).error.empty());  // on the other shard
  CHECK_FALSE(rounds.take(0, sums(0, {77}, {1, 1})).error.empty());
  CHECK_FALSE(rounds.take(0, sums(0, {0}, {1})).error.empty());
  CHECK(rounds.take(0, ticket(0, {0, 1})).error.empty());
}

}  // namespace
}  // namespace ps::cluster
