// Bounded staleness over many random steps: the shard's gate itself, in virtual time, without
// messages. No step may start too early, and the throughput must be that of the model.
#include <cmath>
#include <queue>
#include <vector>

#include "base/random.h"
#include "server/gate.h"
#include "support/catch.h"

namespace ps::sim {
namespace {

struct Outcome {
  double rate = 0;               // steps per worker and mean duration
  std::uint64_t violations = 0;  // steps that started too early
};

// Workers whose steps take exponential times of mean 1; a worker starts its next one as soon as the
// gate lets it read.
Outcome run(std::uint64_t staleness, std::uint32_t workers, std::uint64_t steps) {
  server::Gate gate(Ssp{.staleness = staleness}, workers);
  Random random(staleness, 3);
  using End = std::pair<double, std::uint32_t>;
  std::priority_queue<End, std::vector<End>, std::greater<>> running;
  std::vector<std::uint64_t> completed(workers, 0);
  std::vector<bool> waits(workers, false);
  Outcome outcome;
  double now = 0;
  const auto start = [&](std::uint32_t rank, std::uint64_t step) {
    for (const std::uint64_t other : completed)
      outcome.violations += step > other + staleness ? 1 : 0;
    running.emplace(now - std::log(1.0 - random.uniform()), rank);
  };
  for (std::uint32_t rank = 0; rank < workers; ++rank) start(rank, 0);
  for (std::uint64_t done = 0; done < steps; ++done) {
    const auto [time, rank] = running.top();
    running.pop();
    now = time;
    gate.step_done(rank);
    ++completed[rank];
    waits[rank] = true;
    for (std::uint32_t each = 0; each < workers; ++each) {
      if (!waits[each] || !gate.open(each, gate.clock(each))) continue;
      waits[each] = false;
      start(each, gate.clock(each));
    }
  }
  outcome.rate = static_cast<double>(steps) / (now * workers);
  return outcome;
}

void check(std::uint64_t steps) {
  // Steps per second and worker, 8 workers: the waiting for the slowest that s still leaves.
  const std::vector<std::pair<std::uint64_t, double>> expected{
      {0, 0.366}, {1, 0.555}, {2, 0.659}, {4, 0.767}, {8, 0.854}};
  for (const auto& [staleness, rate] : expected) {
    const Outcome outcome = run(staleness, 8, steps / expected.size());
    CAPTURE(staleness);
    CHECK(outcome.violations == 0);
    CHECK(outcome.rate == Approx(rate).epsilon(0.02));
  }
}

}  // namespace

TEST_CASE("ssp: the throughput under random durations is the model's, and no step starts early",
          "[sim]") {
  check(500'000);
}

TEST_CASE("ssp: ten million steps", "[.long]") {
  check(10'000'000);
}

}  // namespace ps::sim
