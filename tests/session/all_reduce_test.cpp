// Gloo's ring among threads that play workers.
#include "session/all_reduce.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include <ps/error.h>

#include "ops/temporary_directory.h"
#include "support/catch.h"

namespace ps {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

using Values = std::vector<float>;

// What each of `workers` has after `step(rank, ring)`.
template <class Step>
std::vector<Values> on_ring(std::uint32_t workers,
                            std::size_t shares,
                            std::size_t floats,
                            const Step& step,
                            std::chrono::milliseconds patience = std::chrono::seconds(30)) {
  const test::TemporaryDirectory directory;
  std::vector<Values> results(workers);
  std::vector<std::jthread> threads;
  for (std::uint32_t rank = 0; rank < workers; ++rank) {
    threads.emplace_back([&, rank] {
      const auto ring = AllReduce::connect({.rank = rank,
                                            .workers = workers,
                                            .directory = directory.path(),
                                            .name = "ring",
                                            .patience = patience},
                                           shares, floats);
      results[rank] = step(rank, *ring);
    });
  }
  for (std::jthread& thread : threads) thread.join();
  return results;
}

TEST_CASE("all-reduce: every worker has the weighted mean, to the bit", "[unit]") {
  const std::uint32_t workers = GENERATE(2U, 3U, 4U);
  constexpr std::size_t kSize = 1003;
  const auto results = on_ring(workers, 1, kSize, [](std::uint32_t rank, AllReduce& ring) {
    Values mine(kSize);
    for (std::size_t i = 0; i < kSize; ++i) {
      mine[i] = std::sin(static_cast<float>(i + 100 * rank));
    }
    Values mean(kSize);
    for (int step = 0; step < 3; ++step) {
      ring.mean(std::vector<AllReduce::Share>{{.from = mine, .to = mean, .weight = rank + 1.0}});
    }
    return mean;
  });
  for (std::size_t i = 0; i < kSize; ++i) {
    double sum = 0.0;
    double weights = 0.0;
    for (std::uint32_t rank = 0; rank < workers; ++rank) {
      sum += (rank + 1.0) * static_cast<double>(std::sin(static_cast<float>(i + 100 * rank)));
      weights += rank + 1.0;
    }
    REQUIRE(std::abs(static_cast<double>(results[0][i]) - sum / weights) < 1e-6);
  }
  for (const Values& result : results) CHECK(result == results[0]);
}

TEST_CASE("all-reduce: what a worker does not contribute does not count, whatever it holds",
          "[unit]") {
  const auto results = on_ring(3, 2, 5, [](std::uint32_t rank, AllReduce& ring) {
    const Values a(2, rank == 1 ? kNan : static_cast<float>(rank));
    const Values b(3, kNan);
    Values to{7, 7, 8, 8, 8};
    const std::span<float> all = to;
    ring.mean(std::vector<AllReduce::Share>{
        {.from = a, .to = all.first(2), .weight = rank == 1 ? 0.0 : 4.0},
        {.from = b, .to = all.last(3), .weight = 0.0}});
    return to;
  });
  for (const Values& result : results) CHECK(result == Values{1, 1, 8, 8, 8});
}

TEST_CASE("all-reduce: a worker that does not come, or has gone, is an error", "[unit]") {
  const test::TemporaryDirectory directory;
  CHECK_THROWS_WITH(AllReduce::connect({.rank = 1,
                                        .workers = 2,
                                        .directory = directory.path(),
                                        .name = "ring",
                                        .patience = std::chrono::milliseconds(50)},
                                       1, 1),
                    Catch::Contains("worker 1 cannot reach the other 1 for all-reduce"));
  std::string text;
  on_ring(
      2, 1, 4,
      [&](std::uint32_t rank, AllReduce& ring) {
        Values mine(4);
        if (rank == 1) return mine;  // and its ring is gone
        try {
          ring.mean(std::vector<AllReduce::Share>{{.from = mine, .to = mine, .weight = 1.0}});
        } catch (const Error& error) {
          text = error.what();
        }
        return mine;
      },
      std::chrono::seconds(1));
  CHECK_THAT(text, Catch::Contains("a worker is gone or silent"));
}

}  // namespace
}  // namespace ps
