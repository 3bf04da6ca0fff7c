#include "epoch_loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>
#include <utility>

#include <ps/error.h>
#include <ps/samples.h>

namespace detect {
namespace {

constexpr int kBatchesAhead = 2;
constexpr int kStride = 32;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Parameters of the first `layers` layers: their names begin with "model.<layer>.".
std::size_t parameters_before(Network& network, std::uint32_t layers) {
  std::size_t count = 0;
  for (const ps::nn::Parameter& parameter : network.detector().graph().parameters()) {
    const std::size_t start = parameter.name.find('.') + 1;
    if (std::stoul(parameter.name.substr(start)) < layers) ++count;
  }
  return count;
}

}  // namespace

std::array<double, 3> Tally::mean_losses() const {
  std::array<double, 3> means = losses;
  for (double& each : means) each /= std::max(images, 1.0);
  return means;
}

Tally over_all_workers(ps::Session& session, const Tally& mine) {
  std::vector<double> numbers{mine.losses[0], mine.losses[1], mine.losses[2], mine.images,
                              mine.instances, mine.staleness, mine.steps,     mine.seconds_waited};
  numbers.resize(8 + session.workers());
  numbers[8 + session.rank()] = mine.seconds;
  numbers = session.reduce(numbers);
  return {.losses = {numbers[0], numbers[1], numbers[2]},
          .images = numbers[3],
          .instances = numbers[4],
          .staleness = numbers[5],
          .steps = numbers[6],
          .seconds_waited = numbers[7],
          .seconds = *std::max_element(numbers.begin() + 8, numbers.end())};
}

EpochLoop::EpochLoop(ps::Session& session, ps::Model& model, Network& network, const Setup& setup)
    : session_(session),
      model_(model),
      network_(network),
      setup_(setup),
      scales_loss_(network.compute().precision == ps::Precision::kFp16 &&
                   network.compute().on_gpu()),
      frozen_(parameters_before(network, setup.options.freeze)),
      encodes_on_gpu_(encode_on_gpu()) {
  network_.when_weights_needed([this](std::size_t i) { await_weights(i); });
}

// Where each step is one pass of the one graph: gradients that are put aside are added on the host,
// and what compression sends later is kept by a graph.
bool EpochLoop::encode_on_gpu() {
  const bool one_pass = accumulated_batches(setup_, UINT64_MAX) == 1;
  if (!network_.compute().on_gpu() || !one_pass || setup_.options.multi_scale) return false;
  std::vector<ps::nn::EncodedGradient> gradients(model_.parameters().size());
  bool some = false;
  for (std::size_t i = frozen_; i < gradients.size(); ++i) {
    const ps::Parameter& parameter = model_.parameters()[i];
    gradients[i] = {.how = parameter.encoding(), .to = parameter.encoded()};
    some = some || !gradients[i].how.pieces.empty();
  }
  if (some) {
    network_.detector().graph().encode_gradients(gradients,
                                                 [model = model_] { return model.step_number(); });
  }
  return some;
}

void EpochLoop::push(std::size_t parameter) const {
  const ps::Parameter& place = model_.parameters()[parameter];
  if (encodes_on_gpu_ && !place.encoding().pieces.empty()) {
    place.push_pull(place.encoded());
  } else {
    place.push_pull();
  }
}

Tally EpochLoop::run(std::uint32_t epoch, const Watcher& watch) {
  const auto start = std::chrono::steady_clock::now();
  tally_ = {};
  empty_ = 0;
  const std::uint64_t per_epoch =
      (setup_.train->size() + setup_.options.batch_size - 1) / setup_.options.batch_size;
  iteration_ = epoch * per_epoch;
  batches_ = per_epoch;
  ps::Samples samples = session_.samples(
      *setup_.train,
      {.global_batch = setup_.options.batch_size, .epochs = 1, .first_epoch = epoch});
  ps::vision::BatchLoader loader(*setup_.train,
                                 {.seed = session_.seed(),
                                  .workers = static_cast<int>(setup_.options.loaders),
                                  .ahead = kBatchesAhead},
                                 [&] { return next_order(samples, epoch); });
  while (const ps::vision::DetectionBatch* batch = loader.next()) {
    learn(*batch);
    tally_.seconds_waited = loader.seconds_waited();
    tally_.seconds = seconds_since(start);
    const double part = static_cast<double>(batch->step + 1) /
                        static_cast<double>(std::max<std::uint64_t>(batches_, 1));
    if (watch) watch({*batch, tally_, std::min(part, 1.0)});
  }
  // Sync: the others are training on the epoch's last, short batch.
  for (; empty_ > 0; --empty_) {
    if (++put_aside_ >= accumulated_batches(setup_, iteration_++)) add_nothing();
  }
  if (put_aside_ > 0) add_nothing();
  end_step();
  tally_.seconds_waited = loader.seconds_waited();
  tally_.seconds = seconds_since(start);
  return tally_;
}

std::optional<ps::vision::BatchOrder> EpochLoop::next_order(ps::Samples& samples,
                                                            std::uint32_t epoch) {
  std::optional<ps::Batch> batch = samples.next();
  while (batch && batch->size() == 0) {
    ++empty_;
    batch = samples.next();
  }
  if (!batch) return std::nullopt;
  const Hyperparameters& h = setup_.hyperparameters;
  const int side = setup_.spec.image_size;
  ps::vision::BatchOrder order{.indices = {batch->indices.begin(), batch->indices.end()},
                               .epoch = epoch,
                               .step = batch->step,
                               .size = {side, side},
                               .augmentation = h.augmentation};
  const bool last_epochs =
      static_cast<float>(epoch) + h.close_mosaic >= static_cast<float>(setup_.options.epochs);
  if (last_epochs && h.close_mosaic > 0.0F) order.augmentation = h.augmentation.without_mixing();
  if (setup_.options.multi_scale) {
    const int scaled = ps::vision::multi_scale_size(side, kStride, session_.seed(),
                                                    (std::uint64_t{epoch} << 32U) + batch->step);
    order.scaled = {scaled, scaled};
  }
  return order;
}

void EpochLoop::learn(const ps::vision::DetectionBatch& batch) {
  for (const std::string& fault : batch.faults) {
    std::fprintf(stderr, "detect: %s: gray stands in for it\n", fault.c_str());
  }
  ps::nn::Detector& detector = network_.at(batch.size);
  const auto n = static_cast<std::int64_t>(batch.indices.size());
  const auto place = std::pair{batch.size.height, batch.size.width};
  auto criterion = criteria_.find(place);
  if (criterion == criteria_.end()) {
    criterion = criteria_
                    .try_emplace(place, detector.head(), loss_options(setup_, detector.head()),
                                 network_.max_batch())
                    .first;
  }
  const auto weight = static_cast<double>(n);
  const bool last = ++put_aside_ >= accumulated_batches(setup_, iteration_++);
  ps::nn::GradientReady ready;
  if (last) {
    next_step_ = weight;
    // Each gradient leaves while the layers before it still compute theirs.
    ready = [&](std::size_t index) {
      if (index >= frozen_) push(index);
    };
  }
  if (scales_loss_) {
    end_step();  // it may change the scale
    detector.graph().scale_loss(loss_scale_.scale());
  }
  const ps::nn::DetectionLoss loss =
      detector.graph().forward_backward(batch.images, criterion->second, batch.targets, ready);
  check_finite(loss);
  last ? push_pull() : model_.accumulate(weight);
  const std::array<double, 3> parts =
      weighted_parts(loss, loss_options(setup_, detector.head()), detector.head());
  for (std::size_t i = 0; i < parts.size(); ++i) tally_.losses[i] += parts[i] * weight;
  tally_.images += weight;
  tally_.instances += static_cast<double>(batch.targets.size());
}

// The gradients are not touched before the last weights have come, with which the step before ends.
void EpochLoop::await_weights(std::size_t parameter) {
  const auto parameters = model_.parameters();
  parameters[parameter].wait_for_weights();
  if (parameter + 1 < parameters.size()) return;
  end_step();
  if (next_step_) begin_step(*std::exchange(next_step_, std::nullopt));
}

void EpochLoop::begin_step(double weight) {
  model_.begin_step(weight);
  for (std::size_t i = 0; i < frozen_; ++i) model_.parameters()[i].skip();
}

// A step of what was put aside alone.
void EpochLoop::add_nothing() {
  end_step();
  begin_step(0.0);
  push_pull();
}

void EpochLoop::push_pull() {
  step_ = model_.push_pull();
  put_aside_ = 0;
}

void EpochLoop::end_step() {
  if (!step_) return;
  const ps::StepInfo info = step_->wait();
  step_.reset();
  lr_ = info.lr;
  tally_.staleness += info.mean_staleness;
  tally_.steps += 1.0;
  if (scales_loss_) {
    loss_scale_.update(info);
  } else if (info.nonfinite > 0) {
    throw ps::Error(ps::ErrorCode::kAborted,
                    "the training diverged: gradients are not finite; try --set lr0=" +
                        std::to_string(setup_.hyperparameters.lr0 / 2));
  }
}

void EpochLoop::check_finite(const ps::nn::DetectionLoss& loss) const {
  if (std::isfinite(loss.total)) return;
  throw ps::Error(ps::ErrorCode::kAborted,
                  "the training diverged: the loss is not finite; try --set lr0=" +
                      std::to_string(setup_.hyperparameters.lr0 / 2));
}

}  // namespace detect
