// A detector with its memory: the same weights at every input size that is asked for, and in files.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ps/model.h>
#include <ps/nn/detector.h>
#include <ps/safetensors.h>
#include <ps/vision/dataset.h>
#include <ps/vision/shapes.h>

#include "device.h"
#include "options.h"

namespace detect {

// What a network is, but for its weights.
struct NetworkSpec {
  ps::nn::DetectorTable table;
  std::vector<std::string> names;  // of the classes
  int image_size = 640;            // that it is trained at
};

// One thread's. Makes a graph for each input size on first use; they share weights and gradients.
class Network {
 public:
  // max_batch: of a forward or training pass at any size.
  Network(NetworkSpec spec, std::int64_t max_batch, Compute compute);

  [[nodiscard]] const NetworkSpec& spec() const noexcept { return spec_; }
  // The network at the size that it is trained at: its parameters are those of all sizes.
  [[nodiscard]] ps::nn::Detector& detector() { return at({spec_.image_size, spec_.image_size}); }
  // Sizes are multiples of the largest stride.
  ps::nn::Detector& at(ps::vision::ImageSize size);
  [[nodiscard]] std::int64_t max_batch() const noexcept { return max_batch_; }
  [[nodiscard]] const Compute& compute() const noexcept { return compute_; }

  // Where the weights, by parameter, and the gradients lie; alive as long as they are used. Without
  // gradients: for forward passes.
  void bind(std::vector<std::span<const float>> weights,
            std::vector<std::span<float>> gradients = {});
  // How passes at any size wait for weights from now on (ps/nn/graph.h).
  void when_weights_needed(ps::nn::WeightsNeeded needed);

 private:
  void bind(ps::nn::Detector& detector) const;

  NetworkSpec spec_;
  const std::int64_t max_batch_;
  const Compute compute_;
  // By height and width.
  std::map<std::pair<int, int>, std::unique_ptr<ps::nn::Detector>> detectors_;
  std::vector<std::span<const float>> weights_;
  std::vector<std::span<float>> gradients_;
  ps::nn::WeightsNeeded needed_;
};

// Weights in memory of their own, by parameter.
using Values = std::vector<std::vector<float>>;

// Adds the network's parameters to a model that is not started yet, with first values from the seed
// (or from `first`, where that is not empty), and binds the network to the model's memory.
void connect(Network& network, ps::Model& model, std::uint64_t seed, const Values& first);

// A file of weights for inference: the network's table, its classes and its size are in the
// metadata.
void save_weights(const std::string& path,
                  Network& network,
                  const Values& values,
                  std::map<std::string, std::string> metadata);

// The metadata that tells what a network is.
std::map<std::string, std::string> describe(const NetworkSpec& spec);
// From a file's metadata. Throws ps::Error(kMismatch) naming the file when it is not of detect.
NetworkSpec spec_of(const ps::SafetensorsFile& file, const std::string& path);

// A network with the weights of a file.
struct Trained {
  std::unique_ptr<Network> network;
  Values values;
  std::map<std::string, std::string> metadata;
};
// image_size 0: as trained. Throws ps::Error naming the file and the tensor.
Trained load_trained(const std::string& path,
                     int image_size,
                     std::int64_t max_batch,
                     const Compute& compute);

// The networks of several files; they have the same classes. Throws likewise, and kMismatch.
std::vector<Trained> load_ensemble(const InferenceOptions& options,
                                   std::int64_t max_batch,
                                   const Compute& compute);
std::vector<Network*> networks_of(const std::vector<Trained>& trained);

// Throws ps::Error(kMismatch) unless the data's classes are the network's.
void check_classes(const NetworkSpec& spec, const ps::vision::Dataset& data, bool single_class);

// Writes the network, its decoding included, as ONNX.
void export_network(const std::string& path, Trained& trained, int opset);

// The file's values for the network's parameters, and for those that it has not (or of another
// shape: other classes, say) first values from the seed. `taken` says how many it had.
Values transfer(const ps::SafetensorsFile& file,
                Network& network,
                std::uint64_t seed,
                std::size_t& taken);

}  // namespace detect
