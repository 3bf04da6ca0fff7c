#include "training.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <numeric>
#include <sstream>

#include "dataset.h"
#include "network.h"
#include "record.h"

namespace classify {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kTestBatch = 250;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Score {
  double loss = 0;
  double accuracy = 0;
};

// Momentum adds to the momentum that delay itself brings: with many asynchronous workers it slows
// down or diverges (docs/consistency.md).
float default_momentum(const ps::Consistency& mode, std::uint32_t workers) {
  return std::holds_alternative<ps::Async>(mode) && workers >= 4 ? 0.0F : 0.9F;
}

ps::ModelOptions model_options(const Options& options, float momentum, std::uint64_t samples) {
  const std::uint64_t total = samples * options.epochs;
  return {
      .optimizer =
          ps::Sgd{.lr = options.lr, .momentum = momentum, .weight_decay = options.weight_decay},
      .schedule = {.kind = ps::Schedule::Kind::kCosine,
                   .warmup_samples = total / 20,
                   .total_samples = total},
      .groups = {{.pattern = "*.bias", .weight_decay = 0}, {.pattern = "bn*", .weight_decay = 0}}};
}

// Every worker tests its part; the sums are the same everywhere.
Score test(ps::Session& session, ps::nn::Graph& network, const Dataset& dataset) {
  const auto [begin, end] = session.slice(dataset.size());
  std::vector<double> sums(3);  // loss, correct, samples
  for (std::uint64_t at = begin; at < end; at += kTestBatch) {
    std::vector<std::uint32_t> indices(std::min<std::uint64_t>(kTestBatch, end - at));
    std::iota(indices.begin(), indices.end(), static_cast<std::uint32_t>(at));
    const Batch batch = make_batch(dataset, indices);
    const ps::nn::Result result = network.evaluate(batch.images, batch.labels);
    sums[0] += result.loss * static_cast<double>(result.samples);
    sums[1] += static_cast<double>(result.correct);
    sums[2] += static_cast<double>(result.samples);
  }
  sums = session.reduce(sums);
  return {sums[0] / sums[2], sums[1] / sums[2]};
}

class Trainer {
 public:
  Trainer(ps::Session& session, const Options& options)
      : session_(session),
        options_(options),
        train_(load_dataset(options.data, Part::kTrain, options.limit)),
        test_(load_dataset(options.data, Part::kTest, 0)),
        network_(make_network()),
        model_(make_model()) {
    add_parameters(network_, session_.seed(), model_);
    model_.start();
    bind(network_, model_);
    network_.prepare(static_cast<std::int64_t>(std::max<std::size_t>(kTestBatch, options.batch)));
  }

  int run();

 private:
  struct Tally {  // of one epoch, this worker's
    double loss = 0;
    double correct = 0;
    double samples = 0;
    double steps = 0;
    double staleness = 0;
    double refused = 0;
    double max_staleness = 0;
    float lr = 0;
  };
  struct Loaded {
    ps::Batch numbers;
    Batch batch;
  };

  ps::Model make_model();
  Tally run_epoch(std::uint32_t epoch);
  void step(const Loaded& loaded, Tally& tally);
  void show(const Loaded& loaded, const Tally& tally);
  EpochRecord close_epoch(std::uint32_t epoch, const Tally& tally, double training_seconds);
  void save(const std::string& path) const;

  ps::Session& session_;
  const Options options_;
  const Dataset train_;
  const Dataset test_;
  ps::nn::Graph network_;
  ps::Model model_;
  Clock::time_point started_ = Clock::now();
  std::uint64_t samples_ = 0;    // of all workers, in the epochs before this
  double training_seconds_ = 0;  // likewise, without tests
  double staleness_sum_ = 0;     // over all steps of all workers
  double steps_ = 0;
  Score last_test_;
};

ps::Model Trainer::make_model() {
  // The first call finds out which mode the configuration sets; it has no parameters and costs
  // nothing.
  const ps::Model probe = session_.model("mode", {});
  const ps::Consistency mode = probe.options().mode;
  const bool chosen = options_.momentum >= 0;
  const float momentum = chosen ? options_.momentum : default_momentum(mode, session_.workers());
  ps::Model model = session_.model("classify", model_options(options_, momentum, train_.size()));
  if (session_.rank() == 0) {
    const auto& sgd = std::get<ps::Sgd>(model.options().optimizer);
    std::cerr << "classify: " << train_.size() << " training and " << test_.size()
              << " test images, " << session_.workers() << " workers, mode " << ps::mode_name(mode)
              << ", lr " << sgd.lr << ", momentum " << sgd.momentum
              << (chosen ? "" : " (the default of this mode and number of workers)") << "\n";
  }
  return model;
}

int Trainer::run() {
  started_ = Clock::now();
  std::optional<Record> record;
  if (session_.rank() == 0) record.emplace(options_.out);
  for (std::uint32_t epoch = 0; epoch < options_.epochs; ++epoch) {
    const auto begin = Clock::now();
    const Tally tally = run_epoch(epoch);
    session_.barrier();
    const EpochRecord done = close_epoch(epoch, tally, seconds_since(begin));
    if (!record) continue;
    record->add(done);
    std::cerr << "epoch " << done.epoch << "/" << options_.epochs << ": loss " << done.train_loss
              << ", accuracy " << done.train_accuracy << "; test loss " << done.test_loss
              << ", accuracy " << done.test_accuracy << "; "
              << std::llround(done.samples_per_second) << " samples/s, staleness "
              << done.mean_staleness << "\n";
  }
  const double seconds = seconds_since(started_);
  session_.finish();
  if (!record) return 0;
  save(record->folder() + "/weights.safetensors");
  const bool drawn = record->plot();
  std::cerr << "results in " << record->folder() << ": results.csv, weights.safetensors"
            << (drawn ? ", results.png" : " (no plot: gnuplot is not installed)") << "\n";
  std::ostringstream json;
  json << "{\"accuracy\": " << last_test_.accuracy
       << ", \"samples_per_second\": " << static_cast<double>(samples_) / training_seconds_
       << ", \"seconds\": " << seconds << ", \"mode\": \"" << ps::mode_name(model_.options().mode)
       << "\", \"workers\": " << session_.workers() << ", \"epochs\": " << options_.epochs
       << ", \"mean_staleness\": " << (steps_ > 0 ? staleness_sum_ / steps_ : 0.0) << "}";
  std::cout << json.str() << std::endl;
  return 0;
}

Trainer::Tally Trainer::run_epoch(std::uint32_t epoch) {
  Tally tally;
  ps::Samples samples =
      session_.samples(train_, {.global_batch = options_.batch, .epochs = 1, .first_epoch = epoch});
  ps::Prefetcher<Loaded> loader(session_.prefetch(), [&]() -> std::optional<Loaded> {
    std::optional<ps::Batch> numbers = samples.next();
    if (!numbers) return std::nullopt;
    Batch batch = options_.augment
                      ? make_batch(train_, numbers->indices, {session_.seed(), numbers->epoch})
                      : make_batch(train_, numbers->indices);
    return Loaded{std::move(*numbers), std::move(batch)};
  });
  while (const std::optional<Loaded> loaded = loader.next()) {
    step(*loaded, tally);
    show(*loaded, tally);
  }
  return tally;
}

void Trainer::step(const Loaded& loaded, Tally& tally) {
  const auto count = static_cast<double>(loaded.batch.size());
  model_.begin_step(count);
  if (loaded.batch.size() > 0) {
    // Each gradient leaves as soon as it is complete, while the layers before it still compute.
    const auto parameters = model_.parameters();
    const ps::nn::Result result =
        network_.forward_backward(loaded.batch.images, loaded.batch.labels,
                                  [&](std::size_t i) { parameters[i].push_pull(); });
    tally.loss += result.loss * count;
    tally.correct += static_cast<double>(result.correct);
  }
  const ps::StepInfo info = model_.push_pull().wait();
  tally.samples += count;
  tally.steps += 1;
  tally.staleness += static_cast<double>(info.staleness);
  tally.max_staleness = std::max(tally.max_staleness, static_cast<double>(info.staleness));
  tally.refused += info.nonfinite;
  tally.lr = info.lr;
}

void Trainer::show(const Loaded& loaded, const Tally& tally) {
  if (session_.rank() != 0) return;
  const double seconds = seconds_since(started_);
  const double steps_done =
      static_cast<double>(loaded.numbers.epoch) * static_cast<double>(loaded.numbers.steps) +
      static_cast<double>(loaded.numbers.step + 1);
  const double steps_all =
      static_cast<double>(options_.epochs) * static_cast<double>(loaded.numbers.steps);
  const double share = std::clamp(steps_done / std::max(steps_all, 1.0), 0.0, 1.0);
  const double all = static_cast<double>(train_.size()) * options_.epochs;
  std::ostringstream line;
  line.precision(4);
  line << "epoch " << loaded.numbers.epoch + 1 << "/" << options_.epochs << "  step "
       << loaded.numbers.step + 1 << "/" << loaded.numbers.steps << "  "
       << std::llround(share * all / std::max(seconds, 1e-9)) << " samples/s  loss "
       << tally.loss / std::max(tally.samples, 1.0) << "  accuracy "
       << tally.correct / std::max(tally.samples, 1.0) << "  staleness "
       << tally.staleness / std::max(tally.steps, 1.0) << "  "
       << std::llround(seconds / std::max(share, 1e-9) - seconds) << " s left";
  session_.progress(line.str());
}

EpochRecord Trainer::close_epoch(std::uint32_t epoch, const Tally& tally, double training_seconds) {
  const std::vector<double> all = session_.reduce(std::vector<double>{
      tally.loss, tally.correct, tally.samples, tally.steps, tally.staleness, tally.refused});
  // In async and ssp mode the weights at hand are those of this worker's last step: test the
  // servers' latest.
  model_.pull().wait();
  last_test_ = test(session_, network_, test_);
  samples_ += static_cast<std::uint64_t>(all[2]);
  training_seconds_ += training_seconds;
  steps_ += all[3];
  staleness_sum_ += all[4];
  if (all[5] > 0 && session_.rank() == 0) {
    std::cerr << "classify: " << all[5]
              << " messages with NaN or infinity were refused in this epoch\n";
  }
  return {.epoch = epoch + 1,
          .samples = samples_,
          .seconds = seconds_since(started_),
          .train_loss = all[0] / all[2],
          .train_accuracy = all[1] / all[2],
          .test_loss = last_test_.loss,
          .test_accuracy = last_test_.accuracy,
          .samples_per_second = all[2] / training_seconds,
          .mean_staleness = all[4] / all[3],
          .max_staleness = tally.max_staleness,
          .lr = tally.lr};
}

void Trainer::save(const std::string& path) const {
  std::vector<ps::NamedTensor> tensors;
  for (const ps::Parameter& parameter : model_.parameters()) {
    tensors.push_back({parameter.name(), parameter.shape(), parameter.weights()});
  }
  ps::save_safetensors(path, tensors,
                       {{"program", "ps classify"},
                        {"mode", ps::mode_name(model_.options().mode)},
                        {"epochs", std::to_string(options_.epochs)},
                        {"test_accuracy", std::to_string(last_test_.accuracy)}});
}

void copy_weights(const ps::SafetensorsFile& file,
                  const std::string& path,
                  const ps::nn::Parameter& wanted,
                  std::span<float> values) {
  const auto* tensor = file.find(wanted.name);
  if (tensor == nullptr || tensor->shape != wanted.shape) {
    throw ps::Error(ps::ErrorCode::kMismatch,
                    path + " has " +
                        (tensor == nullptr ? "no tensor '" : "another shape of tensor '") +
                        wanted.name + "': it is not a file that classify train wrote");
  }
  std::ranges::copy(tensor->values, values.begin());
}

}  // namespace

int train(ps::Session& session, const Options& options) {
  return Trainer(session, options).run();
}

int evaluate_weights(ps::Session& session, const Options& options) {
  const Dataset dataset = load_dataset(options.data, Part::kTest, 0);
  const ps::SafetensorsFile file = ps::load_safetensors(options.weights);
  ps::nn::Graph network = make_network();
  std::vector<std::vector<float>> weights;
  for (const ps::nn::Parameter& parameter : network.parameters()) {
    copy_weights(file, options.weights, parameter,
                 weights.emplace_back(static_cast<std::size_t>(parameter.size())));
  }
  for (std::size_t i = 0; i < weights.size(); ++i) network.bind(i, weights[i], {});
  network.prepare(static_cast<std::int64_t>(kTestBatch));
  const Score score = test(session, network, dataset);
  session.finish();
  if (session.rank() == 0) {
    std::cout << "{\"accuracy\": " << score.accuracy << ", \"loss\": " << score.loss
              << ", \"images\": " << dataset.size() << "}" << std::endl;
  }
  return 0;
}

}  // namespace classify
