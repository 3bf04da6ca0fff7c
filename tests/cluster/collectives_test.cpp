#include "cluster/collectives.h"

#include "support/catch.h"

namespace ps::cluster {

TEST_CASE("collectives: the sum is there once everybody has contributed, in ascending rank",
          "[unit]") {
  Collectives collectives(3);
  // In floating point the order shows: (1e16 + 1) + -1e16 is 0, (1e16 + -1e16) + 1 is 1.
  CHECK_FALSE(collectives.contribute(2, 0, {-1e16}).sum);
  CHECK(collectives.missing(0) == std::vector<std::uint32_t>{0, 1});
  CHECK_FALSE(collectives.contribute(1, 0, {1.0}).sum);
  const auto outcome = collectives.contribute(0, 0, {1e16});
  REQUIRE(outcome.sum);
  CHECK(*outcome.sum == std::vector<double>{(1e16 + 1.0) + -1e16});
  CHECK(collectives.missing(0).empty());
}

TEST_CASE("collectives: a contribution that comes again counts once, and its answer is kept",
          "[unit]") {
  Collectives collectives(2);
  collectives.contribute(0, 0, {1, 2});
  collectives.contribute(0, 0, {1, 2});
  CHECK(collectives.missing(0) == std::vector<std::uint32_t>{1});
  collectives.contribute(1, 0, {3, 4});
  collectives.contribute(0, 1, {5});
  CHECK(*collectives.contribute(1, 0, {3, 4}).sum == std::vector<double>{4, 6});
}

TEST_CASE("collectives: an empty one is a barrier", "[unit]") {
  Collectives collectives(2);
  CHECK_FALSE(collectives.contribute(0, 0, {}).sum);
  const auto outcome = collectives.contribute(1, 0, {});
  REQUIRE(outcome.sum);
  CHECK(outcome.sum->empty());
}

TEST_CASE("collectives: two workers that disagree are both named", "[unit]") {
  Collectives collectives(2);
  collectives.contribute(0, 0, {1, 2});
  const auto outcome = collectives.contribute(1, 0, {1});
  CHECK_FALSE(outcome.sum);
  CHECK_THAT(outcome.error, Catch::Contains("worker 1 reduces 1 values where worker 0 reduces 2"));
}

TEST_CASE("collectives: an echo of a call long over starts nothing", "[unit]") {
  Collectives collectives(2);
  for (std::uint64_t index = 0; index < 20; ++index) {
    collectives.contribute(0, index, {1});
    CHECK(collectives.contribute(1, index, {1}).sum);
  }
  const auto outcome = collectives.contribute(0, 2, {1});
  CHECK_FALSE(outcome.sum);
  CHECK(outcome.error.empty());
  CHECK(collectives.missing(2).empty());
}

}  // namespace ps::cluster
