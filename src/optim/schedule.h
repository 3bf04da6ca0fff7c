// The learning rate's course over the samples consumed (Schedule in <ps/options.h>). Pure.
#pragma once

#include <cstdint>

#include <ps/options.h>

namespace ps::optim {

// Throws ps::Error(kInvalidArgument), naming the field, for a schedule that means nothing.
void check(const Schedule& schedule);

// The factor on lr after `samples` samples. REQUIRES: check(schedule) passes. During the warm-up
// the ramp alone counts; step, linear and cosine begin at its end, with 1.
double factor(const Schedule& schedule, std::uint64_t samples);

// base^exponent by repeated squaring: the same bits on every machine, which std::pow does not
// promise.
double power(double base, std::uint64_t exponent);

}  // namespace ps::optim
