// Every order in which the messages of tiny jobs can arrive, and every place for a fault: what the
// swarm (tests/sim) samples in large jobs is complete here in small ones. The bounds of each job
// are in its test: workers, steps, faults. One parameter of two chunks, one on either shard.
#include <cmath>
#include <iostream>
#include <limits>
#include <numeric>

#include "base/planted.h"
#include "explore/search.h"
#include "support/catch.h"

namespace ps::explore {
namespace {

constexpr std::uint64_t kChunk = 16;  // elements
constexpr float kClip = 0.5F;

void fill_sync(const sim::Life& life, std::uint64_t step, const std::vector<Memory>& gradients) {
  const auto values = gradients.front().as<float>();
  for (std::uint64_t i = 0; i < values.size(); ++i)
    values[i] = sim::sync_gradient(life.rank, step, 0, i);
}

// Each step leaves a mark of its own on both chunks.
void fill_marks(const sim::Life& life, std::uint64_t step, const std::vector<Memory>& gradients) {
  const auto values = gradients.front().as<float>();
  std::ranges::fill(values, 0.0F);
  const std::uint64_t mark = life.rank * 4 + step;
  values[mark] = values[kChunk + mark] = -1.0F;
}

sim::StepPlan plan(const sim::Life& life, std::uint64_t /*step*/) {
  sim::StepPlan plan;
  plan.begin.samples = 1 + life.rank;
  plan.begin.weight = plan.begin.samples;
  return plan;
}

Job make_job(const Consistency& mode, std::uint32_t workers, std::uint64_t steps) {
  Job job;
  job.workers = workers;
  job.program.options.mode = mode;
  job.program.options.chunk_bytes = kChunk * sizeof(float);
  job.program.parameters = {{.name = "w", .shape = {2 * kChunk}}};
  job.program.steps = steps;
  job.program.plan = plan;
  if (std::holds_alternative<Sync>(mode)) {
    job.program.options.optimizer = Sgd{.lr = 0.05F, .momentum = 0.9F};
    job.program.initial = sim::initial_weight;
    job.program.fill = fill_sync;
  } else {
    job.program.options.optimizer = Sgd{.lr = 1.0F};
    job.program.fill = fill_marks;
  }
  return job;
}

// Worker 0's first gradient has a NaN in the first chunk; the other shard sees nothing of it.
Job make_spoiled_job(std::uint32_t workers, std::uint64_t steps) {
  Job job = make_job(Sync{}, workers, steps);
  job.program.options.finite = Finite::kStep;
  job.program.plan = [](const sim::Life& life, std::uint64_t step) {
    sim::StepPlan spoiled = plan(life, step);
    spoiled.spoiled = life.rank == 0 && step == 0;
    return spoiled;
  };
  job.program.fill = [](const sim::Life& life, std::uint64_t step,
                        const std::vector<Memory>& gradients) {
    fill_sync(life, step, gradients);
    if (life.rank == 0 && step == 0)
      gradients.front().as<float>()[3] = std::numeric_limits<float>::quiet_NaN();
  };
  return job;
}

Job make_clipped_job() {
  Job job = make_job(Sync{}, 2, 1);
  job.program.options.clip_norm = kClip;
  job.program.options.optimizer = Sgd{.lr = 1.0F};
  return job;
}

// --- verdicts
// ----------------------------------------------------------------------------------------

// Nobody can say how far a job came in which somebody died.
std::string judge_bits(const Job& job, World& world) {
  if (world.weights().empty()) return {};
  return sim::check_bits({world.weights()}, job.program, world.watch());
}

std::string judge_marks(const Job& job, World& world) {
  if (world.weights().empty()) return {};
  const std::vector<float>& weights = world.weights();
  for (std::uint64_t i = 0; i < weights.size(); ++i) {
    const std::uint64_t mark = i % kChunk;
    const bool is_step = mark / 4 < job.workers && mark % 4 < job.program.steps;
    if (weights[i] != (is_step ? 1.0F : 0.0F))
      return "element " + std::to_string(i) + " counted " + std::to_string(weights[i]) + " times";
  }
  return {};
}

// One round of one rate: the weights have moved by exactly the clipped mean.
std::string judge_clip(const Job& job, World& world) {
  std::vector<double> mean(2 * kChunk);
  double samples = 0;
  for (std::uint32_t rank = 0; rank < job.workers; ++rank) samples += 1 + rank;
  for (std::uint32_t rank = 0; rank < job.workers; ++rank) {
    for (std::uint64_t i = 0; i < mean.size(); ++i)
      mean[i] += (1 + rank) / samples * double{sim::sync_gradient(rank, 0, 0, i)};
  }
  const double norm = std::sqrt(std::inner_product(mean.begin(), mean.end(), mean.begin(), 0.0));
  if (norm < 2 * kClip) return "the test's gradient is too short to be clipped";
  for (std::uint64_t i = 0; i < mean.size(); ++i) {
    const double expected = double{sim::initial_weight(0, i)} - mean[i] * kClip / norm;
    if (std::abs(world.weights()[i] - expected) > 1e-6)
      return "element " + std::to_string(i) + " is " + std::to_string(world.weights()[i]) +
             ", a single process computes " + std::to_string(expected);
  }
  return {};
}

// Under a sanitizer, which slows a search down many times and is interested in the code, not in the
// orders, the long ones stop early.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kMost = 400;
constexpr bool kSampled = true;
#else
constexpr std::uint64_t kMost = 100000;
constexpr bool kSampled = false;
#endif

Findings require_right(const std::string& name, const Job& job, Judge judge) {
  Findings found = explore(job, judge, kMost);
  std::cout << "explored: " << name << ": " << found.interleavings << " interleavings, "
            << found.choices << " choices, " << found.outcomes.size() << " outcomes, "
            << (found.exhaustive ? "exhaustive" : "not exhaustive") << ", " << found.took_s << " s"
            << std::endl;
  CHECK(found.wrong == "");
  CHECK((found.exhaustive || (kSampled && found.interleavings > kMost)));
  return found;
}

}  // namespace

TEST_CASE("explore: a round with a backup worker has one ticket, whoever comes first", "[sim]") {
  const auto of_3 =
      require_right("backup 1 of 3, 1 step", make_job(Sync{.backup_workers = 1}, 3, 1), judge_bits);
  if (!of_3.exhaustive) return;
  for (const char* ticket : {"01", "02", "12"}) CHECK(of_3.outcomes.contains(ticket));
  CHECK(of_3.outcomes.size() == 3);
}

TEST_CASE("explore: two rounds with a backup worker agree on both tickets", "[sim][.long]") {
  const auto of_2 = require_right("backup 1 of 2, 2 steps",
                                  make_job(Sync{.backup_workers = 1}, 2, 2), judge_bits);
  CHECK((!of_2.exhaustive || of_2.outcomes.size() == 4));  // either worker in either round
}

TEST_CASE("explore: a ticket holds when a message is lost or comes twice", "[sim]") {
  Job job = make_job(Sync{.backup_workers = 1}, 2, 1);
  job.faults = 1;
  const auto found = require_right("backup 1 of 2, 1 step, 1 fault", job, judge_bits);
  CHECK((!found.exhaustive || found.outcomes.size() == 2));
}

TEST_CASE("explore: the ssp gate opens no step too early, and opens", "[sim]") {
  require_right("ssp 0, 2 workers, 3 steps", make_job(Ssp{.staleness = 0}, 2, 3), judge_marks);
  require_right("ssp 1, 2 workers, 3 steps", make_job(Ssp{.staleness = 1}, 2, 3), judge_marks);
  require_right("ssp 0, 3 workers, 1 step", make_job(Ssp{.staleness = 0}, 3, 1), judge_marks);
  Job job = make_job(Ssp{.staleness = 0}, 2, 1);
  job.faults = 2;
  require_right("ssp 0, 2 workers, 1 step, 2 faults", job, judge_marks);
}

TEST_CASE("explore: softsync counts each push once, whoever makes an update with whom", "[sim]") {
  Job job = make_job(Async{.pushes_per_update = 2}, 2, 2);
  job.program.options.reduce = Reduce::kSum;  // so that each push leaves its whole mark
  require_right("2 pushes an update, 2 workers, 2 steps", job, judge_marks);
  job.program.steps = 1;
  job.faults = 1;
  require_right("2 pushes an update, 2 workers, 1 step, 1 fault", job, judge_marks);
}

TEST_CASE("explore: both shards clip by one norm", "[sim]") {
  Job job = make_clipped_job();
  require_right("clip, 2 workers, 1 step", job, judge_clip);
  job.faults = 1;
  require_right("clip, 2 workers, 1 step, 1 fault", job, judge_clip);
}

TEST_CASE("explore: a NaN on one shard leaves the round out on both", "[sim]") {
  require_right("finite, 2 workers, 2 steps", make_spoiled_job(2, 2), judge_bits);
  Job job = make_spoiled_job(2, 1);
  job.faults = 1;
  require_right("finite, 2 workers, 1 step, 1 fault", job, judge_bits);
}

TEST_CASE("explore: a worker's death between any two messages ends the job for all", "[sim]") {
  for (const Consistency& mode : {Consistency(Sync{}), Consistency(Ssp{.staleness = 0})}) {
    Job job = make_job(mode, 2, 2);
    job.death = true;
    const bool sync = std::holds_alternative<Sync>(mode);
    const auto found = require_right(std::string(mode_name(mode)) + ", a death", job,
                                     sync ? judge_bits : judge_marks);
    CHECK(found.outcomes.size() > 2);
  }
}

TEST_CASE("explore: a worker that has died comes back, and the weights are the same", "[sim]") {
  Job job = make_job(Sync{}, 2, 2);
  job.death = true;
  job.on_failure = cluster::OnFailure::kWait;
  require_right("sync, a death and a new life", job, judge_bits);
}

TEST_CASE("explore: delivering answers to workers at once leaves out no outcome", "[sim]") {
  for (const Consistency& mode : {Consistency(Sync{.backup_workers = 1}), Consistency(Sync{}),
                                  Consistency(Ssp{.staleness = 1})}) {
    Job job = make_job(mode, 2, 1);
    const bool sync = std::holds_alternative<Sync>(mode);
    const auto quick = require_right("answers at once", job, sync ? judge_bits : judge_marks);
    job.workers_commute = false;
    const auto whole = require_right("answers in any order", job, sync ? judge_bits : judge_marks);
    CHECK(whole.interleavings > quick.interleavings);
    REQUIRE(whole.outcomes.size() == quick.outcomes.size());
    for (const auto& [outcome, count] : whole.outcomes) CHECK(quick.outcomes.contains(outcome));
  }
}

#ifdef PS_PLANTED_BUGS

TEST_CASE("explore: planted bugs are found", "[sim]") {
  struct Planted {
    PlantedBug bug;
    const char* name;
    Job job;
    Judge judge;
  };
  const Planted all[] = {
      {PlantedBug::kGateOffByOne, "gate off by one", make_job(Ssp{.staleness = 0}, 2, 2),
       judge_marks},
      {PlantedBug::kGateOffByOne, "gate off by one", make_job(Ssp{.staleness = 1}, 2, 3),
       judge_marks},
      {PlantedBug::kOwnTicket, "own ticket", make_job(Sync{.backup_workers = 1}, 3, 1), judge_bits},
      {PlantedBug::kJudgesAlone, "judges alone, finite", make_spoiled_job(2, 1), judge_bits},
      {PlantedBug::kJudgesAlone, "judges alone, clip", make_clipped_job(), judge_clip},
  };
  for (const Planted& one : all) {
    planted_bug = one.bug;
    const Findings found = explore(one.job, one.judge, 100000);
    planted_bug = PlantedBug::kNone;
    std::cout << "planted bug: " << one.name << ": found after " << found.interleavings
              << " interleavings; " << found.wrong.substr(0, found.wrong.find('\n')) << std::endl;
    INFO(one.name);
    CHECK(found.wrong != "");
  }
}

#endif

}  // namespace ps::explore
