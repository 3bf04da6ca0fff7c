// The command line of detect, as it is when ps has taken its own flags out.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "device.h"

namespace detect {

struct TrainOptions {
  std::string weights;  // a file of earlier training to start from; empty: from scratch
  std::string cfg;      // a built-in table's name or a file; empty: the weights', or else pico
  std::string data;     // see ps/vision/dataset.h
  std::string hyp;      // empty: what suits the network
  std::uint32_t epochs = 100;
  std::uint32_t batch_size = 16;  // over all workers together
  int image_size = 640;
  bool resume = false;
  std::string resume_from;  // empty: the newest last checkpoint below --project
  bool save = true;
  bool validate_last_only = false;
  bool auto_anchor = true;
  bool plots = true;
  bool cache = false;
  std::string cache_kind;
  bool multi_scale = false;
  bool single_class = false;
  bool cosine = false;
  bool exist_ok = false;
  bool yolov5_map = false;
  std::string optimizer = "SGD";
  float label_smoothing = 0.0F;
  std::uint32_t patience = 100;
  std::uint32_t freeze = 0;
  std::int32_t save_period = -1;
  std::uint32_t loaders = 1;  // threads that read and augment, a worker
  double max_hours = 0.0;     // 0: no limit
  ComputeOptions compute;
  std::string compress = "none";  // see ps/compression.h
  std::string compress_pull = "none";
  std::string project = "runs/train";
  std::string name = "exp";
  // --hyp's numbers changed one by one: "lr0=0.02".
  std::vector<std::string> overrides;
  // The command line that said all this.
  std::vector<std::string> arguments;
};

// What val and predict have in common: the networks, and which boxes count.
struct InferenceOptions {
  std::vector<std::string> weights;  // several: their boxes are put together
  int image_size = 0;                // 0: as trained
  float confidence = 0.25F;
  float iou = 0.45F;
  std::int64_t max_detections = 1000;
  std::vector<std::int32_t> classes;  // empty: all
  bool agnostic = false;
  bool augment = false;  // at three scales, mirrored
  ComputeOptions compute;
  std::string project;
  std::string name = "exp";
  bool exist_ok = false;
};

struct ValOptions {
  InferenceOptions inference;
  std::string data;
  std::string task = "val";  // train, val, test, speed
  std::uint32_t batch_size = 32;
  bool single_class = false;
  bool yolov5_map = false;
  bool verbose = false;
  bool save_txt = false;
  bool save_conf = false;
  bool save_json = false;
  bool plots = true;
};

struct PredictOptions {
  InferenceOptions inference;
  std::vector<std::string> sources;
  bool save_txt = false;
  bool save_conf = false;
  bool save_crop = false;
  bool save_csv = false;
  bool save_json = false;
  bool save_images = true;
  bool hide_labels = false;
  bool hide_conf = false;
};

struct ExportOptions {
  std::string weights;
  std::string output;  // empty: beside the weights
  int image_size = 0;  // 0: as trained
  int opset = 0;       // 0: what fits
};

struct TuneOptions {
  TrainOptions train;  // of one trial
  std::uint32_t trials = 30;
  std::uint64_t tune_seed = 0;
  std::vector<std::string> genes;  // empty: augmentation's
};

struct MakeDataOptions {
  std::string output;
  std::uint32_t count = 8000;
  std::uint32_t val = 400;
  int size = 128;
  int classes = 5;
  std::uint64_t seed = 0;
};

struct Options {
  enum class Command { kTrain, kVal, kPredict, kExport, kTune, kMakeData, kModels };
  Command command = Command::kTrain;
  bool json = false;  // val, predict, ...: a last line for scripts (train always has one)
  TrainOptions train;
  ValOptions val;
  PredictOptions predict;
  ExportOptions export_to;
  TuneOptions tune;
  MakeDataOptions make_data;
};

// What a checkpoint keeps of a run's options, and the options again. The latter throws
// ps::Error(kMismatch).
std::string arguments_of_run(const TrainOptions& options);
TrainOptions options_of_run(const std::string& arguments);
// As YAML, for people.
void write_options(std::ostream& out, const TrainOptions& options);

// Nothing when help or an error of usage was printed instead: `exit_code` says how to end.
std::optional<Options> parse_options(const std::vector<std::string>& arguments, int& exit_code);

}  // namespace detect
