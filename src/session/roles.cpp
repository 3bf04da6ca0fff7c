#include "session/roles.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>
#include <random>
#include <sys/random.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <ps/error.h>

#include "base/trace.h"
#include "cluster/loop.h"
#include "ops/lifeline.h"
#include "server/shard.h"

namespace ps {
namespace {

std::uint32_t shard_count(const ops::Config& config) {
  return static_cast<std::uint32_t>(config.cluster.servers * config.cluster.shards);
}

void report(const ops::Config& config, const std::string& endpoint) {
  const int fd = config.cluster.report_fd;
  if (fd < 0) return;
  const std::string line = endpoint + "\n";
  if (::write(fd, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    throw Error(ErrorCode::kUnavailable, "cannot report the endpoint on descriptor " +
                                             std::to_string(fd) + " (cluster.report_fd)");
  }
  ::close(fd);
}

}  // namespace

cluster::Timing timing_of(const ops::Config& config, bool one_process) {
  const ops::Timing given = ops::timing(config.cluster);
  cluster::Timing timing;
  timing.heartbeat = given.heartbeat;
  timing.suspect = given.suspect;
  timing.lease = given.lease;
  timing.retry = given.retry;
  timing.retry_cap = given.retry_cap;
  timing.deadline = given.deadline;
  if (one_process && !config.is_set("cluster.lease_ms")) {
    timing.suspect = timing.lease = std::chrono::seconds(60);
    timing.deadline = std::chrono::seconds(120);
  }
  return timing;
}

wire::JobId job_id_of(const ops::Config& config) {
  wire::JobId id{};
  const std::string& hex = config.cluster.job_id;
  const auto half = [&](std::size_t at) {
    std::uint64_t value = 0;
    if (at < hex.size())
      std::from_chars(hex.data() + at, hex.data() + std::min(hex.size(), at + 16), value, 16);
    return value;
  };
  id = {half(0), half(16)};
  return id;
}

std::uint64_t make_nonce() {
  std::uint64_t nonce = 0;
  if (::getrandom(&nonce, sizeof nonce, 0) != sizeof nonce) {
    throw Error(ErrorCode::kUnavailable,
                "the operating system gives no random numbers (getrandom)");
  }
  return nonce;
}

cluster::Agent::Options agent_options(const ops::Config& config,
                                      wire::Sender self,
                                      bool one_process) {
  return {.job = job_id_of(config),
          .self = self,
          .nonce = make_nonce(),
          .scheduler = config.cluster.scheduler,
          .own_endpoint = {},
          .timing = timing_of(config, one_process)};
}

std::string run_scheduler(const ops::Config& config,
                          const Fabric& fabric,
                          bool one_process,
                          const OnBound& on_bound,
                          const std::stop_token& stop) {
  cluster::Scheduler scheduler({.job = job_id_of(config),
                                .workers = static_cast<std::uint32_t>(config.cluster.workers),
                                .shards = shard_count(config),
                                .on_failure = cluster::OnFailure::kStop,
                                .timing = timing_of(config, one_process)});
  trace::name_thread("scheduler");
  cluster::Loop loop(Log("scheduler", config.job.log_level));
  loop.run(
      stop, [&] { return fabric.make_transport(); },
      [&](net::Transport& transport) -> cluster::Core& {
        const std::string& wanted = config.cluster.scheduler;
        on_bound(transport.bind(wanted.empty() ? fabric.endpoint("scheduler") : wanted));
        return scheduler;
      });
  return scheduler.failure();
}

std::string run_shard(const ops::Config& config,
                      const Fabric& fabric,
                      bool one_process,
                      std::uint32_t shard,
                      const std::stop_token& stop) {
  std::optional<server::Shard> core;
  trace::name_thread("shard " + std::to_string(shard));
  cluster::Loop loop(Log("shard " + std::to_string(shard), config.job.log_level));
  loop.run(
      stop, [&] { return fabric.make_transport(); },
      [&](net::Transport& transport) -> cluster::Core& {
        server::Shard::Options options;
        options.allocate = fabric.memory();
        options.agent = agent_options(config, {wire::Role::kServer, shard}, one_process);
        options.agent.own_endpoint =
            transport.bind(fabric.endpoint("shard-" + std::to_string(shard)));
        return core.emplace(std::move(options));
      });
  const auto& failure = core->agent().failure();
  return failure ? failure->text : std::string();
}

namespace {

std::string serve_shards(const ops::Config& config, const Fabric& fabric) {
  const auto loops = static_cast<std::uint32_t>(config.cluster.shards);
  const auto first = static_cast<std::uint32_t>(config.cluster.index) * loops;
  std::vector<std::string> failures(loops);
  std::vector<std::jthread> threads;
  for (std::uint32_t i = 0; i < loops; ++i) {
    threads.emplace_back([&, i](const std::stop_token& stop) {
      try {
        failures[i] = run_shard(config, fabric, false, first + i, stop);
      } catch (const Error& error) {
        failures[i] = error.what();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const auto failed =
      std::ranges::find_if(failures, [](const std::string& text) { return !text.empty(); });
  return failed == failures.end() ? std::string() : *failed;
}

}  // namespace

// Whoever starts first begins the file: psrun starts the scheduler before all others.
void trace_process(const ops::Config& config, const std::string& name, int order) {
  if (config.observe.trace.empty()) return;
  const bool first = config.cluster.role == ops::ProcessRole::kScheduler ||
                     config.cluster.role == ops::ProcessRole::kAlone;
  trace::start(config.observe.trace, name, order,
               first ? trace::Begin::kFile : trace::Begin::kProcess);
}

int serve(const ops::Config& config) {
  const bool is_scheduler = config.cluster.role == ops::ProcessRole::kScheduler;
  const std::string name =
      is_scheduler ? "scheduler" : "server " + std::to_string(config.cluster.index);
  try {
    trace_process(config, name, is_scheduler ? 0 : 1 + static_cast<int>(config.cluster.index));
    std::optional<ops::Lifeline> lifeline;
    if (config.cluster.lifeline_fd >= 0) lifeline.emplace(config.cluster.lifeline_fd, name);
    const Fabric fabric(config.transport, false);
    const auto bound = [&](const std::string& endpoint) { report(config, endpoint); };
    const std::string failure = is_scheduler ? run_scheduler(config, fabric, false, bound, {})
                                             : serve_shards(config, fabric);
    return failure.empty() ? 0 : 1;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s: %s\n", name.c_str(), to_string(error.code()), error.what());
    return error.code() == ErrorCode::kInvalidArgument ? 2 : 1;
  }
}

}  // namespace ps
