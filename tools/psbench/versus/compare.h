// The protocol of sync-vs-async: every arm is tuned with the same number of trials on a seed that
// is not reported, then runs with several seeds against every straggler.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "arms.h"
#include "psbench/launch.h"
#include "run.h"

namespace psbench {

struct VersusOptions {
  Job job{.workers = 4};
  double seconds = 20.0;  // of one run at most
  std::uint32_t seeds = 3;
  std::uint32_t trials = 12;
  double step_ms = 20.0;
  std::uint32_t batch = 32;
  double target = 0.80;
  std::string network = "mlp";
  std::string data = "/usr/share/datasets/fashion-mnist";
  std::vector<std::string> arms;
  std::vector<std::string> stragglers{"none", "exponential", "lognormal", "permanent", "burst"};
  std::string save;  // where everything measured goes after each run; nowhere if empty
  std::string draw;  // such a file, to report on instead of measuring
  std::string page;  // where the report goes; none if empty
  bool json = false;
  std::string run;  // in a process of a run: its folder
};

struct TrialResult {
  Trial trial;
  RunResult run;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TrialResult, trial, run)
struct Tuning {
  std::string arm;
  std::vector<TrialResult> tried;
  Trial best;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Tuning, arm, tried, best)

// One arm against one straggler.
struct Cell {
  std::string arm;
  std::string straggler;
  double theory = 0.0;  // samples a second, communication free
  std::vector<RunResult> runs;

  // Of the runs; those that did not reach the target are in none but `rates`.
  [[nodiscard]] std::vector<double> rates() const;
  [[nodiscard]] std::vector<double> samples() const;
  [[nodiscard]] std::vector<double> seconds() const;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Cell, arm, straggler, theory, runs)

struct Comparison {
  std::vector<Tuning> tunings;
  std::vector<Cell> cells;  // stragglers outside, arms inside

  // Null if it was not asked for.
  [[nodiscard]] const Cell* find(const std::string& arm, const std::string& straggler) const;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Comparison, tunings, cells)

// Says on standard error how far it is. Throws std::runtime_error if a run fails.
Comparison compare(const VersusOptions& options);

// In a process of a run: its part, whatever its role.
void take_part_in_run(const std::string& folder);

}  // namespace psbench
