#include "timeline.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <variant>

namespace psbench {
namespace {

constexpr std::uint64_t kFree = std::numeric_limits<std::uint64_t>::max();

// When each worker begins and ends each step, if it may begin step c once all have completed
// c - slack steps (SSP), and if all meet after every `round` steps.
struct Rules {
  std::uint64_t slack = kFree;
  std::uint64_t round = kFree;
};

struct Times {
  std::vector<std::vector<double>> begin;  // [steps][workers]
  std::vector<std::vector<double>> end;
};

Times follow(const Rules& rules,
             std::uint32_t workers,
             const Durations& durations,
             std::uint64_t steps) {
  Times times;
  std::vector<double> free(workers);  // when each worker could go on
  for (std::uint64_t step = 0; step < steps; ++step) {
    double gate = 0.0;
    if (rules.slack != kFree && step > rules.slack) {
      gate = *std::ranges::max_element(times.end[step - rules.slack - 1]);
    }
    if (step > 0 && step % rules.round == 0) gate = *std::ranges::max_element(free);
    for (double& time : free) time = std::max(time, gate);
    times.begin.push_back(free);
    for (std::uint32_t rank = 0; rank < workers; ++rank) free[rank] += durations(rank, step);
    times.end.push_back(free);
  }
  return times;
}

// Until the first worker has done all its steps: later ones would have nobody to wait for.
double rate(const Times& times, bool free) {
  const double end = free ? *std::ranges::min_element(times.end.back())
                          : *std::ranges::max_element(times.end.back());
  double steps = 0.0;
  for (const auto& row : times.end) {
    steps += static_cast<double>(std::ranges::count_if(row, [&](double t) { return t <= end; }));
  }
  return end > 0.0 ? steps / end : 0.0;
}

// A worker whose gradient comes for a round that has been committed begins anew at once.
double backup_rate(std::uint32_t workers,
                   std::uint32_t needed,
                   const Durations& durations,
                   std::uint64_t rounds) {
  constexpr double kWaits = std::numeric_limits<double>::infinity();
  std::vector<double> busy_until(workers);
  std::vector<std::uint64_t> version(workers);
  std::vector<std::uint64_t> made(workers);
  std::uint64_t steps = 0;
  std::uint32_t in = 0;
  double time = 0.0;
  const auto begin = [&](std::size_t rank, std::uint64_t of) {
    version[rank] = of;
    busy_until[rank] = time + durations(static_cast<std::uint32_t>(rank), made[rank]++);
  };
  for (std::size_t rank = 0; rank < workers; ++rank) begin(rank, 0);
  for (std::uint64_t round = 0; round < rounds;) {
    const auto next = std::ranges::min_element(busy_until) - busy_until.begin();
    const auto rank = static_cast<std::size_t>(next);
    time = busy_until[rank];
    ++steps;
    if (version[rank] != round) {
      begin(rank, round);
      continue;
    }
    busy_until[rank] = kWaits;
    if (++in < needed) continue;
    in = 0;
    ++round;
    for (std::size_t each = 0; each < workers; ++each) {
      if (busy_until[each] == kWaits) begin(each, round);
    }
  }
  return time > 0.0 ? static_cast<double>(steps) / time : 0.0;
}

}  // namespace

double steps_per_time(const ps::Consistency& mode,
                      std::uint32_t workers,
                      const Durations& durations,
                      std::uint64_t steps) {
  Rules rules;
  if (const auto* sync = std::get_if<ps::Sync>(&mode)) {
    if (sync->backup_workers > 0) {
      return backup_rate(workers, workers - sync->backup_workers, durations, steps);
    }
    rules.round = 1;
  }
  if (const auto* ssp = std::get_if<ps::Ssp>(&mode)) rules.slack = ssp->staleness;
  if (const auto* local = std::get_if<ps::LocalSgd>(&mode)) rules.round = local->steps;
  const bool free = rules.slack == kFree && rules.round == kFree;
  return rate(follow(rules, workers, durations, steps), free);
}

std::vector<double> ssp_starts(std::uint64_t staleness,
                               std::uint32_t workers,
                               const Durations& durations,
                               std::uint64_t steps,
                               std::uint32_t rank) {
  std::vector<double> starts;
  const Times times = follow({.slack = staleness}, workers, durations, steps);
  for (const auto& row : times.begin) starts.push_back(row[rank]);
  return starts;
}

}  // namespace psbench
