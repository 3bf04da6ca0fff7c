// A model's whole step over the processes of a real job, beside what the same bytes take without
// ps. psbench gives psrun itself as the job's program; over inproc the job is threads of psbench.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <ps/error.h>
#include <ps/local_cluster.h>

#include "launch.h"
#include "ops/config.h"
#include "pushpull_job.h"
#include "timing.h"

namespace psbench {
namespace {

// In a process that psrun started: its part of the job, whatever its role.
int take_part(const PushPullOptions& o) {
  JobArguments arguments;
  const ps::ops::Config config = arguments.config();
  std::optional<RawPeers> raw;
  if (config.cluster.role == ps::ops::ProcessRole::kWorker && config.cluster.index == 0) {
    raw.emplace(raw_sizes(o, config.transport.chunk_bytes));  // before there are threads
  }
  ps::Session session = ps::Session::open(arguments.count(), arguments.values());
  const nlohmann::json result = pushpull_worker(session, o, raw ? &*raw : nullptr);
  if (raw) std::ofstream(o.result) << result;
  return 0;
}

nlohmann::json run_processes(const PushPullOptions& o) {
  const TemporaryFolder folder;
  const std::string result = folder.path() / "result";
  const int code =
      run_job({.workers = o.workers, .servers = o.servers, .transport = o.transport},
              {"pushpull", "--result", result, "--bytes", std::to_string(o.size.bytes), "--seconds",
               std::to_string(o.size.seconds), "--workers", std::to_string(o.workers),
               o.all_reduce ? "--all-reduce=true" : "--all-reduce=false"});
  if (code != 0) throw std::runtime_error("the job failed");
  std::ifstream in(result);
  return nlohmann::json::parse(in);
}

nlohmann::json run_threads(const PushPullOptions& o) {
  RawPeers raw(raw_sizes(o, 0));
  nlohmann::json result;
  ps::LocalCluster::run(o.workers,
                        [&](ps::Session& session) {
                          const bool first = session.rank() == 0;
                          nlohmann::json mine = pushpull_worker(session, o, first ? &raw : nullptr);
                          if (first) result = std::move(mine);
                        },
                        {.servers = o.servers, .transport = o.transport});
  return result;
}

// In one memory: a copy of it. Otherwise the fastest of the raw ways that go where the transport
// goes.
std::string limit_of(const std::string& transport, const nlohmann::json& raw) {
  const auto rate = [&](const char* name) { return raw[name]["gb_per_s"].get<double>(); };
  if (transport == "inproc" || transport == "shm") return "memcpy";
  if (transport == "tcp") return rate("tcp") > rate("zmq_tcp") ? "tcp" : "zmq_tcp";
  return rate("unix") > rate("zmq_ipc") ? "unix" : "zmq_ipc";
}

void print_row(const std::string& name, const nlohmann::json& row) {
  std::printf("%-20s %8.2f %8.1f%% %11.1f %11.1f %11.1f %9d\n", name.c_str(),
              row["gb_per_s"].get<double>(), 100.0 * row["spread"].get<double>(),
              row["p50_us"].get<double>(), row["p90_us"].get<double>(), row["p99_us"].get<double>(),
              row["samples"].get<int>());
}

int run(const PushPullOptions& o) {
  if (!o.result.empty()) return take_part(o);
  if (o.all_reduce && (o.workers < 2 || o.transport == "inproc")) {
    throw ps::Error(ps::ErrorCode::kInvalidArgument,
                    "--all-reduce is among processes: expected --workers 2 or more, and another "
                    "--transport than inproc");
  }
  nlohmann::json result = o.transport == "inproc" ? run_threads(o) : run_processes(o);
  const nlohmann::json& raw = result["raw"];
  const std::string limit = limit_of(o.transport, raw);
  const Score score{.goodput = result["step"]["gb_per_s"], .limit = raw[limit]["gb_per_s"]};
  const RawSizes sizes = raw_sizes(o, 0);
  std::printf("%zu bytes in frames of %zu, %u workers, %u servers\n", sizes.bytes, sizes.frame,
              o.workers, o.servers);
  std::printf("%-20s %8s %9s %11s %11s %11s %9s\n", "", "GB/s", "spread", "p50 us", "p90 us",
              "p99 us", "samples");
  print_row("push_pull, " + o.transport, result["step"]);
  if (o.all_reduce) print_row("all-reduce, Gloo tcp", result["all_reduce"]);
  for (const auto& [name, row] : raw.items()) print_row("raw " + name, row);
  std::printf("%.2f of %s's %.2f GB/s: %.2f; %d steps, whose weights are right\n", score.goodput,
              limit.c_str(), score.limit, score.ratio(), result["steps"].get<int>());
  if (o.all_reduce) {
    const double others = result["all_reduce"]["gb_per_s"];
    result["over_all_reduce"] = score.goodput / others;
    std::printf("%.2f times all-reduce with the same update\n", score.goodput / others);
  }
  if (o.size.json) {
    result.update({{"transport", o.transport},
                   {"limit_is", limit},
                   {"bytes", sizes.bytes},
                   {"frame_bytes", sizes.frame},
                   {"workers", o.workers},
                   {"servers", o.servers}});
    print_json(score, result);
  }
  return 0;
}

}  // namespace

Command pushpull_command(CLI::App& app) {
  auto o = std::make_shared<PushPullOptions>();
  CLI::App* command = app.add_subcommand(
      "pushpull",
      "A model's whole step over a real job: bytes pushed and pulled a second by all workers, and "
      "how long a step takes, beside the same bytes there and back without ps");
  declare(*command, o->size, "Of the model");
  command->add_option("--workers", o->workers, "Workers")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command->add_option("--servers", o->servers, "Servers")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command
      ->add_option("--transport", o->transport,
                   "How messages travel: ipc, tcp or shm between processes; inproc within one")
      ->check(CLI::IsMember({"inproc", "ipc", "tcp", "shm"}))
      ->capture_default_str();
  command->add_flag("--all-reduce", o->all_reduce,
                    "Beside it, in turns: the same steps of the same workers, whose gradients "
                    "Gloo's ring reduces (consistency.mode = allreduce)");
  command->add_option("--result", o->result)->group("");  // psbench's own
  return {command, [o] { return run(*o); }};
}

}  // namespace psbench
