// When a gradient is applied and when weights may be read: one setting of a model. Guarantees,
// costs and when to choose which: docs/consistency.md.
#pragma once

#include <cstdint>
#include <variant>

namespace ps {

// Round r commits when every worker's gradient of round r is in; all workers then read the same
// weights. Results are bit-identical whatever the arrival order, shard count, transport or process
// layout.
struct Sync {
  // With b of N workers, a round commits once N - b of them have contributed; the scheduler names
  // them once, for all shards. What the others send for that round is dropped, counted as late, and
  // its samples count as consumed. The mean is over those that counted. (Chen et al., 2016)
  std::uint32_t backup_workers = 0;  // < workers
};

// How an asynchronous gradient is corrected for what others have changed since its worker pulled
// (DC-ASGD, Zheng et al., ICML 2017): g + lambda g g (w - w_pulled).
enum class Compensation : std::uint8_t {
  kNone,
  kConstant,  // lambda as given
  kAdaptive,  // lambda / sqrt(MS + 1e-7), MS = decay MS + (1 - decay) g g
};

// Applied on arrival; workers never wait for each other.
struct Async {
  // Divides the learning rate of an update by max(1, staleness), staleness = version applied at -
  // version pulled.
  bool staleness_aware = false;
  // A gradient staler than this is dropped and its worker told (StepInfo::stale); < 0: none is.
  // Ringmaster(R) (Maranjyan et al., 2025) is max_staleness = R - 1.
  std::int64_t max_staleness = -1;
  Compensation compensation = Compensation::kNone;
  float lambda = 0.04F;  // of the compensation; the paper takes 2 with kAdaptive
  float decay = 0.95F;   // of MS
  // The mean of so many pushes, from whichever workers, makes one update: n-softsync (Zhang et al.,
  // 2016) with N / n. Nobody waits for it.
  std::uint32_t pushes_per_update = 1;
};

// Bounded staleness: a worker that has completed c steps starts its next one only when every worker
// has completed at least c - staleness. Applied on arrival. staleness = 0 has the timing of Sync,
// not its bits. (Ho et al., 2013)
struct Ssp {
  std::uint64_t staleness = 2;
  bool staleness_aware = false;
};

// Every worker applies the optimizer to weights of its own; after `steps` steps all replace theirs
// by the mean over the workers, weighted by samples (Stich, 2019).
struct LocalSgd {
  std::uint32_t steps = 8;  // H
  // What an averaging does to the optimizer's memory, such as momentum: average it, or start anew.
  bool average_state = true;
  // Post-local SGD (Lin et al., 2020): until so many samples are consumed, every step averages.
  std::uint64_t start_samples = 0;
};

// Elastic averaging (Zhang et al., NeurIPS 2015): every worker trains weights x of its own; every
// `period` steps d = alpha (x - center), x -= d and center += d. Nobody waits.
struct Easgd {
  std::uint32_t period = 4;
  float alpha = 0.0F;  // 0: 0.9 / workers
};

using Consistency = std::variant<Sync, Async, Ssp, LocalSgd, Easgd>;

// "sync", "async", "ssp", "local" or "easgd".
const char* mode_name(const Consistency& mode) noexcept;

// The momentum to use in `mode` where `momentum` suits one worker or sync mode: none in async and
// ssp mode with four workers or more, since late gradients act like momentum of their own
// (docs/consistency.md); else `momentum`.
float momentum_for(const Consistency& mode, std::uint32_t workers, float momentum) noexcept;

}  // namespace ps
