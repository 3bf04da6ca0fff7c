// The theory that pssim prints: against published values and against formulas worked out here.
#include "pssim/closed_form.h"

#include <ps/error.h>

#include "jobs.h"
#include "support/catch.h"

namespace pssim {
namespace {

using Catch::Contains;

double slowdown(const std::string& compute, std::uint32_t workers) {
  const ComputeTime time{.shape = parse_compute(compute), .mean_seconds = 1.0};
  return expected_longest(time, workers);
}

}  // namespace

TEST_CASE("pssim: the expected longest of N computing times is the known one", "[pssim]") {
  // Exponential: the N-th harmonic number.
  const auto [workers, exponential, narrow, wide] =
      GENERATE(table<std::uint32_t, double, double, double>({{2, 1.500, 1.168, 1.276},
                                                             {4, 2.083, 1.332, 1.573},
                                                             {8, 2.718, 1.491, 1.888},
                                                             {16, 3.381, 1.646, 2.218},
                                                             {64, 4.744, 1.949, 2.926},
                                                             {1000, 7.486, 2.543, 4.535}}));
  CAPTURE(workers);
  CHECK(slowdown("constant", workers) == 1.0);
  CHECK(slowdown("exponential", workers) == Approx(exponential).epsilon(0.001));
  CHECK(slowdown("lognormal:0.3", workers) == Approx(narrow).epsilon(0.001));
  CHECK(slowdown("lognormal:0.5", workers) == Approx(wide).epsilon(0.001));
}

TEST_CASE("pssim: the longest of a round is the straggler's where nothing is random", "[pssim]") {
  ComputeTime time;
  time.mean_seconds = 2.0;
  time.straggler = 4.0;
  CHECK(expected_longest(time, 8) == 8.0);
  time.straggler = 0.5;
  CHECK(expected_longest(time, 8) == 2.0);
  time.shape = parse_compute("exponential");
  time.straggler = 1e6;  // so slow that the others do not count
  CHECK(expected_longest(time, 8) == Approx(2e6).epsilon(0.001));
}

TEST_CASE("pssim: a worker alone sends its bytes and then has one more answer to wait for",
          "[pssim]") {
  Job job = equal_job(1, 2, 10);
  set_link(job, 1e9);
  job.latency_seconds = 1e-3;
  const Layout layout = layout_of(job);
  const ClosedForms forms = closed_forms(job, layout);
  const double one = static_cast<double>(layout.bytes.front()) / 1e9;
  CHECK(forms.alone == Approx(20 * one + one + 2e-3));
  CHECK(forms.least_step == Approx(1.0 + forms.alone));
}

TEST_CASE("pssim: the limit of bsp and asp is the fullest shard's link where that is slow",
          "[pssim]") {
  Job job = equal_job(64, 4, 8);
  job.compute.mean_seconds = 1e-3;
  set_link(job, 1e8);
  job.mode = GENERATE(as<ps::Consistency>(), ps::Sync{}, ps::Async{}, ps::Ssp{});
  const ClosedForms forms = closed_forms(job, layout_of(job));
  CHECK(forms.shard_link == Approx(64.0 * 8.0 * kBucketBytes / 1e8).epsilon(0.003));
  CHECK(forms.least_step == forms.shard_link);
}

TEST_CASE("pssim: what it cannot read it refuses with what it expected", "[pssim]") {
  CHECK_THROWS_WITH(parse_compute("lognormal:x"), Contains("lognormal:x") && Contains("constant"));
  CHECK_THROWS_WITH(parse_compute("lognormal:0"), Contains("lognormal:0.3"));
  CHECK_THROWS_WITH(parse_compute("pareto"), Contains("exponential"));
  CHECK_THROWS_WITH(parse_mode("ssp"), Contains("'ssp'") && Contains("ssp:2"));
  CHECK_THROWS_WITH(parse_mode("ssp:-1"), Contains("ssp:2"));
  CHECK_THROWS_WITH(parse_link("--link", "25"), Contains("--link is '25'") && Contains("25G"));
  CHECK_THROWS_WITH(parse_link("--link", "-1G"), Contains("--link"));
  CHECK_THROWS_WITH(parse_model("yolov5"), Contains("yolov5n") && Contains("64MiB"));
  CHECK_THROWS_WITH(parse_model("3"), Contains("64MiB"));
  CHECK_THROWS_AS(parse_mode("dsp"), ps::Error);
}

TEST_CASE("pssim: modes, links and models mean what they say", "[pssim]") {
  CHECK(std::get<ps::Ssp>(parse_mode("ssp:7")).staleness == 7);
  CHECK(std::holds_alternative<ps::Sync>(parse_mode("bsp")));
  CHECK(std::holds_alternative<ps::Async>(parse_mode("asp")));
  CHECK(parse_link("--link", "25G") == 3.125e9);
  CHECK(parse_link("--link", "0.8M") == 1e5);
  CHECK(parse_model("64MiB").front().shape == std::vector<std::int64_t>{16 << 20});
  std::int64_t trained = 0;
  for (const auto& parameter : parse_model("yolov5n")) {
    std::int64_t size = 1;
    for (const std::int64_t dimension : parameter.shape) size *= dimension;
    if (parameter.kind == ps::ParameterKind::kTrained) trained += size;
  }
  CHECK(trained == 1'872'157);  // as published for 80 classes
}

}  // namespace pssim
