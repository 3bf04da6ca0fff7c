// The roles that a process or a thread can have besides a worker's.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "cluster/agent.h"
#include "cluster/scheduler.h"
#include "ops/config.h"
#include "session/fabric.h"

namespace ps {

// What a configuration says about the cluster, in the cores' words. In one process there is no
// liveness to watch: threads live and die together, and a starved machine must not look like a
// death.
cluster::Timing timing_of(const ops::Config& config, bool one_process);
wire::JobId job_id_of(const ops::Config& config);
cluster::Agent::Options agent_options(const ops::Config& config,
                                      wire::Sender self,
                                      bool one_process);
// Random per life, from the operating system.
std::uint64_t make_nonce();

// Each runs its node on the calling thread until the job is over or `stop` is asked for, and
// returns why the job failed
// ("" if it did not). `on_bound` is told the endpoint. Throws Error (an endpoint that is taken,
// say).
using OnBound = std::function<void(const std::string& endpoint)>;
std::string run_scheduler(const ops::Config& config,
                          const Fabric& fabric,
                          bool one_process,
                          const OnBound& on_bound,
                          const std::stop_token& stop);
// `shard` is its number in the job. A process runs one such loop per shard that it holds.
std::string run_shard(const ops::Config& config,
                      const Fabric& fabric,
                      bool one_process,
                      std::uint32_t shard,
                      const std::stop_token& stop);

// A whole scheduler or server process: returns its exit code. Reports the bound endpoint to
// cluster.report_fd.
int serve(const ops::Config& config);

// Records what this process does, if the configuration names a file; `order` is its place among
// the processes shown.
void trace_process(const ops::Config& config, const std::string& name, int order);

}  // namespace ps
