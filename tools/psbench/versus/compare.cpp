#include "compare.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>

#include <ps/error.h>
#include <ps/session.h>

#include "data.h"
#include "straggler.h"
#include "timeline.h"
#include "train.h"

namespace psbench {
namespace {

constexpr std::uint64_t kTuningSeed = 1000;
constexpr double kEvaluateSteps = 5.0;  // an evaluation every so many undisturbed steps
constexpr double kPatience = 1.2;       // a trial may take so much longer than the best so far
constexpr std::uint64_t kTheorySteps = 4000;

nlohmann::json read_json(const std::filesystem::path& path) {
  std::ifstream in(path);
  return nlohmann::json::parse(in);
}

class Runs {
 public:
  explicit Runs(const VersusOptions& options) : o_(options) {
    write_images(images_.path() / "images", load_images(resolve_data(o_.data)));
  }

  [[nodiscard]] RunSpec spec(const Arm& arm,
                             const std::string& straggler,
                             const Trial& trial) const {
    const std::uint32_t factor = arm.large_batch ? o_.job.workers : 1;
    return {.arm = arm.key,
            .straggler = straggler,
            .lr = trial.lr,
            .momentum = trial.momentum,
            .workers = arm.alone ? 1 : o_.job.workers,
            .batch = o_.batch * factor,
            .step_seconds = 1e-3 * o_.step_ms * factor,
            .seconds = o_.seconds,
            .evaluate_seconds = kEvaluateSteps * 1e-3 * o_.step_ms,
            .target = o_.target,
            .network = o_.network,
            .data = images_.path() / "images"};
  }

  RunResult run(const RunSpec& spec) const {
    const TemporaryFolder folder;
    std::ofstream(folder.path() / "spec") << nlohmann::json(spec);
    Job job = o_.job;
    job.workers = spec.workers;
    if (run_job(job, {"sync-vs-async", "--run", folder.path()}) != 0) {
      throw std::runtime_error("a run of " + spec.arm + " failed");
    }
    std::vector<WorkerLog> logs;
    for (std::uint32_t rank = 0; rank < spec.workers; ++rank) {
      logs.push_back(read_json(folder.path() / std::to_string(rank)));
    }
    return merge(spec, logs);
  }

 private:
  const VersusOptions& o_;
  TemporaryFolder images_;
};

// Whether the first is the better one: sooner at the target, else nearer to it.
bool beats(const RunResult& a, const RunResult& b) {
  if (a.reached != b.reached) return a.reached;
  return a.reached ? a.seconds_to_target < b.seconds_to_target : a.best_accuracy > b.best_accuracy;
}

Tuning tune(const Runs& runs, const Arm& arm, const VersusOptions& o) {
  Tuning tuning{.arm = arm.key, .tried = {}, .best = {}};
  const RunResult* best = nullptr;
  const std::vector<Trial> wanted = trials(o.trials);
  tuning.tried.reserve(wanted.size());
  for (const Trial& trial : wanted) {
    RunSpec spec = runs.spec(arm, "none", trial);
    spec.seed = kTuningSeed;
    if (best != nullptr && best->reached) {
      spec.seconds = std::min(spec.seconds, kPatience * best->seconds_to_target);
    }
    tuning.tried.push_back({trial, runs.run(spec)});
    const RunResult& result = tuning.tried.back().run;
    if (best == nullptr || beats(result, *best)) {
      best = &result;
      tuning.best = trial;
    }
  }
  std::fprintf(stderr, "%s: lr %g, momentum %g\n", arm.name.c_str(), tuning.best.lr,
               tuning.best.momentum);
  return tuning;
}

double theory(const Arm& arm, const RunSpec& spec) {
  const Straggler straggler(spec.straggler, spec.workers, 1);
  const auto durations = [&](std::uint32_t rank, std::uint64_t step) {
    return spec.step_seconds * straggler.duration(rank, step);
  };
  return spec.batch * steps_per_time(arm.mode, spec.workers, durations, kTheorySteps);
}

void announce(const RunResult& run) {
  std::fprintf(stderr, "%-12s %-10s seed %llu: %6.0f samples/s, %s %.0f samples, %.2f s\n",
               run.spec.straggler.c_str(), run.spec.arm.c_str(),
               static_cast<unsigned long long>(run.spec.seed), run.samples_per_second,
               run.reached ? "reached by" : "NOT reached by", run.samples_to_target,
               run.seconds_to_target);
}

void save(const Comparison& comparison, const std::string& path) {
  if (path.empty()) return;
  std::ofstream file(path);
  file << nlohmann::json(comparison);
  if (!file.flush()) throw ps::Error(ps::ErrorCode::kIo, "cannot write " + path);
}

template <class Value>
std::vector<double> collect(const std::vector<RunResult>& runs, bool all, Value value) {
  std::vector<double> values;
  for (const RunResult& run : runs) {
    if (all || run.reached) values.push_back(value(run));
  }
  return values;
}

}  // namespace

std::vector<double> Cell::rates() const {
  return collect(runs, true, [](const RunResult& run) { return run.samples_per_second; });
}
std::vector<double> Cell::samples() const {
  return collect(runs, false, [](const RunResult& run) { return run.samples_to_target; });
}
std::vector<double> Cell::seconds() const {
  return collect(runs, false, [](const RunResult& run) { return run.seconds_to_target; });
}

const Cell* Comparison::find(const std::string& arm, const std::string& straggler) const {
  const auto found = std::ranges::find_if(
      cells, [&](const Cell& cell) { return cell.arm == arm && cell.straggler == straggler; });
  return found == cells.end() ? nullptr : &*found;
}

Comparison compare(const VersusOptions& o) {
  if (!o.draw.empty()) return read_json(o.draw);
  const Runs runs(o);
  Comparison result;
  for (const std::string& key : o.arms) result.tunings.push_back(tune(runs, arm_of(key), o));
  for (const std::string& straggler : o.stragglers) {
    for (const Tuning& tuning : result.tunings) {
      const Arm& arm = arm_of(tuning.arm);
      const RunSpec spec = runs.spec(arm, straggler, tuning.best);
      result.cells.push_back(
          {.arm = arm.key, .straggler = straggler, .theory = theory(arm, spec), .runs = {}});
    }
  }
  // Seeds outside: whatever else the machine does meets all arms alike.
  for (std::uint64_t seed = 1; seed <= o.seeds; ++seed) {
    for (Cell& cell : result.cells) {
      const auto tuning = std::ranges::find(result.tunings, cell.arm, &Tuning::arm);
      RunSpec spec = runs.spec(arm_of(cell.arm), cell.straggler, tuning->best);
      spec.seed = seed;
      cell.runs.push_back(runs.run(spec));
      announce(cell.runs.back());
      save(result, o.save);
    }
  }
  return result;
}

void take_part_in_run(const std::string& folder) {
  const std::filesystem::path path = folder;
  const RunSpec spec = read_json(path / "spec");
  JobArguments arguments({"--job.seed=" + std::to_string(spec.seed)});
  ps::Session session = ps::Session::open(arguments.count(), arguments.values());
  const std::string own = path / std::to_string(session.rank());
  std::ofstream(own) << nlohmann::json(train(session, spec, path / "stop"));
}

}  // namespace psbench
