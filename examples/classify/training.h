// `classify train`: the training loop of this example, on every worker.
#pragma once

#include <string>

#include <ps/session.h>

#include "options.h"

namespace classify {

// How a run went; the same on every worker but for the times.
struct TrainResult {
  double accuracy = 0.0;            // on the test images, in the end
  double loss = 0.0;                // likewise
  double samples_per_second = 0.0;  // trained by all workers, without the time of evaluation
  double seconds = 0.0;             // from the first step to the last evaluation
  double mean_staleness = 0.0;      // over all steps of all workers
  std::string mode;
};

// Trains, and leaves results.csv, results.png and weights.safetensors in options.out (rank 0 does).
// Ends with session.finish(). Throws ps::Error.
TrainResult train(ps::Session& session, const Options& options);

}  // namespace classify
