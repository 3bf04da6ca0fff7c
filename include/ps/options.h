// What a model's training is: consistency, optimizer, schedule, parameter groups. Plain values,
// part of the program; a job's configuration (file < environment < flags) overrides them. Formulas:
// docs/consistency.md and docs/optimizers.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ps/compression.h>
#include <ps/consistency.h>
#include <ps/optimizers.h>

namespace ps {

// Factor on the optimizer's lr as a function of the samples that all workers together have
// consumed, so that every mode and every number of workers sees the same rate after the same
// samples. Warm-up ramps from warmup_start to the decay's factor over the first warmup_samples; the
// rest, the decay, follows `kind` until total_samples.
struct Schedule {
  enum class Kind { kConstant, kStep, kLinear, kCosine };
  Kind kind = Kind::kConstant;
  std::uint64_t warmup_samples = 0;
  float warmup_start = 0.0F;  // factor at sample 0 when there is a warm-up
  std::uint64_t total_samples =
      0;  // linear, cosine: where final_factor is reached (it holds from there on)
  std::uint64_t step_samples = 0;  // step: every so many samples after the warm-up ...
  float step_gamma = 0.1F;         // ... the factor is multiplied by this
  float final_factor = 0.0F;       // linear, cosine
  // Decay changes only where an epoch of so many samples ends; 0: with every update.
  std::uint64_t epoch_samples = 0;
  // The decay runs from sample 0, under the warm-up, whose ramp follows it (YOLOv5). Else it runs
  // from the warm-up's end.
  bool decay_from_start = false;
  // The ramp of the rate is (samples / warmup_samples)^this: YOLOX 2, darknet 4.
  std::uint32_t warmup_power = 1;
  // Momentum at sample 0, ramping linearly to the optimizer's over the warm-up: `momentum`, if that
  // is > 0, or `beta1`. Negative: no such ramp. Rules that have neither take no notice.
  float warmup_momentum = -1.0F;
};

// Overrides for the parameters whose names match `pattern` (* any characters, ? one). The last
// match wins.
struct ParameterGroup {
  std::string pattern = "*";
  float lr_scale = 1.0F;
  // Replaces the optimizer's weight_decay when >= 0.
  float weight_decay = -1.0F;
  // Replaces the schedule's warmup_start when >= 0, and may be > 1: a rate that falls to the
  // others'.
  float warmup_start = -1.0F;
};

// How the workers' gradients of one step become one gradient. kMean weights each by the step's
// weight (the number of samples), so the learning rate does not depend on the number of workers.
enum class Reduce { kMean, kSum };

// What a NaN or an infinity costs: the message that it is in, which is refused whole, or in sync
// mode the step, which then changes no weight on any shard (dynamic loss scaling needs that).
enum class Finite : std::uint8_t { kMessage, kStep };

// Who applies the optimizer, and who reduces the gradients. All but kServer: sync only.
enum class Update : std::uint8_t {
  kServer,
  kWorker,     // the servers reduce; every worker applies the same update to weights of its own
  kAllReduce,  // likewise, but the workers reduce among themselves, by Gloo's ring
};

// Exponential moving average of the weights and averages, kept by the servers:
// d = decay (1 - exp(-t / tau)), ema = d ema + (1 - d) w after update t (YOLO's; tau = 0: d =
// decay).
struct Ema {
  float decay = 0.0F;  // 0: none is kept
  float tau = 2000.0F;
};

struct ModelOptions {
  Consistency mode = Sync{};
  Optimizer optimizer = Sgd{};
  Schedule schedule = {};
  std::vector<ParameterGroup> groups = {};
  Reduce reduce = Reduce::kMean;
  // Gradients of a greater Euclidean norm, over all trained parameters, are scaled to it; 0: off.
  // In sync mode that is the norm of the workers' mean, else of each worker's own gradient.
  float clip_norm = 0.0F;
  Finite finite = Finite::kMessage;
  Update update = Update::kServer;
  Ema ema = {};
  Compression compression = {};
  // Lets the shards measure gradient noise and update sizes (Model::measures()), for some more
  // passes over the gradients and weights.
  bool measure = false;
  // Chunks are what a shard updates and what travels. 0: chosen from the model's size (256 KiB to 4
  // MiB).
  std::uint64_t chunk_bytes = 0;
};

// What a parameter's pushed values mean.
enum class ParameterKind : std::uint8_t {
  kTrained,  // gradients, for the optimizer
  kAverage,  // values to average, such as BatchNorm's running statistics: sync w = sum(n x) /
             // sum(n), async and ssp w += (x - w) / N
  kAssign,   // values that replace the old ones; in sync mode the highest rank's
  kAdd,      // differences: w += x, in sync mode the sum over the ranks
};

}  // namespace ps
