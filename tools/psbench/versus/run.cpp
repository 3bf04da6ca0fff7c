#include "run.h"

#include <algorithm>
#include <cstddef>

namespace psbench {
namespace {

double steps_until(const std::vector<WorkerLog>& logs, double time) {
  std::ptrdiff_t steps = 0;
  for (const WorkerLog& log : logs) {
    steps += std::upper_bound(log.done.begin(), log.done.end(), time) - log.done.begin();
  }
  return static_cast<double>(steps);
}

constexpr std::size_t kHistogram = 64;  // the last counts what is above, too

}  // namespace

RunResult merge(const RunSpec& spec, const std::vector<WorkerLog>& logs) {
  const WorkerLog& first = logs.front();
  const auto samples_until = [&](double time) { return spec.batch * steps_until(logs, time); };
  RunResult result;
  result.spec = spec;
  result.points = first.points;
  const double seconds = first.end - first.begin;
  result.samples_per_second = seconds > 0.0 ? samples_until(first.end) / seconds : 0.0;
  result.seconds_to_target = seconds;
  result.samples_to_target = samples_until(first.end);
  for (Point& point : result.points) {
    point.samples = samples_until(first.begin + point.seconds);
    result.best_accuracy = std::max(result.best_accuracy, point.accuracy);
    if (!result.reached && point.accuracy >= spec.target) {
      result.reached = true;
      result.seconds_to_target = point.seconds;
      result.samples_to_target = point.samples;
    }
  }
  double steps = 0.0;
  for (const WorkerLog& log : logs) {
    for (const std::uint64_t tau : log.staleness) {
      const std::size_t bin = std::min<std::size_t>(tau, kHistogram - 1);
      if (result.staleness.size() <= bin) result.staleness.resize(bin + 1);
      ++result.staleness[bin];
      result.mean_staleness += static_cast<double>(tau);
    }
    steps += static_cast<double>(log.done.size());
    result.overrun_share += static_cast<double>(log.overruns);
    result.late_share += static_cast<double>(log.late);
    result.cpu_seconds += log.cpu_seconds;
    result.peak_mib = std::max(result.peak_mib, log.peak_mib);
  }
  for (double* mean : {&result.mean_staleness, &result.overrun_share, &result.late_share}) {
    *mean /= std::max(steps, 1.0);
  }
  return result;
}

}  // namespace psbench
