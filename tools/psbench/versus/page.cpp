#include "page.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "statistics.h"
#include "straggler.h"
#include "svg.h"
#include "verdict.h"

namespace psbench {
namespace {

constexpr std::uint64_t kSeed = 1;  // of the bootstrap
constexpr std::array kColours{"#888888", "#222222", "#1f5fa8", "#7fb2e5", "#2a9d4a",
                              "#c0392b", "#e8833a", "#8e44ad", "#a08020", "#d0609a"};

template <class... Values>
std::string format(const char* pattern, Values... values) {
  std::array<char, 1024> text{};
  std::snprintf(text.data(), text.size(), pattern, values...);
  return text.data();
}

Measured measured(const Cell& cell) {
  return {arm_of(cell.arm).name, cell.rates(), cell.samples(), cell.seconds()};
}

std::vector<const Cell*> cells_of(const Comparison& comparison, const std::string& straggler) {
  std::vector<const Cell*> cells;
  for (const Cell& cell : comparison.cells) {
    if (cell.straggler == straggler && !cell.runs.empty()) cells.push_back(&cell);
  }
  return cells;
}

std::string colour_of(const std::string& arm) {
  const auto& arms = all_arms();
  const auto index = std::ranges::find(arms, arm, &Arm::key) - arms.begin();
  return kColours.at(static_cast<std::size_t>(index) % kColours.size());
}

std::string summary_row(const Cell& cell) {
  const std::vector<double> seconds = cell.seconds();
  const Interval interval = bootstrap_median(seconds, kSeed);
  std::string row =
      format("<tr><td>%s</td><td>%.0f</td><td>%.0f</td>", escaped(arm_of(cell.arm).name).c_str(),
             median_of(cell.rates()), cell.theory);
  if (seconds.empty()) return row + "<td colspan='4'>no run reached the target</td></tr>\n";
  return row + format("<td>%.0f</td><td>%.2f</td><td>%.2f to %.2f</td><td>%zu of %zu</td></tr>\n",
                      median_of(cell.samples()), median_of(seconds), interval.low, interval.high,
                      seconds.size(), cell.runs.size());
}

std::string summary_table(const std::vector<const Cell*>& cells) {
  std::string html =
      "<table><tr><th>arm</th><th>samples/s</th><th>theory</th><th>samples to "
      "target</th><th>seconds to target</th><th>95 % of the median</th><th>reached</th></tr>\n";
  for (const Cell* cell : cells) html += summary_row(*cell);
  return html + "</table>\n";
}

// Time = samples / rate, as if nobody waited for anybody, and the rest.
std::string time_bars(const std::vector<const Cell*>& cells) {
  BarPlot plot{.title = "Seconds to the target (medians)",
               .x = "seconds",
               .parts = {"samples at the rate that theory allows", "communication and the rest"},
               .mark = {},
               .bars = {}};
  for (const Cell* cell : cells) {
    const double seconds = median_of(cell->seconds());
    const double least = cell->theory > 0.0 ? median_of(cell->samples()) / cell->theory : 0.0;
    plot.bars.push_back({.name = arm_of(cell->arm).name,
                         .parts = {std::min(seconds, least), std::max(0.0, seconds - least)},
                         .mark = 0.0,
                         .note = seconds > 0.0 ? format("%.2f", seconds) : "not reached"});
  }
  return draw(plot);
}

std::string rate_bars(const std::vector<const Cell*>& cells) {
  BarPlot plot{.title = "Samples a second (medians)",
               .x = "samples a second, dropped ones included",
               .parts = {"measured"},
               .mark = "theory: the same durations, communication free",
               .bars = {}};
  for (const Cell* cell : cells) {
    const double rate = median_of(cell->rates());
    plot.bars.push_back({.name = arm_of(cell->arm).name,
                         .parts = {rate},
                         .mark = cell->theory,
                         .note = format("%.0f", rate)});
  }
  return draw(plot);
}

// Of each arm's first seed.
std::string loss_plot(const std::vector<const Cell*>& cells, bool by_time) {
  LinePlot plot{.title = by_time ? "Held-out loss against time" : "Held-out loss against samples",
                .x = by_time ? "seconds" : "samples, by all workers",
                .y = "loss",
                .top = 2.4,
                .lines = {}};
  for (const Cell* cell : cells) {
    Line line{.name = arm_of(cell->arm).name, .colour = colour_of(cell->arm), .points = {}};
    for (const Point& point : cell->runs.front().points) {
      line.points.emplace_back(by_time ? point.seconds : point.samples, point.loss);
    }
    plot.lines.push_back(std::move(line));
  }
  return draw(plot);
}

std::string staleness_plot(const std::vector<const Cell*>& cells) {
  LinePlot plot{.title = "Staleness of gradients", .x = "updates", .y = "share", .lines = {}};
  for (const Cell* cell : cells) {
    std::vector<double> counts;
    double all = 0.0;
    for (const RunResult& run : cell->runs) {
      counts.resize(std::max(counts.size(), run.staleness.size()));
      for (std::size_t i = 0; i < run.staleness.size(); ++i) {
        counts[i] += static_cast<double>(run.staleness[i]);
        all += static_cast<double>(run.staleness[i]);
      }
    }
    if (counts.size() < 2) continue;  // nobody was ever late
    Line line{.name = arm_of(cell->arm).name, .colour = colour_of(cell->arm), .points = {}};
    for (std::size_t i = 0; i < counts.size(); ++i) {
      line.points.emplace_back(static_cast<double>(i), counts[i] / all);
    }
    plot.lines.push_back(std::move(line));
  }
  return plot.lines.empty() ? std::string() : draw(plot);
}

std::string run_row(const RunResult& run) {
  return format(
      "<tr><td>%s</td><td>%s</td><td>%llu</td><td>%g</td><td>%g</td><td>%.0f</td><td>%.0f</td>"
      "<td>%.2f</td><td>%s</td><td>%.3f</td><td>%.2f</td><td>%.1f</td><td>%.1f</td><td>%.2f</td>"
      "<td>%.0f</td></tr>\n",
      run.spec.straggler.c_str(), escaped(arm_of(run.spec.arm).name).c_str(),
      static_cast<unsigned long long>(run.spec.seed), run.spec.lr, run.spec.momentum,
      run.samples_per_second, run.samples_to_target, run.seconds_to_target,
      run.reached ? "yes" : "no", run.best_accuracy, run.mean_staleness, 100.0 * run.late_share,
      100.0 * run.overrun_share, run.cpu_seconds, run.peak_mib);
}

std::string run_table(const std::vector<const RunResult*>& runs) {
  std::string html =
      "<table><tr><th>straggler</th><th>arm</th><th>seed</th><th>lr</th><th>momentum</th>"
      "<th>samples/s</th><th>samples</th><th>seconds</th><th>reached</th><th>best accuracy</th>"
      "<th>staleness</th><th>late %</th><th>overrun %</th><th>CPU s</th><th>peak MiB</th></tr>\n";
  for (const RunResult* run : runs) html += run_row(*run);
  return html + "</table>\n";
}

std::string preface(const VersusOptions& o) {
  return "<p>" +
         escaped(format(
             "%u workers, %u servers, over %s; the network %s, batches of %u samples, a step of "
             "%g ms; target: %g of 1000 held-out samples right. A step computes a real gradient "
             "and then waits until its drawn time is over. Weights are kept every 5 steps' time "
             "and scored beside the training. Each arm had %u trials of learning rate and "
             "momentum without stragglers, on a seed of its own, and keeps its best against all "
             "stragglers. Virtual time and limited links are not part of this.",
             o.job.workers, o.job.servers, o.job.transport.c_str(), o.network.c_str(), o.batch,
             o.step_ms, o.target, o.trials)) +
         "</p>\n";
}

constexpr const char* kHead =
    "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'><title>sync against async"
    "</title>\n<style>body{font-family:sans-serif;margin:2em auto;max-width:1300px}"
    "table{border-collapse:collapse;margin:1em 0;font-size:90%}th,td{padding:.2em "
    ".6em;border-bottom:1px solid #ddd;text-align:right}td:first-child,th:first-child"
    "{text-align:left}.verdict{background:#f2f6fb;padding:.6em}svg{margin:.4em}</style></head>"
    "<body>\n<h1>Sync against async: time to a held-out quality</h1>\n";

}  // namespace

std::vector<Finding> findings(const VersusOptions& options, const Comparison& comparison) {
  std::vector<Finding> found;
  for (const StragglerKind& kind : straggler_kinds()) {
    const Cell* sync = comparison.find("bsp", kind.name);
    const Cell* async = comparison.find("asp", kind.name);
    if (sync == nullptr || async == nullptr || sync->runs.empty() || async->runs.empty()) continue;
    found.push_back({kind.name, verdict(measured(*sync), measured(*async), kSeed)});
  }
  const Cell* small = comparison.find("one", "none");
  const Cell* large = comparison.find("one-large", "none");
  if (small != nullptr && large != nullptr) {
    const std::string text = noise_verdict(median_of(small->samples()), median_of(large->samples()),
                                           options.job.workers, options.batch);
    if (!text.empty()) found.push_back({"", text});
  }
  return found;
}

std::string page(const VersusOptions& options, const Comparison& comparison) {
  std::string html = kHead + preface(options);
  const std::vector<Finding> found = findings(options, comparison);
  for (const Finding& finding : found) {
    if (finding.straggler.empty())
      html += "<p class='verdict'>" + escaped(finding.text) + ".</p>\n";
  }
  std::vector<const RunResult*> runs;
  for (const StragglerKind& kind : straggler_kinds()) {
    const std::vector<const Cell*> cells = cells_of(comparison, kind.name);
    if (cells.empty()) continue;
    html += "<h2>Straggler: " + kind.name + " (" + escaped(kind.meaning) + ")</h2>\n";
    for (const Finding& finding : found) {
      if (finding.straggler == kind.name) {
        html += "<p class='verdict'>" + escaped(finding.text) + ".</p>\n";
      }
    }
    html += summary_table(cells) + time_bars(cells) + rate_bars(cells) + loss_plot(cells, true) +
            loss_plot(cells, false) + staleness_plot(cells);
    for (const Cell* cell : cells) {
      for (const RunResult& run : cell->runs) runs.push_back(&run);
    }
  }
  html += "<h2>Every run</h2>\n" + run_table(runs) +
          "<h2>Every trial</h2>\n<p>A trial ends when it has taken 1.2 times as long as the arm's "
          "best so far.</p>\n";
  std::vector<const RunResult*> tried;
  for (const Tuning& tuning : comparison.tunings) {
    for (const TrialResult& trial : tuning.tried) tried.push_back(&trial.run);
  }
  return html + run_table(tried) + "</body></html>\n";
}

}  // namespace psbench
