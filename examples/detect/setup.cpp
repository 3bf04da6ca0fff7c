#include "setup.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <ps/error.h>

#include "fit_anchors.h"
#include "gather.h"
#include "run_folder.h"

namespace detect {
namespace {

constexpr int kLargestStride = 32;
constexpr double kLeastWarmup = 100.0;  // iterations; but half of a short run at most

std::unique_ptr<ps::vision::Dataset> open(ps::Session& session,
                                          const TrainOptions& options,
                                          ps::vision::Split split) {
  ps::vision::Scan scan;
  ps::vision::DatasetOptions how;
  how.threads = std::max<std::size_t>(options.loaders, 1);
  how.progress = [&](std::size_t done, std::size_t total) {
    session.progress("scanning " + options.data + ": " + std::to_string(done) + "/" +
                     std::to_string(total));
  };
  auto data = ps::vision::open_dataset(options.data, split, how, &scan);
  if (session.rank() == 0) {
    std::printf("%s: %s\n", ps::vision::to_string(split), ps::vision::scan_line(scan).c_str());
    for (const std::string& fault : scan.faults) std::printf("  %s\n", fault.c_str());
    std::fflush(stdout);
  }
  return options.cache ? ps::vision::cached(std::move(data)) : std::move(data);
}

Hyperparameters choose_hyperparameters(const TrainOptions& options,
                                       const ps::nn::DetectorTable& table) {
  std::string name = options.hyp;
  if (name.empty()) {
    name = table.anchors.empty() ? "v8" : options.image_size < 256 ? "small" : "scratch-low";
  }
  Hyperparameters chosen = load_hyperparameters(name);
  for (const std::string& change : options.overrides) override_hyperparameter(chosen, change);
  return chosen;
}

std::vector<std::string> class_names(const TrainOptions& options, const ps::vision::Dataset& data) {
  if (!options.single_class) return data.names();
  return {data.names().size() == 1 ? data.names().front() : "object"};
}

int rounded_size(ps::Session& session, int size) {
  const int rounded = (size + kLargestStride - 1) / kLargestStride * kLargestStride;
  if (rounded != size && session.rank() == 0) {
    std::printf("--img %d is not a multiple of the largest stride, %d: %d is taken\n", size,
                kLargestStride, rounded);
  }
  return rounded;
}

// The first weights' metadata, of which rank 0 alone need have the file.
std::map<std::string, std::string> shared_metadata(ps::Session& session,
                                                   const std::optional<ps::SafetensorsFile>& file) {
  std::string text;
  if (file) {
    for (const auto& [key, value] : file->metadata) text += key + '\0' + value + '\0';
  }
  text = from_rank_0(session, text);
  std::map<std::string, std::string> result;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t middle = text.find('\0', i);
    const std::size_t end = text.find('\0', middle + 1);
    result[text.substr(i, middle - i)] = text.substr(middle + 1, end - middle - 1);
    i = end + 1;
  }
  return result;
}

std::string checkpoint_path(const TrainOptions& options) {
  if (!options.resume_from.empty()) return options.resume_from;
  const std::optional<std::string> newest = newest_checkpoint(options.project);
  if (newest) return *newest;
  throw ps::Error(ps::ErrorCode::kInvalidArgument,
                  "--resume: there is no */weights/last.safetensors below " + options.project +
                      "; name the file: --resume FILE");
}

const std::string& required(const std::map<std::string, std::string>& metadata, const char* key) {
  const auto found = metadata.find(key);
  if (found != metadata.end()) return found->second;
  throw ps::Error(
      ps::ErrorCode::kMismatch,
      std::string("--resume: the file has no \"") + key +
          "\": it is of a finished run, or not a last.safetensors of detect; start a new "
          "run from it with --weights");
}

double number_in(const std::map<std::string, std::string>& metadata, const char* key) {
  const std::string& text = required(metadata, key);
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end != text.c_str() && *end == '\0' && value >= -1.0 && value < 4e9) return value;
  throw ps::Error(ps::ErrorCode::kCorrupt,
                  std::string("--resume: \"") + key + "\" is \"" + text + "\", expected a number");
}

// The options of the run that goes on, and how far it was. Every worker reads the file.
void take_up(ps::Session& session, Setup& setup) {
  const std::string path =
      from_rank_0(session, session.rank() == 0 ? checkpoint_path(setup.options) : "");
  setup.checkpoint = ps::load_safetensors(path);
  const auto& metadata = setup.checkpoint->metadata;
  const std::string& seed = required(metadata, "seed");
  if (seed != std::to_string(session.seed())) {
    throw ps::Error(ps::ErrorCode::kMismatch,
                    path + " is of a run with seed " + seed + ", this job has " +
                        std::to_string(session.seed()) + ": say --seed " + seed);
  }
  setup.options = options_of_run(required(metadata, "arguments"));
  setup.spec = spec_of(*setup.checkpoint, path);
  setup.progress.epoch = static_cast<std::uint32_t>(number_in(metadata, "epoch")) + 1;
  setup.progress.best_fitness = number_in(metadata, "best_fitness");
  setup.progress.best_epoch = static_cast<std::uint32_t>(number_in(metadata, "best_epoch"));
  const std::size_t weights = path.rfind("/weights/");
  setup.folder = weights == std::string::npos ? "." : path.substr(0, weights);
  if (session.rank() == 0) {
    std::printf("%s: going on with epoch %u of %u\n", setup.folder.c_str(),
                setup.progress.epoch + 1, setup.options.epochs);
  }
}

void begin_new(ps::Session& session, Setup& setup) {
  const TrainOptions& options = setup.options;
  if (session.rank() == 0) {
    if (!options.weights.empty()) setup.weights = ps::load_safetensors(options.weights);
    setup.folder = make_run_folder(options.project, options.name, options.exist_ok);
  }
  setup.folder = from_rank_0(session, setup.folder);
  const auto metadata = shared_metadata(session, setup.weights);
  if (!options.cfg.empty() || metadata.empty()) {
    setup.spec.table = ps::nn::detector_table(options.cfg.empty() ? "pico" : options.cfg);
  } else {
    ps::SafetensorsFile described;
    described.metadata = metadata;
    setup.spec = spec_of(described, options.weights);
  }
  setup.spec.image_size = rounded_size(session, options.image_size);
}

}  // namespace

Setup prepare_training(ps::Session& session, const TrainOptions& options) {
  Setup setup;
  setup.options = options;
  if (options.resume) {
    take_up(session, setup);
  } else {
    begin_new(session, setup);
  }
  if (setup.options.data.empty()) setup.options.data = session.data_path();
  if (setup.options.data.empty()) {
    throw ps::Error(ps::ErrorCode::kInvalidArgument,
                    "--data: expected a data set: data.yaml, obj.data, a COCO .json, a Pascal VOC "
                    "folder or fm-det");
  }
  setup.train = open(session, setup.options, ps::vision::Split::kTrain);
  setup.val = open(session, setup.options, ps::vision::Split::kVal);
  setup.hyperparameters = choose_hyperparameters(setup.options, setup.spec.table);
  if (!options.resume) {
    setup.spec.names = class_names(setup.options, *setup.train);
    if (setup.options.auto_anchor && !setup.spec.table.anchors.empty()) fit_anchors(session, setup);
  }
  return setup;
}

std::array<double, 3> weighted_parts(const ps::nn::DetectionLoss& loss,
                                     const ps::nn::DetectionLossOptions& options,
                                     const ps::nn::DetectionHead& head) {
  const double middle =
      head.anchor_free() ? options.dfl * loss.dfl : options.objectness * loss.objectness;
  return {options.box * loss.box, middle, options.category * loss.category};
}

bool has_own_weights(const ps::Consistency& mode) {
  return std::holds_alternative<ps::LocalSgd>(mode) || std::holds_alternative<ps::Easgd>(mode);
}

std::uint64_t warmup_iterations(const Setup& setup) {
  const double epochs = setup.hyperparameters.warmup_epochs;
  if (epochs <= 0.0) return 0;
  const double per_epoch =
      std::ceil(static_cast<double>(setup.train->size()) / setup.options.batch_size);
  const double wanted = std::max(std::round(epochs * per_epoch), kLeastWarmup);
  return static_cast<std::uint64_t>(
      std::min(wanted, std::floor(per_epoch * setup.options.epochs / 2)));
}

std::uint32_t accumulated_batches(const Setup& setup, std::uint64_t iteration) {
  const double nominal = setup.hyperparameters.nbs;
  if (nominal <= 0.0) return 1;
  const double ratio = nominal / setup.options.batch_size;
  const double all = std::max(std::round(ratio), 1.0);
  const auto warmup = static_cast<double>(warmup_iterations(setup));
  if (static_cast<double>(iteration) >= warmup) return static_cast<std::uint32_t>(all);
  const double ramp = 1.0 + (ratio - 1.0) * static_cast<double>(iteration) / warmup;
  return static_cast<std::uint32_t>(std::max(std::nearbyint(ramp), 1.0));  // half to even
}

ps::ModelOptions model_options(const ps::Session& session, const Setup& setup) {
  const Hyperparameters& h = setup.hyperparameters;
  const std::uint64_t size = setup.train->size();
  float decay = h.weight_decay;
  if (h.nbs > 0.0F) {
    decay *= static_cast<float>(setup.options.batch_size * accumulated_batches(setup, UINT64_MAX)) /
             h.nbs;
  }
  ps::ModelOptions options{
      .schedule = {.kind = setup.options.cosine ? ps::Schedule::Kind::kCosine
                                                : ps::Schedule::Kind::kLinear,
                   .warmup_samples = warmup_iterations(setup) * setup.options.batch_size,
                   .total_samples = setup.options.epochs * size,
                   .final_factor = h.lrf,
                   .epoch_samples = size,
                   .decay_from_start = true},
      .groups = {{.pattern = "*.bn.weight", .weight_decay = 0.0F},
                 {.pattern = "*.bias",
                  .weight_decay = 0.0F,
                  .warmup_start = h.warmup_bias_lr / h.lr0}},
      .reduce = ps::Reduce::kSum,
      .clip_norm = h.clip,
      .compression = ps::compression_of(setup.options.compress, setup.options.compress_pull)};
  const ps::Consistency mode = session.configured(options).mode;
  const float momentum = ps::momentum_for(mode, session.workers(), h.momentum);
  if (warmup_iterations(setup) > 0) {
    options.schedule.warmup_momentum = std::min(h.warmup_momentum, momentum);
  }
  if (setup.options.optimizer == "SGD") {
    options.optimizer = ps::Sgd{
        .lr = h.lr0, .momentum = momentum, .nesterov = momentum > 0.0F, .weight_decay = decay};
  } else if (setup.options.optimizer == "Adam") {
    options.optimizer = ps::Adam{.lr = h.lr0, .beta1 = momentum, .weight_decay = decay};
  } else {
    options.optimizer = ps::AdamW{.lr = h.lr0, .beta1 = momentum, .weight_decay = decay};
  }
  if (std::holds_alternative<ps::Sync>(mode)) options.finite = ps::Finite::kStep;
  if (has_own_weights(mode)) return options;  // of which the servers keep no average
  // Where every worker's gradient is an update of its own, an average over the same samples takes
  // as many times the updates.
  const double updates = std::holds_alternative<ps::Sync>(mode) ? 1.0 : session.workers();
  options.ema = {.decay = static_cast<float>(std::pow(double{h.ema_decay}, 1.0 / updates)),
                 .tau = static_cast<float>(h.ema_tau * updates)};
  return options;
}

ps::nn::DetectionLossOptions loss_options(const Setup& setup, const ps::nn::DetectionHead& head) {
  const Hyperparameters& h = setup.hyperparameters;
  ps::nn::DetectionLossOptions options{.box = h.box,
                                       .objectness = h.obj,
                                       .category = h.cls,
                                       .dfl = h.dfl,
                                       .anchor_threshold = h.anchor_t,
                                       .label_smoothing = setup.options.label_smoothing,
                                       .focal_gamma = h.fl_gamma,
                                       .category_weight = h.cls_pw,
                                       .objectness_weight = h.obj_pw};
  if (!h.scale_gains) {
    if (!head.anchor_free()) options.balance.assign(head.levels.size(), 1.0F);
    return options;
  }
  return ps::nn::scaled_gains(options, static_cast<std::int64_t>(head.levels.size()), head.classes,
                              setup.spec.image_size);
}

}  // namespace detect
