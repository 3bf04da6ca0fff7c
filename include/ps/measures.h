// What the shards measure of a model's updates (ModelOptions::measure), over all of its trained
// parameters since the last time that this worker asked.
#pragma once

#include <cstdint>

namespace ps {

struct Measures {
  std::uint64_t updates = 0;  // rounds, or in async and ssp mode pushes, of the model
  double batch = 0;           // mean samples of an update: the effective batch
  double gradient_norm = 0;   // root of the mean square norm of what was applied
  // |w' - w| / |w|, root mean square: about 1e-3 where training goes well.
  double update_to_weight = 0;
  // tr(Sigma) / |G|^2 in samples (McCandlish et al., 2018), from the workers' gradients g of m
  // samples and their mean G_N: |G|^2 = (N |G_N|^2 - mean |g|^2) / (N - 1), tr(Sigma) = m N
  // (mean |g|^2 - |G_N|^2) / (N - 1). Batches far below it are noise-dominated. 0 where it cannot
  // be told: one worker, async and ssp mode, or gradients that are all noise.
  double noise_scale = 0;
};

}  // namespace ps
