// One training run of sync-vs-async: what is asked of the processes of a job, and what they leave.
// Both are files of JSON, since the processes share nothing else.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace psbench {

struct RunSpec {
  std::string arm;
  std::string straggler;
  std::uint64_t seed = 1;
  float lr = 0.1F;
  float momentum = 0.0F;
  std::uint32_t workers = 1;
  std::uint32_t batch = 32;   // samples a step of each worker
  double step_seconds = 0.0;  // of emulated computing, before it straggles
  double seconds = 0.0;       // the run's end if it has not reached the target
  double evaluate_seconds = 0.0;
  double target = 0.0;  // held-out accuracy
  std::string network;
  std::string data;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RunSpec,
                                   arm,
                                   straggler,
                                   seed,
                                   lr,
                                   momentum,
                                   workers,
                                   batch,
                                   step_seconds,
                                   seconds,
                                   evaluate_seconds,
                                   target,
                                   network,
                                   data)

// The weights as they were at one moment, scored on held-out samples.
struct Point {
  double seconds = 0.0;  // since the run began
  double samples = 0.0;  // by all workers until then
  double loss = 0.0;
  double accuracy = 0.0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Point, seconds, samples, loss, accuracy)

// What one worker notes; rank 0's has the points as well. Times are of the host's one clock.
struct WorkerLog {
  double begin = 0.0;
  double end = 0.0;
  std::vector<double> done;              // when each step ended
  std::vector<std::uint64_t> staleness;  // of each step
  std::uint64_t late = 0;                // steps that a round did not wait for
  std::uint64_t overruns = 0;            // steps whose real computing took longer than emulated
  double cpu_seconds = 0.0;
  double peak_mib = 0.0;
  std::vector<Point> points;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(
    WorkerLog, begin, end, done, staleness, late, overruns, cpu_seconds, peak_mib, points)

struct RunResult {
  RunSpec spec;
  bool reached = false;
  double seconds_to_target = 0.0;  // the whole run's where it did not
  double samples_to_target = 0.0;  // likewise
  double samples_per_second = 0.0;
  double best_accuracy = 0.0;
  double mean_staleness = 0.0;
  double overrun_share = 0.0;  // of steps; above a few percent the machine was too slow
  double late_share = 0.0;
  double cpu_seconds = 0.0;
  double peak_mib = 0.0;
  std::vector<std::uint64_t> staleness;  // how many steps had 0, 1, 2, ...
  std::vector<Point> points;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RunResult,
                                   spec,
                                   reached,
                                   seconds_to_target,
                                   samples_to_target,
                                   samples_per_second,
                                   best_accuracy,
                                   mean_staleness,
                                   overrun_share,
                                   late_share,
                                   cpu_seconds,
                                   peak_mib,
                                   staleness,
                                   points)

// All workers' logs, rank 0's first, in one.
RunResult merge(const RunSpec& spec, const std::vector<WorkerLog>& logs);

}  // namespace psbench
