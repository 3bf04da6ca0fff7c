// sync-vs-async: its statistics, durations, theory, words and plots, and a run too small to mean
// anything.
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "integration/process.h"
#include "psbench/versus/statistics.h"
#include "psbench/versus/straggler.h"
#include "psbench/versus/svg.h"
#include "psbench/versus/timeline.h"
#include "psbench/versus/verdict.h"
#include "session/all_reduce.h"
#include "support/catch.h"

namespace psbench {
namespace {

using Catch::Contains;

double rate(const ps::Consistency& mode, const std::string& kind, std::uint32_t workers) {
  const Straggler straggler(kind, workers, 3);
  return steps_per_time(
      mode, workers,
      [&](std::uint32_t rank, std::uint64_t step) { return straggler.duration(rank, step); }, 4000);
}

TEST_CASE("versus: medians and their bootstrap intervals", "[psbench]") {
  CHECK(median_of({}) == 0.0);
  CHECK(median_of({3, 1, 2}) == 2.0);
  CHECK(median_of({4, 1, 2, 3}) == 2.5);
  CHECK(bootstrap_median({5, 5, 5}, 1).high == 5.0);
  const Interval wide = bootstrap_median({1, 2, 3, 4, 5}, 1);
  CHECK(wide.low == 1.0);
  CHECK(wide.high == 5.0);
  const Interval ratio = bootstrap_ratio({8, 8}, {2, 2}, 1);
  CHECK(ratio.low == 4.0);
  CHECK(ratio.high == 4.0);
}

TEST_CASE("versus: theory has async at 3.25 times sync with one of 4 workers at a quarter",
          "[psbench]") {
  const double sync = rate(ps::Sync{}, "permanent", 4);
  CHECK(sync == Approx(1.0));
  CHECK(rate(ps::Async{}, "permanent", 4) / sync == Approx(3.25).epsilon(0.001));
  CHECK(rate(ps::Async{}, "none", 4) == Approx(rate(ps::Sync{}, "none", 4)));
  // Bounded staleness ends at the slowest worker's rate.
  CHECK(rate(ps::Ssp{.staleness = 2}, "permanent", 4) == Approx(1.0).epsilon(0.01));
}

TEST_CASE("versus: theory has the slowdown of sync that random durations give", "[psbench]") {
  CHECK(4.0 / rate(ps::Sync{}, "exponential", 4) == Approx(2.083).epsilon(0.03));
  CHECK(4.0 / rate(ps::Sync{}, "lognormal", 4) == Approx(1.332).epsilon(0.02));
}

TEST_CASE("versus: theory begins SSP's steps when their definition lets them", "[psbench]") {
  const auto durations = [](std::uint32_t rank, std::uint64_t /*step*/) {
    return 1.0 * (1U << rank);
  };
  using Times = std::vector<double>;
  CHECK(ssp_starts(0, 3, durations, 5, 0) == Times{0, 4, 8, 12, 16});
  CHECK(ssp_starts(1, 3, durations, 5, 0) == Times{0, 1, 4, 8, 12});
  CHECK(ssp_starts(1, 3, durations, 5, 1) == Times{0, 2, 4, 8, 12});
  CHECK(ssp_starts(2, 3, durations, 5, 0) == Times{0, 1, 2, 4, 8});
}

TEST_CASE("versus: theory drops a backup worker's late gradients", "[psbench]") {
  // Durations 1, 2, 5, two needed: commits at 2, 4, ..., 10, drops at 5 and 10 (not yet counted
  // with the fifth round, which commits first).
  const auto durations = [](std::uint32_t rank, std::uint64_t /*step*/) {
    return rank == 0 ? 1.0 : rank == 1 ? 2.0 : 5.0;
  };
  const double steps = 10.0 * steps_per_time(ps::Sync{.backup_workers = 1}, 3, durations, 5);
  CHECK(steps == Approx(11.0));
}

TEST_CASE("versus: the verdict says who wins and why", "[psbench]") {
  const Measured sync{"BSP", {100, 101, 102}, {1000, 1000, 1000}, {10, 10.1, 9.9}};
  const Measured fast{"ASP", {310, 312, 309}, {1200, 1210, 1190}, {4, 4.1, 3.9}};
  CHECK_THAT(verdict(sync, fast, 1), Contains("ASP wins here because"));
  CHECK_THAT(verdict(sync, fast, 1), Contains("3.07 times the gradients"));
  const Measured stale{"ASP", {110, 110, 110}, {3000, 3000, 3000}, {27, 28, 27}};
  CHECK_THAT(verdict(sync, stale, 1), Contains("does not win here"));
  CHECK_THAT(verdict(sync, stale, 1), Contains("staleness costs more than waiting"));
  const Measured same{"ASP", {100}, {1000, 1000}, {9, 11}};
  CHECK_THAT(verdict(sync, same, 1), Contains("neither wins"));
  CHECK_THAT(verdict(sync, {"ASP", {100}, {}, {}}, 1), Contains("no run of ASP"));
}

TEST_CASE("versus: where signal dominates it says that async does not win", "[psbench]") {
  CHECK_THAT(noise_verdict(1000, 4000, 4, 32), Contains("Signal dominates"));
  CHECK_THAT(noise_verdict(1000, 3500, 4, 32), Contains("async does not win"));
  CHECK_THAT(noise_verdict(1000, 1000, 4, 32), Contains("Noise dominates"));
  CHECK_THAT(noise_verdict(1000, 1200, 4, 32), Contains("Noise dominates"));
  CHECK(noise_verdict(0, 1200, 4, 32).empty());
}

TEST_CASE("versus: plots hold their names, escaped, and no value that is not finite", "[psbench]") {
  const std::string svg = draw(LinePlot{
      .title = "a < b", .x = "x", .y = "y", .lines = {{"one & two", "red", {{0, 1}, {1, NAN}}}}});
  CHECK_THAT(svg, Contains("a &lt; b") && Contains("one &amp; two") && !Contains("nan"));
  CHECK_THAT(
      draw(BarPlot{
          .title = "t", .x = "x", .parts = {"p"}, .mark = {}, .bars = {{"bar", {1.0}, 2.0, "n"}}}),
      Contains("bar</text>"));
  CHECK(tick_step(10.0) == Approx(2.0));
  CHECK(tick_step(0.0) == 1.0);
}

TEST_CASE("versus: a tiny comparison lists every arm and run", "[psbench]") {
  ps::test::Process process({PS_PSBENCH, "sync-vs-async", "--seconds", "0.5", "--trials", "1",
                             "--seeds", "2", "--workers", "2", "--step-ms", "5", "--data",
                             "synthetic", "--stragglers", "permanent", "--json"});
  const int code = process.wait(std::chrono::seconds(200));
  INFO(process.out << process.err);
  REQUIRE(code == 0);
  const std::size_t end = process.out.find_last_not_of('\n');
  const auto line = nlohmann::json::parse(process.out.substr(process.out.rfind('\n', end) + 1));
  for (const char* field : {"goodput", "limit", "ratio"}) CHECK(line.at(field).get<double>() > 0.0);
  const std::size_t expected = ps::AllReduce::available() ? 11 : 10;
  CHECK(line.at("cells").size() == expected);
  std::set<std::string> arms;
  for (const auto& cell : line.at("cells")) {
    arms.insert(cell.at("arm").get<std::string>());
    REQUIRE(cell.at("runs").size() == 2);
    for (const auto& run : cell.at("runs")) CHECK(run.at("samples_per_s").get<double>() > 0.0);
  }
  CHECK(arms.size() == expected);
  CHECK(line.at("verdicts").size() == 1);
}

}  // namespace
}  // namespace psbench
