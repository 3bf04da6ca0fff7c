// A job's configuration: plain values, one struct per section, one member per key. This folder is
// the only place that reads the environment and configuration files; everybody else is handed a
// Config. The keys' help, ranges and defaults: config_schema.cpp (the defaults themselves stand
// here).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ps/options.h>

#include "base/clock.h"
#include "base/log.h"

namespace ps::ops {

// A snapshot of environment variables.
struct Environment {
  std::map<std::string, std::string, std::less<>> variables;

  // The process's own. The one place in ps that looks at it. Call it before there are threads that
  // change the environment.
  static Environment from_process();
  [[nodiscard]] std::optional<std::string> get(std::string_view name) const;
};

// Enumerators stand in the order in which the schema lists the values' names; kProgram means "what
// the program says".
enum class ProcessRole { kAlone, kScheduler, kServer, kWorker };
enum class Profile { kDefault, kFast };
enum class TransportKind { kAuto, kInproc, kIpc, kTcp, kShm };
enum class ModeChoice { kProgram, kSync, kAsync, kSsp, kLocal, kEasgd, kAllReduce };
enum class ReduceChoice { kProgram, kMean, kSum };
enum class OptimizerChoice {
  kProgram,
  kSgd,
  kAdam,
  kAdamw,
  kAdagrad,
  kRmsprop,
  kLars,
  kLamb,
  kFtrl
};
enum class FiniteChoice { kProgram, kMessage, kStep };
enum class UpdateChoice { kProgram, kServer, kWorker, kAllReduce };
enum class PushChoice { kProgram, kNone, kFp16, kBf16, kInt8, kInt8Stochastic, kTopK, kSign };
enum class PullChoice { kProgram, kNone, kFp16, kBf16 };
enum class CompensationChoice { kProgram, kNone, kConstant, kAdaptive };
enum class ScheduleChoice { kProgram, kConstant, kStep, kLinear, kCosine };
enum class ProgressMode { kAuto, kLive, kPlain, kOff };

struct JobConfig {
  std::string name = "job";
  std::uint64_t seed = 1;
  LogLevel log_level = LogLevel::kInfo;
};

struct ClusterConfig {
  ProcessRole role = ProcessRole::kAlone;
  std::uint64_t index = 0;
  std::uint64_t workers = 1;
  std::uint64_t servers = 1;
  std::uint64_t shards = 1;
  std::string scheduler;
  std::string job_id;
  Profile profile = Profile::kDefault;
  std::uint64_t heartbeat_ms = 0;  // these four: 0 = the profile's, see timing()
  std::uint64_t lease_ms = 0;
  std::uint64_t retry_ms = 0;
  std::uint64_t deadline_ms = 0;
  std::uint64_t wait_ms = 600'000;
  int lifeline_fd = -1;
  int report_fd = -1;
};

struct TransportConfig {
  TransportKind kind = TransportKind::kAuto;
  std::string directory;
  std::string host = "127.0.0.1";
  bool allow_insecure_network = false;
  std::uint64_t credit_bytes = std::uint64_t{32} << 20;
  std::uint64_t chunk_bytes = 0;
};

struct ConsistencyConfig {
  ModeChoice mode = ModeChoice::kProgram;
  std::uint64_t staleness = 2;
  bool staleness_aware = false;
  std::optional<std::uint64_t> backup_workers;
  std::optional<std::uint64_t> max_staleness;
  CompensationChoice compensation = CompensationChoice::kProgram;
  std::optional<float> lambda;
  std::optional<float> decay;
  std::optional<std::uint64_t> pushes_per_update;
  std::optional<std::uint64_t> steps;
  std::optional<bool> average_state;
  std::optional<std::uint64_t> start_samples;
  std::optional<std::uint64_t> period;
  std::optional<float> alpha;
  ReduceChoice reduce = ReduceChoice::kProgram;
  FiniteChoice finite = FiniteChoice::kProgram;
};

struct CompressionConfig {
  PushChoice push = PushChoice::kProgram;
  PullChoice pull = PullChoice::kProgram;
  std::optional<float> top;
};

struct OptimizerConfig {
  OptimizerChoice name = OptimizerChoice::kProgram;
  std::optional<float> lr;
  std::optional<float> momentum;
  std::optional<bool> nesterov;
  std::optional<float> weight_decay;
  std::optional<float> beta1;
  std::optional<float> beta2;
  std::optional<float> epsilon;
  std::optional<float> alpha;
  std::optional<float> eta;
  std::optional<float> beta;
  std::optional<float> l1;
  std::optional<float> l2;
  std::optional<float> clip_norm;
  UpdateChoice update = UpdateChoice::kProgram;
  std::optional<float> ema_decay;
  std::optional<float> ema_tau;
  ScheduleChoice schedule = ScheduleChoice::kProgram;
  std::optional<std::uint64_t> warmup_samples;
  std::optional<float> warmup_start;
  std::optional<std::uint64_t> total_samples;
  std::optional<std::uint64_t> step_samples;
  std::optional<float> step_gamma;
  std::optional<float> final_factor;
  std::optional<std::uint64_t> epoch_samples;
  std::optional<bool> decay_from_start;
  std::optional<std::uint64_t> warmup_power;
  std::optional<float> warmup_momentum;
  std::vector<ParameterGroup> group;  // [[optimizer.group]], in the file only
};

struct DataConfig {
  std::string path;
  std::uint64_t prefetch = 2;
};

struct ObserveConfig {
  ProgressMode progress = ProgressMode::kAuto;
  bool json = false;
  std::optional<bool> measure;
  std::string trace;
};

struct Config {
  // What the command line asks for besides running: the caller prints it and ends.
  enum class Request { kRun, kPrintConfig, kHelpConfig };

  JobConfig job;
  ClusterConfig cluster;
  TransportConfig transport;
  ConsistencyConfig consistency;
  CompressionConfig compression;
  OptimizerConfig optimizer;
  DataConfig data;
  ObserveConfig observe;
  Request request = Request::kRun;
  // "section.key" -> where its value came from: "file job.toml:12", "environment PS_JOB_SEED" or
  // "flag --job.seed". Keys that kept their default are not in it.
  std::map<std::string, std::string, std::less<>> origins;

  [[nodiscard]] bool is_set(std::string_view key) const { return origins.contains(key); }
};

// Reads the file that --config (or else the variable PS_CONFIG) names, then the PS_SECTION_KEY
// variables of `environment`, then the flags --section.key; the later wins. `rest` gets argv[0] and
// every argument that is not ours, in order; all that stands after "--" is not ours.
// Throws ps::Error: kInvalidArgument for an unknown key or a bad value, naming the key, where it
// stands, what was expected and the nearest valid key; kIo for a file that cannot be read.
Config load_config(int argc,
                   const char* const* argv,
                   std::vector<std::string>& rest,
                   const Environment& environment);

// What is in force, as TOML that load_config reads back to the same values, with each value's
// origin as a comment.
std::string print_config(const Config& config);

// Every key with its values, default and meaning.
std::string help_config();

// Overrides a program's choices by those of the consistency, compression and optimizer keys, and by
// transport.chunk_bytes, that were set. Another optimizer or mode than the program's starts from
// that one's defaults. Groups are added after the program's, so they win. consistency.staleness and
// .staleness_aware are passed over where the mode has no such thing, so that one file serves all
// modes; an optimizer key that the optimizer in force does not have throws
// ps::Error(kInvalidArgument).
void apply(const Config& config, ModelOptions& options);

// How patient a cluster is.
struct Timing {
  Duration heartbeat;  // between two heartbeats
  Duration suspect;    // silence after which a peer is suspected: 4 heartbeats, at most the lease
  Duration lease;      // silence after which a peer is dead
  Duration retry;      // before a request is sent again the first time; doubles each time
  Duration retry_cap;  // up to this: 8 times retry
  Duration deadline;   // a request's whole life
};

// The profile's values with the keys *_ms that were set in their place. Throws
// ps::Error(kInvalidArgument) when the lease is shorter than two heartbeats or the deadline shorter
// than a retry: such a cluster would take everyone for dead.
Timing timing(const ClusterConfig& cluster);

}  // namespace ps::ops
