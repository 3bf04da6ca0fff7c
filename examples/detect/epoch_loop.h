// One epoch's steps on one worker: batches in, gradients out, sums of the losses. A batch's forward
// pass begins while the weights that the step before it leaves are still on their way.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include <ps/loss_scale.h>
#include <ps/model.h>
#include <ps/nn/detection.h>
#include <ps/session.h>
#include <ps/vision/loader.h>

#include "network.h"
#include "setup.h"

namespace detect {

// Sums over a worker's batches.
struct Tally {
  std::array<double, 3> losses{};  // box, obj (anchor-free: dfl), cls, each times its images
  double images = 0.0;
  double instances = 0.0;
  double staleness = 0.0;  // over steps
  double steps = 0.0;
  double seconds_waited = 0.0;  // for data
  double seconds = 0.0;

  [[nodiscard]] std::array<double, 3> mean_losses() const;
};

// The sums of all workers; seconds: the slowest worker's. Every worker calls it.
Tally over_all_workers(ps::Session& session, const Tally& mine);

class EpochLoop {
 public:
  // What a worker may want to show after a batch.
  struct Moment {
    const ps::vision::DetectionBatch& batch;
    const Tally& tally;  // of this epoch so far
    double part;         // of the epoch, 0 to 1; async: an estimate
  };
  using Watcher = std::function<void(const Moment&)>;

  // All outlive the loop. While it lives, the network's passes wait for the model's weights.
  EpochLoop(ps::Session& session, ps::Model& model, Network& network, const Setup& setup);
  EpochLoop(const EpochLoop&) = delete;
  EpochLoop& operator=(const EpochLoop&) = delete;
  ~EpochLoop() { network_.when_weights_needed({}); }

  // Trains on this worker's part of the epoch. Throws ps::Error(kAborted) when the loss is not
  // finite.
  Tally run(std::uint32_t epoch, const Watcher& watch);

  // The learning rate that was applied last.
  [[nodiscard]] float lr() const noexcept { return lr_; }
  // Whether gradients leave the GPU compressed, rather than be compressed by the worker.
  [[nodiscard]] bool encodes_on_gpu() const noexcept { return encodes_on_gpu_; }

 private:
  // What the loader was told of a batch, or that this worker has no part in one (sync).
  std::optional<ps::vision::BatchOrder> next_order(ps::Samples& samples, std::uint32_t epoch);
  bool encode_on_gpu();
  void push(std::size_t parameter) const;
  void learn(const ps::vision::DetectionBatch& batch);
  // Of a pass, when it comes to a parameter.
  void await_weights(std::size_t parameter);
  void begin_step(double weight);
  void push_pull();
  // Waits for the step under way, if there is one, and for what became of it.
  void end_step();
  void add_nothing();
  void check_finite(const ps::nn::DetectionLoss& loss) const;

  ps::Session& session_;
  ps::Model& model_;
  Network& network_;
  const Setup& setup_;
  const bool scales_loss_;  // --amp fp16
  ps::LossScale loss_scale_;
  const std::size_t frozen_;  // parameters, from the first
  const bool encodes_on_gpu_;
  std::map<std::pair<int, int>, ps::nn::DetectionCriterion> criteria_;  // by input size
  std::uint64_t iteration_ = 0;  // batches of all workers together, from the run's beginning
  std::uint32_t put_aside_ = 0;  // batches whose gradients wait for the step's end
  std::uint32_t empty_ = 0;      // batches of the epoch that had nothing for this worker
  std::uint64_t batches_ = 0;    // of the epoch
  float lr_ = 0.0F;
  Tally tally_;                      // of the epoch
  std::optional<double> next_step_;  // its weight: begins once the weights have come
  std::optional<ps::Pending> step_;  // that has been pushed
};

}  // namespace detect
