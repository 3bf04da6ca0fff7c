// Simulated jobs against the theory: within 2 %, in every mode, where computing and where the
// network is what takes the time; and that a simulation with a wrong figure is not.
#include "pssim/simulation.h"

#include <cmath>

#include "jobs.h"
#include "pssim/closed_form.h"
#include "support/catch.h"

namespace pssim {
namespace {

Outcome simulate(const Job& job) {
  Simulation simulation(job);
  return simulation.run([](double) {});
}

constexpr double kNear = 0.02;

bool near(double value, double expected) {
  return std::abs(value / expected - 1.0) <= kNear;
}

// Bytes of a bucket's message, with its header and one segment.
constexpr double kMessage = static_cast<double>(kBucketBytes) + 96.0 + 32.0;

}  // namespace

TEST_CASE("pssim: where computing takes the time, a step of any mode is computing, there and back",
          "[pssim]") {
  Job job = equal_job(8, 4, 4);
  job.mode = GENERATE(as<ps::Consistency>(), ps::Sync{}, ps::Async{}, ps::Ssp{.staleness = 2});
  job.steps = 50;
  set_link(job, 1e9);
  job.latency_seconds = 5e-3;
  const Outcome outcome = simulate(job);
  CHECK(near(outcome.step_seconds, 1.0 + 17 * kMessage / 1e9 + 2 * 5e-3));
  CHECK(near(outcome.steps_per_second * outcome.step_seconds, 8.0));
  CHECK(outcome.computing.mean > 0.95);
  CHECK(outcome.steps == 400);
}

TEST_CASE("pssim: bsp on slow links takes what a shard receives, and computing", "[pssim]") {
  // With one bucket a shard nothing is answered before all is received; but who is answered late
  // pushes late, just when the shard has taken the others'.
  constexpr double kRate = 1e8;
  Job job = equal_job(500, 4, 1);
  job.steps = 20;
  job.compute.mean_seconds = 0.1;
  set_link(job, kRate);
  const double receiving = 500 * kMessage / kRate;
  const Outcome outcome = simulate(job);
  CHECK(outcome.step_seconds == Approx(0.1 + receiving).epsilon(kNear));
  const ClosedForms forms = closed_forms(job, layout_of(job));
  CHECK(forms.pipelined_step == Approx(0.1 + receiving).epsilon(kNear));
  CHECK(outcome.shard_in.most == Approx(receiving / (0.1 + receiving)).epsilon(kNear));

  SECTION("with links that are 5 % faster it does not") {
    set_link(job, 1.05 * kRate);
    CHECK_FALSE(near(simulate(job).step_seconds, 0.1 + receiving));
  }
  SECTION("with 20 workers less it does not") {
    job.workers = 480;
    CHECK_FALSE(near(simulate(job).step_seconds, 0.1 + receiving));
  }
}

TEST_CASE(
    "pssim: bsp with many buckets is between answers that overlap pushes and such that do not",
    "[pssim]") {
  Job job = equal_job(64, 4, 20);
  job.steps = 20;
  job.compute.mean_seconds = 0.2;
  set_link(job, 1e8);
  const double receiving = 64 * 20 * kMessage / 1e8;
  const ClosedForms forms = closed_forms(job, layout_of(job));
  CHECK(forms.pipelined_step == Approx(0.2 + receiving).epsilon(kNear));
  CHECK(forms.most_step >= 0.2 + 2.0 * receiving);
  const double step = simulate(job).step_seconds;
  CHECK(step > 0.99 * forms.pipelined_step);
  CHECK(step < forms.most_step);
  // The first round, which all begin together, does overlap.
  job.steps = 1;
  CHECK(near(simulate(job).seconds, forms.pipelined_step + 64 * kMessage / 1e8));
}

TEST_CASE("pssim: asp and ssp on slow links make as many steps as the shards can receive",
          "[pssim]") {
  constexpr double kRate = 1e8;
  Job job = equal_job(64, 4, 20);
  job.mode = GENERATE(as<ps::Consistency>(), ps::Async{}, ps::Ssp{.staleness = 4});
  job.steps = 40;
  job.compute.mean_seconds = 1e-3;
  set_link(job, kRate);
  const double most = kRate / (20 * kMessage);
  const Outcome outcome = simulate(job);
  CHECK(near(outcome.steps_per_second, most));
  CHECK(near(closed_forms(job, layout_of(job)).most_steps_per_second(job), most));
  set_link(job, 1.05 * kRate);
  CHECK_FALSE(near(simulate(job).steps_per_second, most));
}

TEST_CASE("pssim: asp where updates take the time makes as many as a shard can", "[pssim]") {
  Job job = equal_job(32, 2, 8);
  job.mode = ps::Async{};
  job.compute.mean_seconds = 1e-3;
  job.memory_bytes_per_second = 1e7;
  // 20 bytes an element of 4 bytes.
  CHECK(near(simulate(job).steps_per_second, 1e7 / (8.0 * kBucketBytes * 5.0)));
}

TEST_CASE("pssim: bsp with random computing waits for the expected longest", "[pssim]") {
  const auto [compute, workers, slowdown] =
      GENERATE(table<std::string, std::uint32_t, double>({{"lognormal:0.3", 8, 1.491},
                                                          {"lognormal:0.3", 64, 1.949},
                                                          {"lognormal:0.5", 16, 2.218},
                                                          {"exponential", 8, 2.718}}));
  Job job = equal_job(workers, 2, 1);
  job.compute.shape = parse_compute(compute);
  job.steps = 20000 / workers + 2000;
  job.seed = 7;
  CAPTURE(compute, workers);
  CHECK(near(simulate(job).step_seconds, slowdown));
}

TEST_CASE("pssim: ssp with exponential computing has the throughput of the model", "[pssim]") {
  // Steps per worker and mean time, 8 workers.
  const auto [staleness, rate] = GENERATE(
      table<std::uint64_t, double>({{0, 0.366}, {1, 0.555}, {2, 0.659}, {4, 0.767}, {8, 0.854}}));
  Job job = equal_job(8, 2, 1);
  job.mode = ps::Ssp{.staleness = staleness};
  job.compute.shape = parse_compute("exponential");
  job.steps = 20000;
  const Outcome outcome = simulate(job);
  CAPTURE(staleness);
  CHECK(near(1.0 / outcome.step_seconds, rate));
  CHECK(outcome.widest_gap == staleness);
}

TEST_CASE("pssim: under ssp no worker begins a step more than S ahead, and asp has no such bound",
          "[pssim]") {
  Job job = equal_job(16, 3, 2);
  job.compute.shape = parse_compute("lognormal:0.5");
  job.compute.straggler = 3.0;
  job.steps = 100;
  set_link(job, 1e9);
  job.seed = GENERATE(1U, 2U, 3U);
  for (const std::uint64_t staleness : {0U, 1U, 2U, 5U}) {
    job.mode = ps::Ssp{.staleness = staleness};
    CHECK(simulate(job).widest_gap == staleness);
  }
  job.mode = ps::Async{};
  CHECK(simulate(job).widest_gap > 50);
  job.mode = ps::Sync{};
  CHECK(simulate(job).widest_gap == 0);
}

TEST_CASE("pssim: a worker that is slow for good costs bsp and ssp all, and asp its own steps",
          "[pssim]") {
  Job job = equal_job(4, 2, 1);
  job.compute.straggler = 4.0;
  job.steps = 200;
  job.mode = ps::Async{};
  const double asp = simulate(job).steps_per_second;
  CHECK(near(asp, 3.25));
  job.mode = GENERATE(as<ps::Consistency>(), ps::Sync{}, ps::Ssp{.staleness = 4});
  CHECK(near(simulate(job).steps_per_second, 1.0));
}

TEST_CASE("pssim: the mean staleness of asp is the number of workers less one", "[pssim]") {
  Job job = equal_job(GENERATE(1U, 4U, 32U), 2, 2);
  job.mode = ps::Async{};
  job.compute.shape = parse_compute("lognormal:0.3");
  job.compute.straggler = 4.0;
  job.steps = 500;
  CHECK(simulate(job).staleness.mean() == Approx(job.workers - 1.0).epsilon(kNear));
}

TEST_CASE("pssim: the same seed gives the same job, another seed another one", "[pssim]") {
  Job job = equal_job(16, 4, 4);
  job.mode = GENERATE(as<ps::Consistency>(), ps::Sync{}, ps::Async{}, ps::Ssp{.staleness = 1});
  job.compute.shape = parse_compute("lognormal:0.3");
  job.steps = 30;
  set_link(job, 1e9);
  const Outcome first = simulate(job);
  const Outcome again = simulate(job);
  CHECK(first.seconds == again.seconds);
  CHECK(first.events == again.events);
  CHECK(first.step_p99 == again.step_p99);
  CHECK(first.staleness.bins() == again.staleness.bins());
  ++job.seed;
  CHECK(simulate(job).seconds != first.seconds);
}

TEST_CASE("pssim: in bsp a shard holds at most all workers' gradients of all its buckets",
          "[pssim]") {
  const Job job = equal_job(16, 2, 4);
  const Outcome outcome = simulate(job);
  CHECK(outcome.most_staged_bytes > kBucketBytes * 16);
  CHECK(outcome.most_staged_bytes <= kBucketBytes * 16 * 4);
  CHECK(outcome.staleness.count() == 0);
}

}  // namespace pssim
