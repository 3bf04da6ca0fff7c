#include "commands.h"

#include <cstdio>
#include <string>

#include <ps/nn/detector.h>
#include <ps/vision/fm_det.h>

#include "network.h"
#include "training.h"

namespace detect {

int run_train(ps::Session& session, const Options& options) {
  const TrainResult result = train(session, options.train);
  if (session.rank() != 0) return 0;
  std::printf(
      "{\"map50\": %.4f, \"map50_95\": %.4f, \"precision\": %.4f, \"recall\": %.4f, "
      "\"images_per_second\": %.1f, \"seconds\": %.2f, \"seconds_training\": %.2f, "
      "\"waiting_for_data\": %.4f, \"mean_staleness\": %.3f, \"mode\": \"%s\", \"epochs\": %u, "
      "\"best_epoch\": %u, \"workers\": %u, \"folder\": \"%s\"}\n",
      result.map50, result.map50_95, result.precision, result.recall, result.images_per_second,
      result.seconds, result.seconds_training, result.waiting, result.mean_staleness,
      result.mode.c_str(), result.epochs, result.best_epoch, session.workers(),
      result.folder.c_str());
  return 0;
}

int run_export(const Options& options) {
  const ExportOptions& wanted = options.export_to;
  Trained trained = load_trained(wanted.weights, wanted.image_size, 1, {});
  std::string output = wanted.output;
  if (output.empty()) {
    const std::size_t dot = wanted.weights.rfind(".safetensors");
    output = wanted.weights.substr(0, dot) + ".onnx";
  }
  export_network(output, trained, wanted.opset);
  const int side = trained.network->spec().image_size;
  std::printf("wrote %s: input images (1, 3, %d, %d), output output0\n", output.c_str(), side,
              side);
  if (options.json) std::printf("{\"file\": \"%s\", \"image_size\": %d}\n", output.c_str(), side);
  return 0;
}

int run_make_data(const Options& options) {
  const MakeDataOptions& wanted = options.make_data;
  ps::vision::make_fm_det(wanted.output,
                          {.count = wanted.count,
                           .val = wanted.val,
                           .size = wanted.size,
                           .classes = wanted.classes,
                           .seed = wanted.seed},
                          [](std::size_t done, std::size_t total) {
                            std::fprintf(stderr, "\r%zu/%zu images", done, total);
                          });
  std::fprintf(stderr, "\n");
  std::printf("wrote %s/data.yaml\n", wanted.output.c_str());
  if (options.json) std::printf("{\"data\": \"%s/data.yaml\"}\n", wanted.output.c_str());
  return 0;
}

int run_models(const Options& /*options*/) {
  std::printf("%-14s%14s%18s\n", "network", "parameters", "GFLOP at 640 px");
  for (const std::string& name : ps::nn::detector_table_names()) {
    const ps::nn::Detector detector(ps::nn::detector_table(name), 80, 640, 640);
    std::printf("%-14s%14lld%18.2f\n", name.c_str(),
                static_cast<long long>(detector.parameter_count()), detector.flops() / 1e9);
  }
  std::printf("with 80 classes; a table file of your own works as well: --cfg FILE.yaml\n");
  return 0;
}

}  // namespace detect
