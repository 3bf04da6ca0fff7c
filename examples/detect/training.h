// `detect train`: the training loop, on every worker.
#pragma once

#include <cstdint>
#include <string>

#include <ps/session.h>

#include "options.h"

namespace detect {

// How a run went; the same on every worker.
struct TrainResult {
  double map50 = 0.0;  // of the best weights on the validation images
  double map50_95 = 0.0;
  double precision = 0.0;
  double recall = 0.0;
  double images_per_second = 0.0;  // trained by all workers, without the time of validation
  double seconds = 0.0;            // from the first step to the last validation
  double seconds_training = 0.0;
  double waiting = 0.0;  // share of the training time that workers waited for data
  double mean_staleness = 0.0;
  std::uint32_t epochs = 0;      // trained in all
  std::uint32_t best_epoch = 0;  // from 1
  std::string mode;
  std::string folder;
};

// Trains, and leaves checkpoints, results.csv and pictures in the run's folder (rank 0 does).
// Ends with session.finish(). Throws ps::Error.
TrainResult train(ps::Session& session, const TrainOptions& options);

}  // namespace detect
