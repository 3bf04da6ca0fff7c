#include "ops/config_schema.h"

#include <limits>

namespace ps::ops {
namespace {

constexpr std::int64_t kAny = std::numeric_limits<std::int64_t>::max();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr Real kPositive{.low = 0, .high = kInfinity, .low_open = true, .high_open = true};
constexpr Real kNotNegative{.low = 0, .high = kInfinity, .high_open = true};
constexpr Real kBelowOne{.low = 0, .high = 1, .high_open = true};
constexpr Real kMaybeBelowOne{.low = -1, .high = 1, .high_open = true};
constexpr Whole kDescriptor{-1, 1 << 20};
constexpr Whole kHourMs{0, 3'600'000};

// The key's name is the member's path, written once.
#define PS_KEY(path) #path, [](Config & config) -> Slot { return slot_of(config.path); }
#define PS_GROUP_KEY(member) \
  "optimizer.group." #member, [](ParameterGroup& group) -> Slot { return slot_of(group.member); }

constexpr Key<Config> kKeys[] = {
    {PS_KEY(job.name), Anything{}, "what the job is called in logs and progress lines"},
    {PS_KEY(job.seed), Whole{0, kAny}, "of the data order and of everything else that is random"},
    {PS_KEY(job.log_level), Names{"debug|info|warn|error|off"}, "the least that is logged"},

    {PS_KEY(cluster.role), Names{"|scheduler|server|worker"},
     "what this process is; empty: alone, the whole cluster in one process"},
    {PS_KEY(cluster.index), Whole{0, (1 << 16) - 1}, "the worker's rank or the server's number"},
    {PS_KEY(cluster.workers), Whole{1, 1 << 16}, "workers of the job"},
    {PS_KEY(cluster.servers), Whole{1, 1 << 12}, "server processes of the job"},
    {PS_KEY(cluster.shards), Whole{1, 256}, "shards, each with a thread, in a server process"},
    {PS_KEY(cluster.scheduler), Anything{},
     "the scheduler's endpoint: it binds it, the others connect to it"},
    {PS_KEY(cluster.job_id), Anything{},
     "32 hexadecimal digits that tell this job's messages from another's; empty: made up"},
    {PS_KEY(cluster.profile), Names{"default|fast"},
     "how patient the cluster is; fast: for one host that is not overloaded"},
    {PS_KEY(cluster.heartbeat_ms), kHourMs, "between heartbeats; 0: the profile's (500, fast 50)"},
    {PS_KEY(cluster.lease_ms), kHourMs,
     "silence after which a process is dead; 0: the profile's (3000, fast 400)"},
    {PS_KEY(cluster.retry_ms), kHourMs,
     "before a request is sent again, then twice as long each time; 0: the profile's (1000, "
     "fast 200)"},
    {PS_KEY(cluster.deadline_ms), kHourMs,
     "after which a request has failed; 0: the profile's (30000, fast 5000)"},
    {PS_KEY(cluster.wait_ms), Whole{1, 1'000'000'000},
     "how long a program's wait for a step, a barrier or a start lasts before it fails"},
    {PS_KEY(cluster.lifeline_fd), kDescriptor,
     "inherited descriptor at whose end of file the process ends; set by psrun"},
    {PS_KEY(cluster.report_fd), kDescriptor,
     "inherited descriptor that the bound endpoint is written to; set by psrun"},

    {PS_KEY(transport.kind), Names{"auto|inproc|ipc|tcp|shm"},
     "how messages travel; auto: inproc alone, shm among processes of one host"},
    {PS_KEY(transport.directory), Anything{}, "directory, of mode 0700, of ipc and shm sockets"},
    {PS_KEY(transport.host), Anything{}, "address that tcp listens on"},
    {PS_KEY(transport.allow_insecure_network), Anything{},
     "listen on other addresses than the loopback's, without encryption"},
    {PS_KEY(transport.credit_bytes), Whole{1 << 16, kAny}, "bytes in flight to one shard"},
    {PS_KEY(transport.chunk_bytes), Whole{0, 1 << 26},
     "size of the slices that parameters are cut into; 0: from the model's size"},

    {PS_KEY(consistency.mode), Names{"|sync|async|ssp|local|easgd|allreduce"},
     "allreduce: sync with optimizer.update = allreduce; empty: the program's"},
    {PS_KEY(consistency.staleness), Whole{0, 1 << 20},
     "ssp: completed steps that a worker may be ahead of the slowest"},
    {PS_KEY(consistency.staleness_aware), Anything{},
     "async, ssp: divide an update's learning rate by its staleness"},
    {PS_KEY(consistency.backup_workers), Whole{0, 1 << 16},
     "sync: so many of the workers need not contribute to a round"},
    {PS_KEY(consistency.max_staleness), Whole{0, 1 << 20},
     "async: staler gradients are dropped (Ringmaster's R - 1)"},
    {PS_KEY(consistency.compensation), Names{"|none|constant|adaptive"},
     "async: DC-ASGD's correction of late gradients; empty: the program's"},
    {PS_KEY(consistency.lambda), kNotNegative, "async: of the compensation"},
    {PS_KEY(consistency.decay), kBelowOne, "async: of the adaptive compensation's mean square"},
    {PS_KEY(consistency.pushes_per_update), Whole{1, 1 << 16},
     "async: pushes whose mean makes one update (softsync)"},
    {PS_KEY(consistency.steps), Whole{1, 1 << 20}, "local: steps between two averagings"},
    {PS_KEY(consistency.average_state), Anything{},
     "local: average the optimizer's memory, or start it anew"},
    {PS_KEY(consistency.start_samples), Whole{0, kAny},
     "local: every step averages until so many samples are consumed"},
    {PS_KEY(consistency.period), Whole{1, 1 << 20}, "easgd: steps between two elastic moves"},
    {PS_KEY(consistency.alpha), Real{0, 1}, "easgd: the moves' rate; 0: 0.9 / workers"},
    {PS_KEY(consistency.reduce), Names{"|mean|sum"},
     "how gradients of a step are combined; empty: the program's"},
    {PS_KEY(consistency.finite), Names{"|message|step"},
     "what a NaN or an infinity costs; empty: the program's"},

    {PS_KEY(compression.push), Names{"|none|fp16|bf16|int8|int8-stochastic|topk|sign"},
     "how gradients travel (docs/compression.md); empty: the program's"},
    {PS_KEY(compression.pull), Names{"|none|fp16|bf16"},
     "how the weights that a step brings travel; empty: the program's"},
    {PS_KEY(compression.top), Real{.low = 0, .high = 1, .low_open = true},
     "topk: the part of a chunk's values that is sent"},

    {PS_KEY(optimizer.name), Names{"|sgd|adam|adamw|adagrad|rmsprop|lars|lamb|ftrl"},
     "empty: the program's"},
    {PS_KEY(optimizer.lr), kPositive, "learning rate"},
    {PS_KEY(optimizer.momentum), kBelowOne, "sgd, rmsprop, lars"},
    {PS_KEY(optimizer.nesterov), Anything{}, "sgd"},
    {PS_KEY(optimizer.weight_decay), kNotNegative,
     "adamw, lamb: apart from the gradient; all others but ftrl: added to it"},
    {PS_KEY(optimizer.beta1), kBelowOne, "adam, adamw, lamb"},
    {PS_KEY(optimizer.beta2), kBelowOne, "adam, adamw, lamb"},
    {PS_KEY(optimizer.epsilon), kPositive, "all but sgd and ftrl"},
    {PS_KEY(optimizer.alpha), kBelowOne, "rmsprop: decay of the mean square"},
    {PS_KEY(optimizer.eta), kPositive, "lars: trust coefficient"},
    {PS_KEY(optimizer.beta), kNotNegative, "ftrl"},
    {PS_KEY(optimizer.l1), kNotNegative, "ftrl"},
    {PS_KEY(optimizer.l2), kNotNegative, "ftrl"},
    {PS_KEY(optimizer.clip_norm), kNotNegative, "greatest norm of a gradient; 0: any"},
    {PS_KEY(optimizer.update), Names{"|server|worker|allreduce"},
     "who applies the optimizer; all but server: in sync mode; empty: the program's"},
    {PS_KEY(optimizer.ema_decay), Real{0, 1}, "of the moving average of the weights; 0: none"},
    {PS_KEY(optimizer.ema_tau), kNotNegative, "updates over which ema_decay comes into force"},
    {PS_KEY(optimizer.schedule), Names{"|constant|step|linear|cosine"},
     "of the learning rate, over the samples consumed; empty: the program's"},
    {PS_KEY(optimizer.warmup_samples), Whole{0, kAny}, "samples of the warm-up"},
    {PS_KEY(optimizer.warmup_start), kNotNegative, "factor at the warm-up's first sample"},
    {PS_KEY(optimizer.total_samples), Whole{0, kAny},
     "linear, cosine: where final_factor is reached"},
    {PS_KEY(optimizer.step_samples), Whole{0, kAny}, "step: every so many samples ..."},
    {PS_KEY(optimizer.step_gamma), kPositive, "... the factor is multiplied by this"},
    {PS_KEY(optimizer.final_factor), kNotNegative, "linear, cosine: the factor at the end"},
    {PS_KEY(optimizer.epoch_samples), Whole{0, kAny},
     "the decay changes only after so many samples each; 0: all the time"},
    {PS_KEY(optimizer.decay_from_start), Anything{},
     "the decay runs under the warm-up too, not only from its end on"},
    {PS_KEY(optimizer.warmup_power), Whole{1, 64}, "of the warm-up's ramp; 1: linear"},
    {PS_KEY(optimizer.warmup_momentum), kMaybeBelowOne,
     "momentum or beta1 at the warm-up's first sample; -1: no such ramp"},

    {PS_KEY(data.path), Anything{}, "where the data set lies"},
    {PS_KEY(data.prefetch), Whole{0, 1024}, "batches that are read ahead"},

    {PS_KEY(observe.progress), Names{"auto|live|plain|off"},
     "progress lines; auto: live on a terminal, else plain"},
    {PS_KEY(observe.json), Anything{}, "end with the results as one line of JSON"},
    {PS_KEY(observe.trace), Anything{},
     "file that records what every process does when, for Perfetto (docs/tracing.md); empty: none"},
    {PS_KEY(observe.measure), Anything{}, "measure gradient noise and update sizes on the servers"},
};

constexpr Key<ParameterGroup> kGroupKeys[] = {
    {PS_GROUP_KEY(pattern), Anything{}, "names of parameters; * any characters, ? one"},
    {PS_GROUP_KEY(lr_scale), kNotNegative, "factor on the learning rate"},
    {PS_GROUP_KEY(weight_decay), Real{-1, kInfinity, false, true},
     "in the optimizer's place; -1: the optimizer's"},
    {PS_GROUP_KEY(warmup_start), Real{-1, kInfinity, false, true},
     "in the schedule's place; -1: the schedule's"},
};

#undef PS_KEY
#undef PS_GROUP_KEY

}  // namespace

std::span<const Key<Config>> config_keys() {
  return kKeys;
}

std::span<const Key<ParameterGroup>> group_keys() {
  return kGroupKeys;
}

std::vector<std::string_view> config_sections() {
  std::vector<std::string_view> sections;
  for (const auto& key : kKeys) {
    if (sections.empty() || sections.back() != section_of(key.name)) {
      sections.push_back(section_of(key.name));
    }
  }
  return sections;
}

const Key<Config>* find_key(std::string_view name) {
  for (const auto& key : kKeys) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

std::string variable_of(std::string_view key) {
  std::string variable = "PS_";
  for (const char c : key) {
    variable += c == '.' ? '_' : (c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
  }
  return variable;
}

}  // namespace ps::ops
