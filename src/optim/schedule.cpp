#include "optim/schedule.h"

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

}  // namespace

void check(const Schedule& schedule) {
  require(schedule.warmup_start >= 0 && schedule.warmup_start <= 1,
          "warmup_start must lie in [0, 1]" + got(schedule.warmup_start));
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

double factor(const Schedule& schedule, std::uint64_t samples) {
  if (samples < schedule.warmup_samples) {
    const double start = schedule.warmup_start;
    return start + (1.0 - start) * (static_cast<double>(samples) /
                                    static_cast<double>(schedule.warmup_samples));
  }
  const std::uint64_t after_warmup = samples - schedule.warmup_samples;
  if (schedule.kind == Schedule::Kind::kConstant) return 1.0;
  if (schedule.kind == Schedule::Kind::kStep) {
    return power(schedule.step_gamma, after_warmup / schedule.step_samples);
  }
  const double end = schedule.final_factor;
  if (samples >= schedule.total_samples) return end;
  const double progress = static_cast<double>(after_warmup) /
                          static_cast<double>(schedule.total_samples - schedule.warmup_samples);
  const double left = schedule.kind == Schedule::Kind::kLinear
                          ? 1.0 - progress
                          : 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  return end + (1.0 - end) * left;
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
