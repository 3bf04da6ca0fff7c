// Sync: all workers take the same steps. Async and ssp: each takes as many as it can, and they meet
// at the end of every epoch, where all evaluate the same weights.
#include "training.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <ps/error.h>
#include <ps/model.h>
#include <ps/nn/graph.h>
#include <ps/options.h>
#include <ps/prefetch.h>
#include <ps/samples.h>

#include "dataset.h"
#include "evaluation.h"
#include "network.h"
#include "record.h"

namespace classify {
namespace {

constexpr std::uint64_t kRowsPerEpoch = 20;

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Sums over steps.
struct Tally {
  double loss = 0.0;
  double correct = 0.0;
  double samples = 0.0;
  double staleness = 0.0;
  double steps = 0.0;  // those with samples

  void add(const Tally& other) {
    loss += other.loss;
    correct += other.correct;
    samples += other.samples;
    staleness += other.staleness;
    steps += other.steps;
  }
  [[nodiscard]] Score score() const {
    const double n = std::max(samples, 1.0);
    return {.loss = loss / n, .accuracy = correct / n};
  }
  [[nodiscard]] double mean_staleness() const { return staleness / std::max(steps, 1.0); }
};

Tally over_all_workers(ps::Session& session, const Tally& mine) {
  const std::vector<double> sums =
      session.reduce(std::array{mine.loss, mine.correct, mine.samples, mine.staleness, mine.steps});
  return {sums[0], sums[1], sums[2], sums[3], sums[4]};
}

ps::ModelOptions model_options(const ps::Session& session,
                               const Options& options,
                               std::size_t dataset_size) {
  const std::uint64_t total = std::uint64_t{options.epochs} * dataset_size;
  ps::Sgd sgd{.lr = options.lr, .momentum = 0.9F, .weight_decay = options.weight_decay};
  ps::ModelOptions chosen{
      .optimizer = sgd,
      .schedule = {.kind = ps::Schedule::Kind::kCosine,
                   .warmup_samples = total / 20,
                   .total_samples = total},
      .groups = {{.pattern = "*.bias", .weight_decay = 0.0F},
                 {.pattern = "bn*", .weight_decay = 0.0F}},
      .compression = ps::compression_of(options.compress, options.compress_pull)};
  sgd.momentum = options.momentum.value_or(
      ps::momentum_for(session.configured(chosen).mode, session.workers(), sgd.momentum));
  chosen.optimizer = sgd;
  return chosen;
}

std::string describe(const ps::Optimizer& optimizer) {
  std::array<char, 64> text{};
  const float lr = std::visit([](const auto& any) { return any.lr; }, optimizer);
  std::snprintf(text.data(), text.size(), "%s, lr %g", ps::optimizer_name(optimizer), lr);
  std::string description = text.data();
  if (const auto* sgd = std::get_if<ps::Sgd>(&optimizer)) {
    std::snprintf(text.data(), text.size(), ", momentum %g", sgd->momentum);
    description += text.data();
  }
  return description;
}

std::string count(std::uint32_t n, const std::string& noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

class Training {
 public:
  Training(ps::Session& session, const Options& options)
      : session_(session),
        options_(options),
        train_(load_dataset(options.data, Part::kTrain, options.limit)),
        test_(load_dataset(options.data, Part::kTest, 0)),
        model_(session.model("classify", model_options(session, options, train_.size()))),
        graph_(build_network()) {
    if (leads()) record_.emplace(options.out);  // before the work, so that a bad path is told first
    connect(graph_, model_, session.seed());
    graph_.prepare(std::max(std::int64_t{options.batch}, kEvaluationBatch));
  }

  TrainResult run();

 private:
  // A batch that is ready to be trained on, and which one it is.
  struct Item {
    ps::Batch from;
    Batch batch;
  };

  [[nodiscard]] bool leads() const { return session_.rank() == 0; }
  [[nodiscard]] std::string mode() const { return ps::mode_name(model_.options().mode); }
  void announce() const;
  void show_staleness(const std::vector<double>& by_rank) const;
  void train_epoch(std::uint32_t epoch);
  ps::StepInfo take_step(const Item& item);
  void note(const Item& item, const ps::StepInfo& info);
  void show_progress(const Item& item) const;
  void evaluate_epoch(std::uint32_t epoch);
  void write_row(const std::optional<Score>& test,
                 const std::optional<ps::Measures>& measures = std::nullopt);
  void save() const;

  ps::Session& session_;
  const Options& options_;
  const Dataset train_;
  const Dataset test_;
  ps::Model model_;
  ps::nn::Graph graph_;
  std::optional<Record> record_;  // rank 0's

  Stopwatch since_start_;
  Stopwatch since_epoch_;
  double training_seconds_ = 0.0;  // of the epochs that ended
  std::uint64_t steps_ = 0;        // this worker's
  std::uint32_t epoch_ = 0;        // where the training is, in epochs: epoch_ + part_
  double part_ = 0.0;
  float lr_ = 0.0F;
  Tally row_;    // this worker's since the last row
  Tally mine_;   // this worker's of this epoch
  Tally own_;    // this worker's, of all epochs
  Tally whole_;  // all workers', of the epochs that ended
  Score test_score_;

  [[nodiscard]] double samples_so_far() const {
    return (epoch_ + part_) * static_cast<double>(train_.size());
  }
  [[nodiscard]] double samples_per_second() const {
    const double running = part_ < 1.0 ? since_epoch_.seconds() : 0.0;
    return samples_so_far() / std::max(training_seconds_ + running, 1e-9);
  }
};

TrainResult Training::run() {
  model_.start();
  if (leads()) announce();
  session_.barrier();
  since_start_ = {};
  for (epoch_ = 0; epoch_ < options_.epochs; ++epoch_) {
    train_epoch(epoch_);
    evaluate_epoch(epoch_);
  }
  std::vector<double> staleness(session_.workers());
  staleness[session_.rank()] = own_.mean_staleness();
  staleness = session_.reduce(staleness);
  const double seconds = since_start_.seconds();
  if (leads()) {
    show_staleness(staleness);
    save();
  }
  session_.finish();
  return {.accuracy = test_score_.accuracy,
          .loss = test_score_.loss,
          .samples_per_second = whole_.samples / std::max(training_seconds_, 1e-9),
          .seconds = seconds,
          .mean_staleness = whole_.mean_staleness(),
          .mode = mode()};
}

// How late each worker's gradients were: a slow one's are the latest.
void Training::show_staleness(const std::vector<double>& by_rank) const {
  if (*std::ranges::max_element(by_rank) == 0.0) return;
  std::string line = "mean staleness of each worker:";
  std::array<char, 32> text{};
  for (const double each : by_rank) {
    std::snprintf(text.data(), text.size(), " %.2f", each);
    line += text.data();
  }
  std::puts(line.c_str());
}

void Training::announce() const {
  const auto parameters = model_.parameters();
  const std::size_t values = std::accumulate(
      parameters.begin(), parameters.end(), std::size_t{0},
      [](std::size_t sum, const ps::Parameter& each) { return sum + each.weights().size(); });
  std::printf("%s with %s: %s; %zu values in %zu tensors; %s of %zu images\n", mode().c_str(),
              count(session_.workers(), "worker").c_str(),
              describe(model_.options().optimizer).c_str(), values, parameters.size(),
              count(options_.epochs, "epoch").c_str(), train_.size());
  std::fflush(stdout);
}

void Training::train_epoch(std::uint32_t epoch) {
  since_epoch_ = {};
  part_ = 0.0;
  mine_ = {};
  model_.resume();  // easgd: from the center, which was evaluated, back to this worker's weights
  ps::Samples samples =
      session_.samples(train_, {.global_batch = options_.batch, .epochs = 1, .first_epoch = epoch});
  ps::Prefetcher<Item> ahead(session_.prefetch(), [&]() -> std::optional<Item> {
    std::optional<ps::Batch> from = samples.next();
    if (!from) return std::nullopt;
    Batch batch = make_batch(train_, from->indices, {.seed = session_.seed(), .epoch = epoch});
    return Item{std::move(*from), std::move(batch)};
  });
  while (const std::optional<Item> item = ahead.next()) note(*item, take_step(*item));
  const Tally all = over_all_workers(session_, mine_);  // the slowest worker's time counts
  training_seconds_ += since_epoch_.seconds();
  part_ = 1.0;
  own_.add(mine_);
  whole_.add(all);
  mine_ = all;
}

// Each gradient leaves while the layers before it still compute theirs.
ps::StepInfo Training::take_step(const Item& item) {
  if (item.batch.size() == 0) return model_.push_pull(0).wait();
  const auto parameters = model_.parameters();
  model_.begin_step(static_cast<double>(item.batch.size()));
  const ps::nn::Result result =
      graph_.forward_backward(item.batch.images, item.batch.labels,
                              [&](std::size_t index) { parameters[index].push_pull(); });
  const ps::StepInfo info = model_.push_pull().wait();
  if (!std::isfinite(result.loss) || info.nonfinite > 0) {
    throw ps::Error(ps::ErrorCode::kAborted,
                    "the training diverged: step " + std::to_string(steps_) +
                        " has a loss or gradients that are not finite; try a smaller --lr than " +
                        std::to_string(options_.lr));
  }
  const Tally step{.loss = result.loss * static_cast<double>(result.samples),
                   .correct = static_cast<double>(result.correct),
                   .samples = static_cast<double>(result.samples),
                   .staleness = info.mean_staleness,
                   .steps = 1.0};
  row_.add(step);
  mine_.add(step);
  return info;
}

void Training::note(const Item& item, const ps::StepInfo& info) {
  ++steps_;
  lr_ = info.lr;
  const std::uint64_t before = item.from.step * kRowsPerEpoch / item.from.steps;
  const std::uint64_t after = (item.from.step + 1) * kRowsPerEpoch / item.from.steps;
  // The epoch's last row waits for the evaluation. Async: `steps` is an estimate.
  part_ = std::min(static_cast<double>(item.from.step + 1) / static_cast<double>(item.from.steps),
                   0.9999);
  if (!leads()) return;
  if (after != before && after < kRowsPerEpoch) write_row(std::nullopt);
  show_progress(item);
}

void Training::show_progress(const Item& item) const {
  const Score score = mine_.score();
  const double done = (epoch_ + part_) / options_.epochs;
  const auto left = static_cast<long>(since_start_.seconds() * (1.0 - done) / done);
  std::array<char, 256> text{};
  std::snprintf(text.data(), text.size(),
                "epoch %u/%u  step %llu/%llu  %.0f samples/s  loss %.3f  accuracy %.3f  "
                "staleness %.2f  %ld:%02ld left",
                epoch_ + 1, options_.epochs, static_cast<unsigned long long>(item.from.step + 1),
                static_cast<unsigned long long>(item.from.steps), samples_per_second(), score.loss,
                score.accuracy, mine_.mean_staleness(), left / 60, left % 60);
  session_.progress(text.data());
}

void Training::evaluate_epoch(std::uint32_t epoch) {
  model_.pull().wait();  // nobody pushes now: all have the same weights
  test_score_ = evaluate(session_, graph_, test_);
  if (!leads()) return;
  std::optional<ps::Measures> measures;
  if (model_.options().measure) measures = model_.measures();
  write_row(test_score_, measures);
  const Score trained = mine_.score();
  std::printf(
      "epoch %u/%u: training loss %.4f, accuracy %.4f; test loss %.4f, accuracy %.4f; "
      "%.0f samples/s, mean staleness %.2f\n",
      epoch + 1, options_.epochs, trained.loss, trained.accuracy, test_score_.loss,
      test_score_.accuracy, samples_per_second(), mine_.mean_staleness());
  if (measures) {
    std::printf(
        "measured: effective batch %.1f, gradient norm %.3g, update / weight %.2g, noise scale "
        "%.0f samples\n",
        measures->batch, measures->gradient_norm, measures->update_to_weight,
        measures->noise_scale);
  }
  std::fflush(stdout);
}

void Training::write_row(const std::optional<Score>& test,
                         const std::optional<ps::Measures>& measures) {
  record_->add({.epoch = epoch_ + 1,
                .step = steps_,
                .seconds = since_start_.seconds(),
                .samples = static_cast<std::uint64_t>(std::llround(samples_so_far())),
                .train = row_.score(),
                .test = test,
                .samples_per_second = samples_per_second(),
                .mean_staleness = row_.mean_staleness(),
                .lr = lr_,
                .measures = measures});
  row_ = {};
}

void Training::save() const {
  std::array<char, 32> accuracy{};
  std::snprintf(accuracy.data(), accuracy.size(), "%.4f", test_score_.accuracy);
  const std::string path = options_.out + "/weights.safetensors";
  save_weights(path, model_,
               {{"program", "classify"},
                {"mode", mode()},
                {"epochs", std::to_string(options_.epochs)},
                {"test_accuracy", accuracy.data()}});
  const bool drawn =
      record_->plot("classify: " + mode() + ", " + count(session_.workers(), "worker") +
                    ", test accuracy " + accuracy.data());
  std::printf("wrote %s and results.csv%s\n", path.c_str(),
              drawn ? ", results.png" : " (no results.png without gnuplot)");
  std::fflush(stdout);
}

}  // namespace

TrainResult train(ps::Session& session, const Options& options) {
  return Training(session, options).run();
}

}  // namespace classify
