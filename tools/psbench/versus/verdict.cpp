#include "verdict.h"

#include <array>
#include <cstdio>

#include "statistics.h"

namespace psbench {
namespace {

template <class... Values>
std::string format(const char* pattern, Values... values) {
  std::array<char, 512> text{};
  std::snprintf(text.data(), text.size(), pattern, values...);
  return text.data();
}

}  // namespace

std::string verdict(const Measured& sync, const Measured& async, std::uint64_t seed) {
  const double sync_rate = median_of(sync.rates);
  const double rate = sync_rate > 0.0 ? median_of(async.rates) / sync_rate : 0.0;
  const std::string faster = format("%s makes %.2f times the gradients of %s a second",
                                    async.name.c_str(), rate, sync.name.c_str());
  for (const Measured* arm : {&sync, &async}) {
    if (arm->seconds.empty()) {
      return "undecided: no run of " + arm->name + " reached the target; " + faster;
    }
  }
  const double more = median_of(async.samples) / median_of(sync.samples);
  const double times = median_of(sync.seconds) / median_of(async.seconds);
  const Interval interval = bootstrap_ratio(sync.seconds, async.seconds, seed);
  const std::string numbers = format(
      "%s and needs %.2f times the samples: %.2f times the speed to the target (95 %%: %.2f to "
      "%.2f)",
      faster.c_str(), more, times, interval.low, interval.high);
  if (interval.low > 1.0) return async.name + " wins here because " + numbers;
  if (interval.high >= 1.0) {
    return "neither wins here: " + numbers + ", which is within what runs differ by";
  }
  return async.name + " does not win here: " + numbers +
         (more > rate && rate > 1.0 ? "; staleness costs more than waiting" : "");
}

std::string noise_verdict(double samples_small,
                          double samples_large,
                          std::uint32_t workers,
                          std::uint32_t batch) {
  if (samples_small <= 0.0 || samples_large <= 0.0) return {};
  const double ratio = samples_large / samples_small;
  const double n = workers;
  const std::string measured =
      format("one worker needs %.2f times the samples with a batch of %u than with one of %u",
             ratio, workers * batch, batch);
  if (ratio <= 1.0) {
    return "Noise dominates: " + measured +
           ", so gradients are worth the same however many are averaged, and more workers help";
  }
  if (ratio >= n) {
    return "Signal dominates: " + measured +
           ", so further gradients at the same weights are worth nothing, and async does not win "
           "by their number";
  }
  const double scale = batch * (n - ratio) / (ratio - 1.0);
  return (scale < n * batch ? "Signal dominates: " : "Noise dominates: ") + measured +
         format(", a noise scale of %.0f samples beside the %.0f of a round: ", scale, n * batch) +
         (scale < n * batch ? "more gradients help little, and async does not win by their number"
                            : "more workers help");
}

}  // namespace psbench
