// Jobs without faults, where what has to happen is known exactly: who starts when under bounded
// staleness, how stale asynchronous gradients are, and that the number of shards and the order of
// arrival leave no trace in synchronous weights.
#include <algorithm>
#include <cstring>

#include "base/histogram.h"
#include "sim/oracles.h"
#include "support/catch.h"
#include "support/simulator.h"

namespace ps::sim {
namespace {

using std::chrono::seconds;

// A program whose gradients are zero and whose steps take as long as `compute` says.
Program idle_program(const Consistency& mode,
                     std::uint64_t steps,
                     std::function<Duration(std::uint32_t rank, std::uint64_t step)> compute) {
  Program program;
  program.options.mode = mode;
  program.options.chunk_bytes = 16;
  program.parameters = {{.name = "p", .shape = {8}}};
  program.steps = steps;
  program.plan = [compute = std::move(compute)](const Life& life, std::uint64_t step) {
    StepPlan plan;
    plan.compute = compute(life.rank, step);
    plan.begin.samples = 1;
    return plan;
  };
  program.fill = [](const Life&, std::uint64_t, const std::vector<Memory>&) {};
  return program;
}

// Of every worker's steps, in seconds after the first one of all.
std::vector<std::vector<double>> start_times(const Simulator& job, std::uint32_t workers) {
  std::vector<std::vector<double>> times(workers);
  const TimePoint first = job.lives().front()->steps.front().started;
  for (const auto& record : job.lives()) {
    for (const StepRecord& step : record->steps)
      times[record->life.rank].push_back(ps::seconds(step.started - first));
  }
  return times;
}

}  // namespace

TEST_CASE("ssp: workers of durations 1, 2 and 4 start when the definition says", "[sim]") {
  // From: a worker with c steps completed starts when the least clock is at least c - s.
  using Times = std::vector<std::vector<double>>;
  const auto [staleness, expected] = GENERATE(table<std::uint64_t, Times>({
      {0, {{0, 4, 8, 12, 16}, {0, 4, 8, 12, 16}, {0, 4, 8, 12, 16}}},
      {1, {{0, 1, 4, 8, 12}, {0, 2, 4, 8, 12}, {0, 4, 8, 12, 16}}},
      {2, {{0, 1, 2, 4, 8}, {0, 2, 4, 6, 8}, {0, 4, 8, 12, 16}}},
  }));
  Simulator job({.seed = 1, .workers = 3, .shards = 2, .timing = sim_timing()},
                idle_program(Ssp{.staleness = staleness}, 5,
                             [](std::uint32_t rank, std::uint64_t) { return seconds(1 << rank); }),
                nullptr);
  REQUIRE(job.run(job.now() + seconds(100)));
  CAPTURE(staleness);
  CHECK(start_times(job, 3) == expected);
}

TEST_CASE("sync: every step starts for all when the slowest is done", "[sim]") {
  Simulator job(
      {.seed = 1, .workers = 3, .shards = 2, .timing = sim_timing()},
      idle_program(Sync{}, 5, [](std::uint32_t rank, std::uint64_t) { return seconds(1 << rank); }),
      nullptr);
  REQUIRE(job.run(job.now() + seconds(100)));
  const std::vector<double> expected{0, 4, 8, 12, 16};
  CHECK(start_times(job, 3) == std::vector(3, expected));
}

TEST_CASE("async: nobody waits for anybody", "[sim]") {
  Simulator job({.seed = 1, .workers = 3, .shards = 2, .timing = sim_timing()},
                idle_program(Async{}, 4,
                             [](std::uint32_t rank, std::uint64_t) { return seconds(1 << rank); }),
                nullptr);
  REQUIRE(job.run(job.now() + seconds(100)));
  CHECK(start_times(job, 3) ==
        std::vector<std::vector<double>>{{0, 1, 2, 3}, {0, 2, 4, 6}, {0, 4, 8, 12}});
}

TEST_CASE("async: the mean staleness of workers that are always busy is their number less one",
          "[sim]") {
  const auto workers =
      GENERATE(std::uint32_t{1}, std::uint32_t{2}, std::uint32_t{4}, std::uint32_t{8});
  // The law holds for any durations; here some are four times as long as others.
  Simulator job({.seed = 2, .workers = workers, .shards = 1, .timing = sim_timing()},
                idle_program(Async{}, 400,
                             [workers](std::uint32_t rank, std::uint64_t step) -> Duration {
                               const std::uint64_t spread = (rank * 7919 + step * 104729) % 500;
                               const std::uint64_t slow = rank + 1 == workers ? 4 : 1;
                               return std::chrono::microseconds(slow * (1000 + spread));
                             }),
                nullptr);
  // Until the first is done: from then on fewer are busy.
  while (std::ranges::none_of(job.lives(),
                              [](const auto& record) { return record->next_step >= 400; })) {
    REQUIRE(job.step(job.now() + seconds(100)));
  }
  Histogram all;
  for (std::uint32_t rank = 0; rank < workers; ++rank) all.merge(job.shard(0).staleness(rank));
  CAPTURE(workers);
  CHECK(all.mean() == Approx(workers - 1.0).epsilon(0.03));
}

TEST_CASE("sync: the weights' bits depend neither on the shards nor on the order of arrival",
          "[sim]") {
  Program program;
  program.options.mode = Sync{};
  program.options.optimizer = Sgd{.lr = 0.1F, .momentum = 0.9F};
  program.options.schedule = {.warmup_samples = 30, .warmup_start = 0.1F};
  program.options.chunk_bytes = 32;
  program.parameters = {
      {.name = "a", .shape = {7, 9}}, {.name = "b", .shape = {5}}, {.name = "c", .shape = {33}}};
  program.steps = 6;
  program.initial = initial_weight;
  program.fill = [](const Life& life, std::uint64_t step, const std::vector<Memory>& gradients) {
    for (std::uint32_t p = 0; p < gradients.size(); ++p) {
      const auto values = gradients[p].as<float>();
      for (std::uint64_t i = 0; i < values.size(); ++i)
        values[i] = sync_gradient(life.rank, step, p, i);
    }
  };
  std::vector<std::vector<float>> first;
  for (std::uint32_t shards = 1; shards <= 3; ++shards) {
    for (std::uint64_t order = 0; order < 4; ++order) {
      program.plan = [order](const Life& life, std::uint64_t step) {
        StepPlan plan;
        plan.compute = std::chrono::milliseconds(1 + (life.rank * (order + 1) * 7 + step) % 5);
        plan.begin.samples = 1 + life.rank;
        plan.begin.weight = 1 + life.rank;
        plan.early = order % 2 == 1;
        return plan;
      };
      UpdateWatch watch(program, 4);
      Simulator job({.seed = order,
                     .workers = 4,
                     .shards = shards,
                     .timing = sim_timing(),
                     .staging_bytes = order == 3 ? std::size_t{200} : std::size_t{1} << 20},
                    program, &watch);
      REQUIRE(job.run(job.now() + seconds(100)));
      CAPTURE(shards, order);
      CHECK(watch.wrong() == "");
      CHECK(check_end(job, program, watch) == "");
      if (first.empty()) first = job.lives().front()->final_weights;
      for (const auto& record : job.lives()) CHECK(record->final_weights == first);
    }
  }
}

}  // namespace ps::sim
