// What a model's training is: consistency, optimizer, schedule, parameter groups. Plain values,
// part of the program; a job's configuration (file < environment < flags) overrides them. Formulas:
// docs/consistency.md and docs/optimizers.md.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace ps {

// --- Consistency: when a gradient is applied and when weights may be read
// -----------------------------------

// Round r commits when every worker's gradient of round r is in; all workers then read the same
// weights. Results are bit-identical whatever the arrival order, shard count, transport or process
// layout.
struct Sync {};

// Applied on arrival; workers never wait for each other.
struct Async {
  // Divides the learning rate of an update by max(1, staleness), staleness = version applied at -
  // version pulled.
  bool staleness_aware = false;
};

// Bounded staleness: a worker that has completed c steps starts its next one only when every worker
// has completed at least c - staleness. Applied on arrival. staleness = 0 has the timing of Sync,
// not its bits.
struct Ssp {
  std::uint64_t staleness = 2;
  bool staleness_aware = false;
};

using Consistency = std::variant<Sync, Async, Ssp>;

// --- Optimizers (applied on the servers, one fused pass over the weights)
// ------------------------------------

// w -= lr * v, v = momentum * v + (g + weight_decay * w); nesterov: w -= lr * ((g + wd w) +
// momentum * v). The first v is the first gradient (as in PyTorch).
struct Sgd {
  float lr = 0.01F;
  float momentum = 0.0F;
  bool nesterov = false;
  float weight_decay = 0.0F;
};

// m = b1 m + (1-b1) g, v = b2 v + (1-b2) g^2, w -= lr * (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) +
// epsilon); weight_decay is added to the gradient (L2).
struct Adam {
  float lr = 0.001F;
  float beta1 = 0.9F;
  float beta2 = 0.999F;
  float epsilon = 1e-8F;
  float weight_decay = 0.0F;
};

// Adam whose decay acts on the weights first: w *= 1 - lr * weight_decay.
struct AdamW {
  float lr = 0.001F;
  float beta1 = 0.9F;
  float beta2 = 0.999F;
  float epsilon = 1e-8F;
  float weight_decay = 0.01F;
};

using Optimizer = std::variant<Sgd, Adam, AdamW>;

// Factor on the optimizer's lr as a function of the samples that all workers together have
// consumed, so that every mode and every number of workers sees the same rate after the same
// samples. Warm-up ramps linearly from warmup_start * lr to lr over the first warmup_samples; the
// rest follows `kind` over total_samples.
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
};

// Overrides for the parameters whose names match `pattern` (* any characters, ? one). The last
// match wins.
struct ParameterGroup {
  std::string pattern = "*";
  float lr_scale = 1.0F;
  // Replaces the optimizer's weight_decay when >= 0.
  float weight_decay = -1.0F;
};

// How the workers' gradients of one step become one gradient. kMean weights each by the step's
// weight (the number of samples), so the learning rate does not depend on the number of workers.
enum class Reduce { kMean, kSum };

struct ModelOptions {
  Consistency mode = Sync{};
  Optimizer optimizer = Sgd{};
  Schedule schedule = {};
  std::vector<ParameterGroup> groups = {};
  Reduce reduce = Reduce::kMean;
  // Chunks are what a shard updates and what travels. 0: chosen from the model's size (256 KiB to 4
  // MiB).
  std::uint64_t chunk_bytes = 0;
};

// What a parameter's pushed values mean.
enum class ParameterKind : std::uint8_t {
  kTrained,  // gradients, for the optimizer
  kAverage,  // values to average, such as BatchNorm's running statistics: sync w = sum(n x) /
             // sum(n), async and ssp w += (x - w) / N
};

// "sync", "async" or "ssp"; "sgd", "adam" or "adamw".
const char* mode_name(const Consistency& mode) noexcept;
const char* optimizer_name(const Optimizer& optimizer) noexcept;

}  // namespace ps
