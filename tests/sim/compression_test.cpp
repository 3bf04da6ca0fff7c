// Compressed jobs under a bad network: what arrives, and how often it was sent, must not show.
#include <cstring>

#include "base/random.h"
#include "sim/oracles.h"
#include "support/catch.h"
#include "support/simulator.h"

namespace ps::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using Push = Compression::Push;

constexpr std::uint64_t kSteps = 12;

Program program_with(const Compression& compression, const Consistency& mode) {
  Program program;
  program.options.mode = mode;
  program.options.optimizer = Sgd{.lr = 0.05F, .momentum = 0.9F};
  program.options.compression = compression;
  program.options.chunk_bytes = 4 * 1500;  // some sparse, some too small for it
  program.parameters = {{"p0", {4000}, ParameterKind::kTrained},
                        {"mean", {30}, ParameterKind::kAverage},
                        {"p2", {40}, ParameterKind::kTrained}};
  program.steps = kSteps;
  program.initial = initial_weight;
  program.plan = [](const Life& life, std::uint64_t step) {
    StepPlan plan;
    plan.compute = microseconds(500 + 300 * life.rank);
    plan.begin.samples = 1 + static_cast<std::uint32_t>(step % 2);
    plan.begin.weight = plan.begin.samples;
    plan.early = step % 3 == 0;
    plan.skipped = {false, false, step % 4 == 1};
    return plan;
  };
  program.fill = [](const Life& life, std::uint64_t step, const std::vector<Memory>& gradients) {
    for (std::uint32_t p = 0; p < gradients.size(); ++p) {
      const auto values = gradients[p].as<float>();
      for (std::uint64_t i = 0; i < values.size(); ++i)
        values[i] = sync_gradient(life.rank, step, p, i);
    }
  };
  return program;
}

struct Ended {
  std::vector<std::vector<float>> weights;
  net::SimFaultCounts faults;
};

Ended run(const Program& program, std::uint64_t seed, const net::SimFaults& faults) {
  Simulator job({.seed = seed, .workers = 2, .shards = 2, .timing = sim_timing()}, program,
                nullptr);
  job.network().set_faults(faults);
  const bool over = job.run(job.now() + std::chrono::seconds(120));
  INFO(job.describe());
  REQUIRE(over);
  REQUIRE(job.lives().size() == 2);
  for (const auto& record : job.lives()) {
    REQUIRE(record->left);
    CHECK(record->final_weights == job.lives().front()->final_weights);
  }
  return {job.lives().front()->final_weights, job.network().counts()};
}

constexpr net::SimFaults kGood{.delay_min = microseconds(50), .delay_max = microseconds(150)};

}  // namespace

TEST_CASE("compression: losses, duplicates and retries change no bit of a sync job", "[sim]") {
  const Push push =
      GENERATE(Push::kFp16, Push::kInt8, Push::kInt8Stochastic, Push::kTopK, Push::kSign);
  const auto pull = GENERATE(Compression::Pull::kNone, Compression::Pull::kBf16);
  CAPTURE(static_cast<int>(push), static_cast<int>(pull));
  const Program program = program_with({.push = push, .pull = pull, .top = 0.05F}, Sync{});
  const Ended good = run(program, 1, kGood);
  const Ended plain = run(program_with({}, Sync{}), 1, kGood);
  CHECK(good.weights[0] != plain.weights[0]);  // it does compress
  CHECK(good.weights[1] == plain.weights[1]);  // but no averages
  net::SimFaultCounts seen;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    net::SimFaults faults = kGood;
    faults.delay_max = milliseconds(1 + random.below(20));
    faults.drop = random.uniform(0.01, 0.1);
    faults.duplicate = random.uniform(0.01, 0.2);
    faults.reorder = random.uniform(0.01, 0.2);
    faults.flip = random.uniform(0.001, 0.02);
    faults.reset = random.uniform(0.0005, 0.005);
    faults.reorder_delay = milliseconds(15);
    const Ended bad = run(program, seed, faults);
    CHECK(bad.weights == good.weights);
    seen.dropped += bad.faults.dropped;
    seen.duplicated += bad.faults.duplicated;
  }
  CHECK(seen.dropped > 0);
  CHECK(seen.duplicated > 0);
}

TEST_CASE("compression: in async and ssp mode, too, every step counts once", "[sim]") {
  // Marks of 1 in zeros, which every codec here sends as they are.
  const bool ssp = GENERATE(false, true);
  const Push push = GENERATE(Push::kFp16, Push::kTopK);
  CAPTURE(ssp, static_cast<int>(push));
  Program program = program_with({.push = push, .top = 0.05F},
                                 ssp ? Consistency(Ssp{.staleness = 1}) : Consistency(Async{}));
  program.options.optimizer = Sgd{.lr = 1.0F};
  program.initial = [](std::uint32_t, std::uint64_t) { return 0.0F; };
  program.parameters = {{"p0", {3000}, ParameterKind::kTrained}};
  program.plan = [](const Life&, std::uint64_t) {
    StepPlan plan;
    plan.compute = microseconds(700);
    plan.begin.samples = 1;
    return plan;
  };
  program.fill = [](const Life& life, std::uint64_t step, const std::vector<Memory>& gradients) {
    std::ranges::fill(gradients[0].as<float>(), 0.0F);
    gradients[0].as<float>()[100 * life.rank + step] = -1.0F;
  };
  const std::uint64_t seed = GENERATE(1U, 2U, 3U);
  CAPTURE(seed);
  net::SimFaults faults = kGood;
  faults.drop = 0.08;
  faults.duplicate = 0.2;
  const Ended ended = run(program, seed, faults);
  std::vector<float> expected(3000);
  for (std::uint64_t step = 0; step < kSteps; ++step) expected[step] = expected[100 + step] = 1.0F;
  CHECK(ended.weights[0] == expected);
}

}  // namespace ps::sim
