// How a job of many workers would go, beside what theory says of it.
#include "scale.h"

#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/clock.h"
#include "closed_form.h"
#include "ops/progress.h"
#include "simulation.h"

namespace pssim {
namespace {

constexpr double kMs = 1e3;
constexpr double kMega = 1e-6;
constexpr double kGiga = 1e9;
constexpr double kPercent = 100.0;

struct ScaleOptions {
  Job job;
  std::string model = "yolov5n";
  std::string compute = "constant";
  std::string mode = "bsp";
  std::string link = "25G";
  std::string shard_link;  // as `link` if empty
  double compute_ms = 100.0;
  double latency_us = 10.0;
  double memory_gb = 10.0;
  bool json = false;
};

Job job_of(const ScaleOptions& o) {
  Job job = o.job;
  job.mode = parse_mode(o.mode);
  job.compute.shape = parse_compute(o.compute);
  job.compute.mean_seconds = o.compute_ms / kMs;
  job.worker_bytes_per_second = parse_link("--link", o.link);
  job.shard_bytes_per_second =
      o.shard_link.empty() ? job.worker_bytes_per_second : parse_link("--shard-link", o.shard_link);
  job.latency_seconds = kMega * o.latency_us;
  job.memory_bytes_per_second = kGiga * o.memory_gb;
  job.parameters = parse_model(o.model);
  return job;
}

// On standard error, once it has taken a second.
Outcome run_with_progress(Simulation& simulation) {
  const ps::MonotonicClock clock;
  ps::ops::Progress progress({.plain_interval = std::chrono::seconds(2)}, clock);
  const ps::TimePoint quiet_until = clock.now() + std::chrono::seconds(1);
  return simulation.run([&](double share) {
    if (clock.now() < quiet_until || !progress.due()) return;
    progress.update("pssim: " + std::to_string(static_cast<int>(kPercent * share)) +
                    " % of the steps");
  });
}

void print_use(const char* name, const Use& use) {
  std::printf("  %-34s %9.1f %%   busiest %.1f %%\n", name, kPercent * use.mean,
              kPercent * use.most);
}

void print_form(const char* name, double seconds) {
  std::printf("  %-56s %12.3f ms\n", name, kMs * seconds);
}

void print_outcome(const Job& job, const Layout& layout, const Outcome& out) {
  std::printf("%u workers, %u shards, %llu steps each: %.2f s of virtual time\n", job.workers,
              job.shards, static_cast<unsigned long long>(job.steps), out.seconds);
  std::printf(
      "a step pushes %.3f MB in %zu messages, and pulls as much; fullest shard %.2f times "
      "the mean\n",
      kMega * static_cast<double>(layout.total), layout.bytes.size(), layout.imbalance);
  std::printf("  %-34s %12.2f steps/s\n", "throughput", out.steps_per_second);
  std::printf("  %-34s %12.3f ms       p50 %.3f, p99 %.3f\n", "a worker's step",
              kMs * out.step_seconds, kMs * out.step_p50, kMs * out.step_p99);
  if (out.staleness.count() > 0) {
    std::printf("  %-34s %12.2f          at most %llu\n", "staleness, updates",
                out.staleness.mean(), static_cast<unsigned long long>(out.staleness.max()));
  }
  std::printf("  %-34s %12llu steps\n", "ahead of the slowest, at most",
              static_cast<unsigned long long>(out.widest_gap));
  print_use("workers compute", out.computing);
  print_use("shards' links in", out.shard_in);
  print_use("shards' links out", out.shard_out);
  print_use("shards update", out.shard_update);
  if (out.most_staged_bytes > 0) {
    std::printf("  %-34s %12.1f MB\n", "gradients that wait at one shard",
                kMega * static_cast<double>(out.most_staged_bytes));
  }
}

void print_forms(const Job& job, const ClosedForms& forms, const Outcome& out) {
  std::printf("closed forms of a step\n");
  print_form("computing, the workers' mean", forms.mean_computing);
  print_form("computing, the longest of a round, expected", forms.longest);
  print_form("bytes over a worker's link, one way", forms.worker_link);
  print_form("all workers' over the fullest shard's link, one way", forms.shard_link);
  print_form("updates of the fullest shard", forms.update);
  print_form("there and back, one worker alone", forms.alone);
  if (forms.pipelined_step > 0.0) {
    print_form("there and back, all at once, overlapping", forms.pipelined);
    print_form("the longest, then that", forms.pipelined_step);
    print_form("at most: the longest, then there, then back", forms.most_step);
  }
  print_form("at least", forms.least_step);
  std::printf("%.2f of at most %.2f steps/s: %.3f\n", out.steps_per_second,
              forms.most_steps_per_second(job),
              out.steps_per_second / forms.most_steps_per_second(job));
}

nlohmann::json to_json(const Use& use) {
  return {{"mean", use.mean}, {"busiest", use.most}};
}

nlohmann::json to_json(const Job& job, const ClosedForms& forms, const Outcome& out) {
  const double limit = forms.most_steps_per_second(job);
  nlohmann::json line{{"workers", job.workers},
                      {"shards", job.shards},
                      {"steps", job.steps},
                      {"mode", ps::mode_name(job.mode)},
                      {"seed", job.seed},
                      {"virtual_seconds", out.seconds},
                      {"events", out.events},
                      {"messages", out.messages},
                      {"throughput", out.steps_per_second},
                      {"unit", "steps/s"},
                      {"limit", limit},
                      {"ratio", out.steps_per_second / limit},
                      {"step_time", out.step_seconds},
                      {"step_p50", out.step_p50},
                      {"step_p99", out.step_p99},
                      {"staleness_mean", out.staleness.mean()},
                      {"staleness_max", out.staleness.max()},
                      {"widest_gap", out.widest_gap},
                      {"staged_bytes", out.most_staged_bytes}};
  line["utilisation"] = {{"workers", to_json(out.computing)},
                         {"shards_in", to_json(out.shard_in)},
                         {"shards_out", to_json(out.shard_out)},
                         {"shards_update", to_json(out.shard_update)}};
  line["closed_form"] = {{"mean_computing", forms.mean_computing},
                         {"longest_computing", forms.longest},
                         {"worker_link", forms.worker_link},
                         {"shard_link", forms.shard_link},
                         {"update", forms.update},
                         {"alone", forms.alone},
                         {"least_step", forms.least_step}};
  if (forms.pipelined_step > 0.0) {
    line["closed_form"]["pipelined"] = forms.pipelined;
    line["closed_form"]["pipelined_step"] = forms.pipelined_step;
    line["closed_form"]["most_step"] = forms.most_step;
    line["step_over_pipelined"] = out.step_seconds / forms.pipelined_step;
  }
  return line;
}

int run(const ScaleOptions& o) {
  Simulation simulation(job_of(o));
  const std::clock_t start = std::clock();
  const Outcome outcome = run_with_progress(simulation);
  // Of this core: what other programs take of it does not count.
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  const double rate = static_cast<double>(outcome.events) / seconds;
  const ClosedForms forms = closed_forms(simulation.job(), simulation.layout());
  print_outcome(simulation.job(), simulation.layout(), outcome);
  print_forms(simulation.job(), forms, outcome);
  std::printf("%llu events, of which %llu messages, in %.2f s of one core: %.2f million events/s\n",
              static_cast<unsigned long long>(outcome.events),
              static_cast<unsigned long long>(outcome.messages), seconds, kMega * rate);
  if (o.json) {
    nlohmann::json line = to_json(simulation.job(), forms, outcome);
    line["cpu_seconds"] = seconds;
    line["events_per_second"] = rate;
    std::printf("%s\n", line.dump().c_str());
  }
  return 0;
}

void declare_machine(CLI::App& command, ScaleOptions& o) {
  command
      .add_option("--compute", o.compute,
                  "A step's computing: constant, exponential or lognormal:SIGMA, each step anew")
      ->capture_default_str();
  command.add_option("--compute-ms", o.compute_ms, "Its mean")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();
  command
      .add_option("--straggler", o.job.compute.straggler,
                  "The last worker takes so many times as long, always")
      ->check(CLI::Range(1e-3, 1e6))
      ->capture_default_str();
  command.add_option("--link", o.link, "Bits a second of every card, each way: 25G, 100M")
      ->capture_default_str();
  command.add_option("--shard-link", o.shard_link, "Of the shards' (default: as --link)");
  command.add_option("--latency-us", o.latency_us, "One way, of a message's first byte")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();
  command
      .add_option("--memory", o.memory_gb,
                  "GB/s that a shard's update reads and writes: 4 N + 16 bytes an element, as of "
                  "SGD with momentum")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

}  // namespace

Command scale_command(CLI::App& app) {
  auto o = std::make_shared<ScaleOptions>();
  CLI::App* command = app.add_subcommand("scale",
                                         "Throughput, step time, staleness and utilisation of a "
                                         "job of many workers, beside the closed "
                                         "forms");
  command->add_option("--workers", o->job.workers, "Workers")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command->add_option("--shards", o->job.shards, "Shards, each on a node of its own")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command
      ->add_option("--steps", o->job.steps,
                   "Of each worker, on average; the first tenth is not measured")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command
      ->add_option("--model", o->model,
                   "A detector's name or file, or the bytes of one array such as 64MiB")
      ->capture_default_str();
  command
      ->add_option("--mode", o->mode,
                   "bsp: a step waits for all; asp: for nobody; ssp:S: at most S steps ahead")
      ->capture_default_str();
  declare_machine(*command, *o);
  command->add_option("--seed", o->job.seed, "Of the computing times")->capture_default_str();
  command->add_flag("--json", o->json,
                    "A last line of JSON: throughput (steps/s), limit and ratio, step_time "
                    "(seconds), events_per_second, and what is behind them");
  return {command, [o] { return run(*o); }};
}

}  // namespace pssim
