// The learning rate's course over the samples consumed (Schedule in <ps/options.h>). Pure.
#pragma once

#include <cstdint>

#include <ps/options.h>

namespace ps::optim {

// Throws ps::Error(kInvalidArgument), naming the field, for a schedule that means nothing.
void check(const Schedule& schedule);

// The factor on lr after `samples` samples, of a group whose warm-up begins with warmup_start.
// REQUIRES: check(schedule) passes.
double factor(const Schedule& schedule, std::uint64_t samples, double warmup_start);
inline double factor(const Schedule& schedule, std::uint64_t samples) {
  return factor(schedule, samples, schedule.warmup_start);
}

// What the rule's momentum (or beta1) is after `samples` samples. REQUIRES: check(schedule) passes.
float momentum(const Schedule& schedule, float of_rule, std::uint64_t samples);

// base^exponent by repeated squaring: the same bits on every machine, which std::pow does not
// promise.
double power(double base, std::uint64_t exponent);

}  // namespace ps::optim
