// Sync: all workers take the same steps. Async and ssp: each takes as many as it can. In all modes
// they meet at the end of every epoch and validate the same weights.
#include "training.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <ps/error.h>
#include <ps/model.h>

#include "checkpoint.h"
#include "console.h"
#include "device.h"
#include "epoch_loop.h"
#include "gather.h"
#include "report.h"
#include "setup.h"
#include "validation.h"

namespace detect {
namespace {

constexpr std::int64_t kValidationBatches = 2;  // a validation batch is so many training batches

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

std::int64_t worker_batch(const ps::Session& session, const TrainOptions& options) {
  return (std::int64_t{options.batch_size} + session.workers() - 1) / session.workers();
}

class Training {
 public:
  Training(ps::Session& session, const TrainOptions& options)
      : session_(session),
        setup_(prepare_training(session, options)),
        val_batch_(kValidationBatches * worker_batch(session, setup_.options)),
        network_(setup_.spec, val_batch_, choose_compute(setup_.options.compute, session.rank())),
        model_(session.model("detect", model_options(session, setup_))) {
    begin();
  }

  TrainResult run();

 private:
  [[nodiscard]] bool leads() const { return session_.rank() == 0; }
  [[nodiscard]] const TrainOptions& options() const { return setup_.options; }
  void begin();
  void announce();
  void show(const EpochLoop::Moment& moment, std::uint32_t epoch);
  bool end_epoch(std::uint32_t epoch, const Tally& all, const EpochLoop& loop);
  Validation validate_now(const std::function<void(const Judged&)>& see);
  void pull_for_validation();
  void add_row(std::uint32_t epoch, const Tally& all, const Validation& scores, float lr);
  bool improve(std::uint32_t epoch, const Validation& scores);
  void save_last(std::uint32_t epoch);
  [[nodiscard]] bool should_stop(std::uint32_t epoch);
  TrainResult finish(std::uint32_t epochs);

  ps::Session& session_;
  Setup setup_;
  const std::int64_t val_batch_;
  Network network_;
  ps::Model model_;
  std::optional<Report> report_;  // rank 0's
  Values best_;                   // weights of the best epoch

  Stopwatch since_start_;
  Tally whole_;  // all workers', of the epochs that ended
};

void Training::begin() {
  Values first;
  if (leads()) {
    report_.emplace(setup_);  // before the work, so that a bad path is told first
    if (setup_.weights) {
      std::size_t taken = 0;
      first = transfer(*setup_.weights, network_, session_.seed(), taken);
      std::printf("%s: %zu of %zu tensors fit\n", options().weights.c_str(), taken, first.size());
    }
  }
  connect(network_, model_, session_.seed(), first);
  if (setup_.checkpoint) model_.restore(*setup_.checkpoint);
  model_.start();
  if (leads()) announce();
}

void Training::announce() {
  const ps::ModelOptions& chosen = model_.options();
  const auto* sgd = std::get_if<ps::Sgd>(&chosen.optimizer);
  std::printf("%s: %lld parameters, %.3g GFLOP an image at %d px\n", setup_.spec.table.name.c_str(),
              static_cast<long long>(network_.detector().parameter_count()),
              network_.detector().flops() / 1e9, setup_.spec.image_size);
  std::printf("%s with %u worker%s, %s, momentum %g, batch %u of %zu images, %u epochs, into %s\n",
              ps::mode_name(chosen.mode), session_.workers(), session_.workers() == 1 ? "" : "s",
              ps::optimizer_name(chosen.optimizer),
              sgd != nullptr ? sgd->momentum : setup_.hyperparameters.momentum,
              options().batch_size, setup_.train->size(), options().epochs, setup_.folder.c_str());
  std::printf("on %s\n", describe(network_.compute()).c_str());
  if (options().compute.amp != "off" && !network_.compute().on_gpu()) {
    std::printf("--amp %s is for GPUs: the CPU computes in fp32\n", options().compute.amp.c_str());
  }
  std::fflush(stdout);
  report_->draw_labels(*setup_.train);
}

TrainResult Training::run() {
  EpochLoop loop(session_, model_, network_, setup_);
  if (leads() && loop.encodes_on_gpu()) std::printf("gradients leave the GPU compressed\n");
  session_.barrier();
  since_start_ = {};
  std::uint32_t epoch = setup_.progress.epoch;
  if (leads()) print_epoch_header(network_.detector().head().anchor_free());
  for (bool stop = false; epoch < options().epochs && !stop; ++epoch) {
    model_.resume();  // easgd: from the center, which was validated, back to this worker's weights
    const Tally mine =
        loop.run(epoch, [&](const EpochLoop::Moment& moment) { show(moment, epoch); });
    stop = end_epoch(epoch, over_all_workers(session_, mine), loop);
  }
  return finish(epoch);
}

void Training::show(const EpochLoop::Moment& moment, std::uint32_t epoch) {
  if (!leads()) return;
  report_->draw_train_batch(moment.batch);
  session_.progress(epoch_line({.epoch = epoch,
                                .epochs = options().epochs,
                                .tally = moment.tally,
                                .part = moment.part,
                                .first_epoch = setup_.progress.epoch,
                                .seconds = since_start_.seconds(),
                                .workers = session_.workers(),
                                .size = moment.batch.size}));
}

// Returns whether the training shall end here.
bool Training::end_epoch(std::uint32_t epoch, const Tally& all, const EpochLoop& loop) {
  whole_.images += all.images;
  whole_.seconds += all.seconds;
  whole_.seconds_waited += all.seconds_waited;
  whole_.staleness += all.staleness;
  whole_.steps += all.steps;
  if (leads()) print_epoch(epoch, options().epochs, all, setup_.spec.image_size);
  const bool last = epoch + 1 == options().epochs;
  pull_for_validation();
  Validation scores;
  if (last || !options().validate_last_only) {
    scores = validate_now({});
    if (improve(epoch, scores)) best_ = values_of(model_);
    if (leads()) {
      print_scores(scores.report, setup_.spec.names, false);
      add_row(epoch, all, scores, loop.lr());
    }
  }
  save_last(epoch);
  model_.pull().wait();
  return should_stop(epoch);
}

void Training::pull_for_validation() {
  const bool averaged = model_.options().ema.decay > 0.0F;
  (averaged ? model_.pull_average() : model_.pull()).wait();
}

Validation Training::validate_now(const std::function<void(const Judged&)>& see) {
  Inference inference(
      {&network_}, {.confidence = 0.001F, .iou = 0.6F, .max_detections = 300, .multi_label = true},
      false);
  const int side = setup_.spec.image_size;
  const ps::nn::DetectionLossOptions loss = loss_options(setup_, network_.detector().head());
  return validate(
      session_, inference, network_, *setup_.val,
      {.batch = val_batch_,
       .size = {side, side},
       .single_class = options().single_class,
       .kind = options().yolov5_map ? ps::vision::ApKind::kYoloV5 : ps::vision::ApKind::kCoco,
       .loss = &loss},
      see);
}

bool Training::improve(std::uint32_t epoch, const Validation& scores) {
  const double fitness = scores.report.fitness();
  if (fitness < setup_.progress.best_fitness) return false;
  if (fitness > setup_.progress.best_fitness) setup_.progress.best_epoch = epoch;
  setup_.progress.best_fitness = fitness;
  if (leads() && options().save) {
    save_weights(setup_.folder + "/weights/best.safetensors", network_, values_of(model_),
                 run_metadata(setup_, session_, epoch));
  }
  return true;
}

void Training::save_last(std::uint32_t epoch) {
  save_checkpoint(session_, model_, setup_, epoch);
}

void Training::add_row(std::uint32_t epoch, const Tally& all, const Validation& scores, float lr) {
  const double samples = static_cast<double>(epoch + 1) * static_cast<double>(setup_.train->size());
  const double warmup = static_cast<double>(warmup_iterations(setup_) * options().batch_size);
  const double left = warmup > 0.0 ? std::max(1.0 - samples / warmup, 0.0) : 0.0;
  const double bias_lr = left * setup_.hyperparameters.warmup_bias_lr + double{lr};
  report_->add_epoch(results_row(epoch, all, scores, {bias_lr, double{lr}, double{lr}}));
}

// Rank 0 decides, of the time, for all; the rest all know.
bool Training::should_stop(std::uint32_t epoch) {
  const bool late =
      options().max_hours > 0.0 && since_start_.seconds() > 3600.0 * options().max_hours;
  const double told = session_.reduce(std::vector{leads() && late ? 1.0 : 0.0}).front();
  if (told > 0.0) {
    if (leads()) std::printf("--time is over\n");
    return true;
  }
  if (options().patience == 0 || options().validate_last_only) return false;
  if (epoch - setup_.progress.best_epoch < options().patience) return false;
  if (leads()) {
    std::printf("no better weights for %u epochs (--patience): the best were epoch %u's\n",
                options().patience, setup_.progress.best_epoch + 1);
  }
  return true;
}

TrainResult Training::finish(std::uint32_t epochs) {
  if (best_.empty()) best_ = best_of_earlier(session_, setup_, network_);
  if (best_.empty()) best_ = values_of(model_);
  network_.bind({best_.begin(), best_.end()});
  if (leads())
    std::printf("validating the best weights, epoch %u's\n", setup_.progress.best_epoch + 1);
  Report* report = leads() && options().plots ? &*report_ : nullptr;
  const Validation scores = validate_now(
      report == nullptr ? std::function<void(const Judged&)>()
                        : [report](const Judged& judged) { report->draw_val_batch(judged); });
  const double seconds = since_start_.seconds();
  if (leads()) {
    print_scores(scores.report, setup_.spec.names, true);
    print_speed(scores);
    report_->draw_results();
    report_->draw_scores(scores.report);
    finish_checkpoints(setup_, network_, best_, run_metadata(setup_, session_, epochs - 1));
    std::printf("%u epochs in %.3f hours; results are in %s\n", epochs - setup_.progress.epoch,
                seconds / 3600.0, setup_.folder.c_str());
    std::fflush(stdout);
  }
  session_.finish();
  return {.map50 = scores.report.map50,
          .map50_95 = scores.report.map50_95,
          .precision = scores.report.precision,
          .recall = scores.report.recall,
          .images_per_second = whole_.images / std::max(whole_.seconds, 1e-9),
          .seconds = seconds,
          .seconds_training = whole_.seconds,
          .waiting = whole_.seconds_waited / std::max(whole_.seconds * session_.workers(), 1e-9),
          .mean_staleness = whole_.staleness / std::max(whole_.steps, 1.0),
          .epochs = epochs,
          .best_epoch = setup_.progress.best_epoch + 1,
          .mode = ps::mode_name(model_.options().mode),
          .folder = setup_.folder};
}

}  // namespace

TrainResult train(ps::Session& session, const TrainOptions& options) {
  return Training(session, options).run();
}

}  // namespace detect
