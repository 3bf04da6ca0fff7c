// The learning rate's course over the samples.
#include "optim/schedule.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include <ps/error.h>

#include "support/catch.h"

namespace ps::optim {
namespace {

using Kind = Schedule::Kind;

std::string refusal(const Schedule& schedule) {
  try {
    check(schedule);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "accepted";
}

TEST_CASE("schedule: the warm-up ramps from lr0 to k lr0", "[unit]") {
  // Linear scaling: lr0 = 0.1, k = 8 workers, 5 steps of 64 samples.
  const Schedule schedule{.warmup_samples = 5 * 64, .warmup_start = 1.0F / 8.0F};
  check(schedule);
  const double expected[] = {0.1, 0.24, 0.38, 0.52, 0.66, 0.8, 0.8};
  for (std::uint64_t step = 0; step < 7; ++step) {
    CHECK(0.8 * factor(schedule, step * 64) == Approx(expected[step]).epsilon(1e-12));
  }
}

TEST_CASE("schedule: without a warm-up a constant rate starts at once", "[unit]") {
  const Schedule schedule{.warmup_start = 0.25F};
  check(schedule);
  CHECK(factor(schedule, 0) == 1.0);
  CHECK(factor(schedule, std::numeric_limits<std::uint64_t>::max()) == 1.0);
}

TEST_CASE("schedule: steps count from the end of the warm-up", "[unit]") {
  const Schedule schedule{
      .kind = Kind::kStep, .warmup_samples = 100, .step_samples = 30, .step_gamma = 0.5F};
  check(schedule);
  CHECK(factor(schedule, 50) == 0.5);
  CHECK(factor(schedule, 100) == 1.0);
  CHECK(factor(schedule, 129) == 1.0);
  CHECK(factor(schedule, 130) == 0.5);
  CHECK(factor(schedule, 189) == 0.25);
  CHECK(factor(schedule, 190) == 0.125);
}

TEST_CASE("schedule: linear and cosine meet at both ends and in the middle", "[unit]") {
  const Kind kind = GENERATE(Kind::kLinear, Kind::kCosine);
  const Schedule schedule{
      .kind = kind, .warmup_samples = 200, .total_samples = 1000, .final_factor = 0.125F};
  check(schedule);
  CHECK(factor(schedule, 100) == 0.5);
  CHECK(factor(schedule, 200) == 1.0);
  CHECK(factor(schedule, 600) == Approx(0.125 + 0.875 / 2).epsilon(1e-12));
  CHECK(factor(schedule, 1000) == 0.125);
  CHECK(factor(schedule, 1'000'000) == 0.125);
  double last = 1.0;
  for (std::uint64_t samples = 200; samples < 1000; ++samples) {
    const double now = factor(schedule, samples);
    REQUIRE(now <= last);
    last = now;
  }
}

TEST_CASE("schedule: a quarter of the way cosine is above linear", "[unit]") {
  Schedule schedule{.kind = Kind::kCosine, .total_samples = 400};
  CHECK(factor(schedule, 100) == Approx(0.5 + std::sqrt(0.125)).epsilon(1e-12));
  schedule.kind = Kind::kLinear;
  CHECK(factor(schedule, 100) == 0.75);
}

TEST_CASE("schedule: what means nothing is refused by the field's name", "[unit]") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(refusal({}) == "accepted");
  CHECK(refusal({.warmup_start = -0.5F}).find("warmup_start") != std::string::npos);
  CHECK(refusal({.warmup_start = nan}).find("warmup_start") != std::string::npos);
  CHECK(refusal({.kind = Kind::kStep}).find("step_samples") != std::string::npos);
  CHECK(refusal({.kind = Kind::kStep, .step_samples = 1, .step_gamma = 0.0F}).find("step_gamma") !=
        std::string::npos);
  CHECK(refusal({.kind = Kind::kStep, .step_samples = 1, .step_gamma = nan}).find("step_gamma") !=
        std::string::npos);
  CHECK(refusal({.kind = Kind::kLinear}).find("total_samples") != std::string::npos);
  CHECK(refusal({.kind = Kind::kCosine, .warmup_samples = 7, .total_samples = 7})
            .find("total_samples") != std::string::npos);
  CHECK(refusal({.kind = Kind::kCosine, .total_samples = 7, .final_factor = nan})
            .find("final_factor") != std::string::npos);
  CHECK(refusal({.warmup_power = 0}).find("warmup_power") != std::string::npos);
  CHECK(refusal({.warmup_momentum = 1.0F}).find("warmup_momentum") != std::string::npos);
  CHECK(refusal({.warmup_momentum = nan}).find("warmup_momentum") != std::string::npos);
  // Fields that the kind does not read are not looked at.
  CHECK(refusal({.kind = Kind::kConstant, .step_gamma = nan, .final_factor = nan}) == "accepted");
}

TEST_CASE("schedule: power squares its way up", "[unit]") {
  CHECK(power(0.0, 0) == 1.0);
  CHECK(power(0.0, 5) == 0.0);
  CHECK(power(2.0, 10) == 1024.0);
  CHECK(power(-0.5, 3) == -0.125);
  CHECK(power(0.9, 1'000'000) == Approx(0.0).margin(1e-300));
  for (std::uint64_t exponent = 0; exponent < 200; ++exponent) {
    REQUIRE(power(0.999, exponent) ==
            Approx(std::pow(0.999, static_cast<double>(exponent))).epsilon(1e-13));
  }
}

}  // namespace
}  // namespace ps::optim
