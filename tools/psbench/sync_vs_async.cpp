// Which of sync and async training is sooner at a held-out quality, where workers straggle.
#include <cstdio>
#include <fstream>
#include <memory>
#include <stdexcept>

#include "commands.h"
#include "session/all_reduce.h"
#include "timing.h"
#include "versus/compare.h"
#include "versus/page.h"
#include "versus/statistics.h"
#include "versus/straggler.h"

namespace psbench {
namespace {

using nlohmann::json;

constexpr std::uint64_t kBootstrapSeed = 1;

json to_json(const Interval& interval) {
  return json::array({interval.low, interval.high});
}

json summary(const Cell& cell) {
  json line{{"arm", cell.arm},
            {"straggler", cell.straggler},
            {"theory_samples_per_s", cell.theory},
            {"samples_per_s", median_of(cell.rates())},
            {"samples_to_target", median_of(cell.samples())},
            {"seconds_to_target", median_of(cell.seconds())},
            {"seconds_to_target_95", to_json(bootstrap_median(cell.seconds(), kBootstrapSeed))},
            {"reached", cell.seconds().size()}};
  for (const RunResult& run : cell.runs) {
    line["runs"].push_back({{"seed", run.spec.seed},
                            {"lr", run.spec.lr},
                            {"momentum", run.spec.momentum},
                            {"reached", run.reached},
                            {"samples_per_s", run.samples_per_second},
                            {"samples", run.samples_to_target},
                            {"seconds", run.seconds_to_target},
                            {"best_accuracy", run.best_accuracy},
                            {"mean_staleness", run.mean_staleness},
                            {"staleness", run.staleness},
                            {"late_share", run.late_share},
                            {"overrun_share", run.overrun_share},
                            {"cpu_seconds", run.cpu_seconds},
                            {"peak_mib", run.peak_mib}});
  }
  return line;
}

int run(const VersusOptions& chosen) {
  if (!chosen.run.empty()) {
    take_part_in_run(chosen.run);
    return 0;
  }
  VersusOptions o = chosen;
  if (o.arms.empty()) {
    for (const Arm& arm : all_arms()) {
      if (arm.update == ps::Update::kAllReduce && !ps::AllReduce::available()) continue;
      o.arms.push_back(arm.key);
    }
  }
  const Comparison comparison = compare(o);
  json line{{"workers", o.job.workers}, {"servers", o.job.servers}, {"transport", o.job.transport},
            {"target", o.target},       {"step_ms", o.step_ms},     {"batch", o.batch},
            {"seeds", o.seeds}};
  for (const Cell& cell : comparison.cells) line["cells"].push_back(summary(cell));
  for (const Finding& finding : findings(o, comparison)) {
    std::printf("%s%s\n", finding.straggler.empty() ? "" : (finding.straggler + ": ").c_str(),
                finding.text.c_str());
    line["verdicts"].push_back({{"straggler", finding.straggler}, {"text", finding.text}});
  }
  for (const Tuning& tuning : comparison.tunings) {
    line["tuned"].push_back(
        {{"arm", tuning.arm}, {"best", tuning.best}, {"trials", tuning.tried.size()}});
  }
  if (!o.page.empty()) {
    std::ofstream file(o.page);
    file << page(o, comparison);
    if (!file.flush()) throw std::runtime_error("cannot write " + o.page);
  }
  // The score is of async where it should shine: the last straggler that was asked for.
  Score score{.unit = "samples/s"};
  const std::string& straggler = o.stragglers.back();
  if (const Cell* async = comparison.find("asp", straggler)) {
    score.goodput = median_of(async->rates());
    score.limit = async->theory;
    const Cell* sync = comparison.find("bsp", straggler);
    const double rate = sync == nullptr ? 0.0 : median_of(sync->rates());
    if (rate > 0.0) line["async_over_sync"] = score.goodput / rate;
    if (rate > 0.0) line["async_over_sync_theory"] = async->theory / sync->theory;
  }
  if (o.json) print_json(score, line);
  return 0;
}

}  // namespace

Command sync_vs_async_command(CLI::App& app) {
  auto o = std::make_shared<VersusOptions>();
  CLI::App* command = app.add_subcommand(
      "sync-vs-async",
      "Time to a held-out accuracy of sync, async and what lies between, where workers straggle");
  command->add_option("--seconds", o->seconds, "A run's end if it has not reached the target")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--workers", o->job.workers, "Workers")
      ->check(CLI::Range(2, 256))
      ->capture_default_str();
  command->add_option("--servers", o->job.servers, "Servers")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command->add_option("--transport", o->job.transport, "How messages travel")
      ->check(CLI::IsMember({"ipc", "tcp", "shm"}))
      ->capture_default_str();
  command->add_option("--seeds", o->seeds, "Runs of each arm against each straggler")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command->add_option("--trials", o->trials, "Of lr and momentum, for every arm alike")
      ->check(CLI::Range(1, 12))
      ->capture_default_str();
  command->add_option("--step-ms", o->step_ms, "Emulated computing of a step")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--batch", o->batch, "Samples a step of each worker")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--target", o->target, "Held-out accuracy")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--network", o->network, "mlp, or that of the example classify")
      ->check(CLI::IsMember({"mlp", "classify"}))
      ->capture_default_str();
  command
      ->add_option("--data", o->data,
                   "Fashion-MNIST's folder; where there is none, images are drawn")
      ->capture_default_str();
  std::vector<std::string> arms;
  for (const Arm& arm : all_arms()) arms.push_back(arm.key);
  command->add_option("--arms", o->arms, "Some of them; all if not given")
      ->delimiter(',')
      ->check(CLI::IsMember(arms));
  std::vector<std::string> stragglers;
  for (const StragglerKind& kind : straggler_kinds()) stragglers.push_back(kind.name);
  command->add_option("--stragglers", o->stragglers, "What delays workers")
      ->delimiter(',')
      ->check(CLI::IsMember(stragglers))
      ->capture_default_str();
  command->add_option("--save", o->save, "A file for all that is measured, written after each run");
  command->add_option("--draw", o->draw, "Such a file, to report on instead of measuring");
  command->add_option("--page", o->page, "Where to write the report, a page of HTML");
  command->add_flag("--json", o->json, "A last line of JSON: goodput, limit, ratio, every run");
  command->add_option("--run", o->run)->group("");  // psbench's own
  return {command, [o] { return run(*o); }};
}

}  // namespace psbench
