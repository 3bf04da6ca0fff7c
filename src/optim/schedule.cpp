#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include <ps/error.h>

namespace ps::optim {
namespace {

void require(bool holds, const std::string& text) {
  if (!holds) throw Error(ErrorCode::kInvalidArgument, "schedule." + text);
}

std::string got(double value) {
  return ", got " + std::to_string(value);
}

// Part of the warm-up that is over.
double warmed(const Schedule& schedule, std::uint64_t samples) {
  return static_cast<double>(samples) / static_cast<double>(schedule.warmup_samples);
}

// The factor without a warm-up's ramp; 1 until the decay begins.
double decay(const Schedule& schedule, std::uint64_t samples) {
  if (schedule.kind == Schedule::Kind::kConstant) return 1.0;
  const std::uint64_t into_epoch =
      schedule.epoch_samples > 0 ? samples % schedule.epoch_samples : 0;
  const std::uint64_t at = samples - into_epoch;
  const std::uint64_t begin = schedule.decay_from_start ? 0 : schedule.warmup_samples;
  const std::uint64_t gone = at - std::min(at, begin);
  if (schedule.kind == Schedule::Kind::kStep) {
    return power(schedule.step_gamma, gone / schedule.step_samples);
  }
  const double end = schedule.final_factor;
  if (at >= schedule.total_samples) return end;
  const double progress =
      static_cast<double>(gone) / static_cast<double>(schedule.total_samples - begin);
  const double left = schedule.kind == Schedule::Kind::kLinear
                          ? 1.0 - progress
                          : 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  return end + (1.0 - end) * left;
}

}  // namespace

void check(const Schedule& schedule) {
  require(schedule.warmup_start >= 0 && schedule.warmup_start <= 1,
          "warmup_start must lie in [0, 1]" + got(schedule.warmup_start));
  require(schedule.warmup_power >= 1 && schedule.warmup_power <= 64,
          "warmup_power must lie in 1 to 64" + got(schedule.warmup_power));
  require(schedule.warmup_momentum < 1,
          "warmup_momentum must be < 1 (negative: none)" + got(schedule.warmup_momentum));
  switch (schedule.kind) {
    case Schedule::Kind::kConstant:
      return;
    case Schedule::Kind::kStep:
      require(schedule.step_samples > 0, "step_samples must be > 0 for the kind step");
      require(schedule.step_gamma > 0 && schedule.step_gamma <= 1,
              "step_gamma must lie in (0, 1]" + got(schedule.step_gamma));
      return;
    case Schedule::Kind::kLinear:
    case Schedule::Kind::kCosine:
      require(schedule.total_samples > schedule.warmup_samples,
              "total_samples must be > warmup_samples (" + std::to_string(schedule.warmup_samples) +
                  ") for the kinds linear and cosine, got " +
                  std::to_string(schedule.total_samples));
      require(schedule.final_factor >= 0 && std::isfinite(schedule.final_factor),
              "final_factor must be a finite number >= 0" + got(schedule.final_factor));
      return;
  }
  require(false, "kind must be constant, step, linear or cosine");
}

double factor(const Schedule& schedule, std::uint64_t samples, double warmup_start) {
  if (samples >= schedule.warmup_samples) return decay(schedule, samples);
  const double target = schedule.decay_from_start ? decay(schedule, samples) : 1.0;
  return warmup_start +
         (target - warmup_start) * power(warmed(schedule, samples), schedule.warmup_power);
}

float momentum(const Schedule& schedule, float of_rule, std::uint64_t samples) {
  if (schedule.warmup_momentum < 0 || of_rule <= 0) return of_rule;
  if (samples >= schedule.warmup_samples) return of_rule;
  const double start = schedule.warmup_momentum;
  return static_cast<float>(start + (of_rule - start) * warmed(schedule, samples));
}

double power(double base, std::uint64_t exponent) {
  double result = 1.0;
  for (; exponent != 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result *= base;
    base *= base;
  }
  return result;
}

}  // namespace ps::optim
