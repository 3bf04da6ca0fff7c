// What a training starts from: data, network, hyper-parameters, and where an interrupted run stood.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <ps/model.h>
#include <ps/nn/detection.h>
#include <ps/safetensors.h>
#include <ps/session.h>
#include <ps/vision/dataset.h>

#include "hyperparameters.h"
#include "network.h"
#include "options.h"

namespace detect {

// How far an earlier run came.
struct Progress {
  std::uint32_t epoch = 0;  // to be trained next
  double best_fitness = -1.0;
  std::uint32_t best_epoch = 0;
};

struct Setup {
  TrainOptions options;
  Hyperparameters hyperparameters;
  NetworkSpec spec;
  std::unique_ptr<ps::vision::Dataset> train;
  std::unique_ptr<ps::vision::Dataset> val;
  std::string folder;  // of the run
  Progress progress;
  std::optional<ps::SafetensorsFile> checkpoint;  // that the run goes on from
  std::optional<ps::SafetensorsFile> weights;     // rank 0's: to begin with
};

// Every worker calls it. Opens and scans the data (rank 0 tells what it found), makes the run's
// folder, fits the anchors. Throws ps::Error.
Setup prepare_training(ps::Session& session, const TrainOptions& options);

// Images whose gradients make one step, as a multiple of options.batch_size: 1 at the beginning of
// the warm-up, nbs / batch_size after it. iteration: batches so far.
std::uint32_t accumulated_batches(const Setup& setup, std::uint64_t iteration);

// The model's options: optimizer, schedule, groups, moving average; see docs/training-detectors.md.
ps::ModelOptions model_options(const ps::Session& session, const Setup& setup);

// The loss's options, scaled to the network.
ps::nn::DetectionLossOptions loss_options(const Setup& setup, const ps::nn::DetectionHead& head);

// What is shown of a loss: box, objectness (anchor-free: dfl) and class, each times its gain.
std::array<double, 3> weighted_parts(const ps::nn::DetectionLoss& loss,
                                     const ps::nn::DetectionLossOptions& options,
                                     const ps::nn::DetectionHead& head);

// Whether workers train weights of their own (local, easgd): they have no moving average then.
bool has_own_weights(const ps::Consistency& mode);

// Iterations of the warm-up: warmup_epochs, at least 100, but no more than half of the run (none:
// 0).
std::uint64_t warmup_iterations(const Setup& setup);

}  // namespace detect
