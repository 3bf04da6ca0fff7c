#include "cluster/leases.h"

#include <map>
#include <optional>
#include <vector>

#include "base/random.h"
#include "support/catch.h"

namespace ps::cluster {
namespace {

wire::LeaseRequest request(std::uint64_t index) {
  return {.index = index, .stream = 0, .dataset_size = 103, .block = 10, .epochs = 3};
}

}  // namespace

TEST_CASE("leases: blocks follow each other through every epoch, then there are none", "[unit]") {
  LeaseBook book(request(0));
  std::uint64_t index = 0;
  for (std::uint64_t epoch = 0; epoch < 3; ++epoch) {
    for (std::uint64_t begin = 0; begin < 103; begin += 10) {
      const auto grant = book.grant(0, request(index));
      CHECK(grant.index == index);
      CHECK_FALSE(grant.done);
      CHECK(grant.epoch == epoch);
      CHECK(grant.begin == begin);
      CHECK(grant.end == std::min<std::uint64_t>(begin + 10, 103));
      ++index;
    }
  }
  CHECK(book.grant(0, request(index)).done);
  CHECK(book.grant(1, request(0)).done);
}

TEST_CASE("leases: a request that comes again gets the same block, an old one burns none",
          "[unit]") {
  LeaseBook book(request(0));
  const auto first = book.grant(0, request(0));
  CHECK(book.grant(0, request(0)).begin == first.begin);
  const auto second = book.grant(0, request(1));
  CHECK(second.begin == 10);
  book.grant(0, request(0));  // an echo
  CHECK(book.grant(0, request(1)).begin == 10);
  CHECK(book.grant(0, request(2)).begin == 20);
}

TEST_CASE("leases: a dead worker's block is handed out again", "[unit]") {
  LeaseBook book(request(0));
  const auto lost = book.grant(0, request(0));
  book.grant(1, request(0));
  book.release(0);
  book.release(0);  // twice changes nothing
  const auto taken_over = book.grant(1, request(1));
  CHECK(taken_over.begin == lost.begin);
  CHECK(taken_over.end == lost.end);
  CHECK(book.grant(0, request(0)).begin == 20);  // its next life starts over
}

TEST_CASE("leases: other samples do not match", "[unit]") {
  const LeaseBook book(request(0));
  CHECK(book.matches(request(5)));
  auto other = request(0);
  other.block = 11;
  CHECK_FALSE(book.matches(other));
  other = request(0);
  other.epochs = 4;
  CHECK_FALSE(book.matches(other));
  other = request(0);
  other.dataset_size = 104;
  CHECK_FALSE(book.matches(other));
}

TEST_CASE("leases: whatever dies and is repeated, every position is read to the end once",
          "[unit]") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    LeaseBook book(request(0));
    constexpr std::uint32_t kWorkers = 3;
    struct Worker {
      std::uint64_t index = 0;
      std::optional<wire::LeaseGrant> held;
      bool done = false;
    };
    std::vector<Worker> workers(kWorkers);
    std::map<std::pair<std::uint64_t, std::uint64_t>, int> read;  // (epoch, position)
    for (int step = 0; step < 4000; ++step) {
      const auto rank = static_cast<std::uint32_t>(random.below(kWorkers));
      Worker& worker = workers[rank];
      if (random.chance(0.1) && step < 3000) {
        book.release(rank);
        worker = {};
      } else if (random.chance(0.2) && worker.index > 0) {
        book.grant(rank, request(worker.index - 1 -
                                 random.below(std::min<std::uint64_t>(worker.index, 2))));
      } else {
        // Asking for the next one says that the one before has been read.
        if (worker.held && !worker.held->done) {
          for (std::uint64_t i = worker.held->begin; i < worker.held->end; ++i)
            ++read[{worker.held->epoch, i}];
        }
        worker.held = book.grant(rank, request(worker.index++));
        worker.done = worker.held->done;
      }
    }
    REQUIRE(read.size() == 3 * 103);
    for (const auto& [position, times] : read) REQUIRE(times == 1);
  }
}

}  // namespace ps::cluster
