#include "network.h"

#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <ps/error.h>
#include <ps/nn/onnx.h>

namespace detect {
namespace {

constexpr const char* kFormat = "detect 1";

std::string join_lines(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : "\n") + line;
  return text;
}

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

[[noreturn]] void mismatch(const std::string& path, const std::string& what) {
  throw ps::Error(ps::ErrorCode::kMismatch,
                  path + ": " + what + "; is it a file that `detect train` wrote?");
}

const std::string& entry(const ps::SafetensorsFile& file,
                         const std::string& path,
                         const char* key) {
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end())
    mismatch(path, "its metadata has no \"" + std::string(key) + "\"");
  return found->second;
}

std::vector<std::span<const float>> views(const Values& values) {
  return {values.begin(), values.end()};
}

}  // namespace

Network::Network(NetworkSpec spec, std::int64_t max_batch, Compute compute)
    : spec_(std::move(spec)), max_batch_(max_batch), compute_(std::move(compute)) {}

ps::nn::Detector& Network::at(ps::vision::ImageSize size) {
  auto& detector = detectors_[{size.height, size.width}];
  if (!detector) {
    detector = std::make_unique<ps::nn::Detector>(
        spec_.table, static_cast<std::int64_t>(spec_.names.size()), size.height, size.width);
    detector->graph().prepare(max_batch_, placement_of(compute_, *detector));
    detector->graph().when_weights_needed(needed_);
    if (!weights_.empty()) bind(*detector);
  }
  return *detector;
}

void Network::bind(std::vector<std::span<const float>> weights,
                   std::vector<std::span<float>> gradients) {
  weights_ = std::move(weights);
  gradients_ = std::move(gradients);
  for (auto& [size, detector] : detectors_) bind(*detector);
}

void Network::when_weights_needed(ps::nn::WeightsNeeded needed) {
  needed_ = std::move(needed);
  for (auto& [size, detector] : detectors_) detector->graph().when_weights_needed(needed_);
}

void Network::bind(ps::nn::Detector& detector) const {
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    detector.graph().bind(i, weights_[i], gradients_.empty() ? std::span<float>{} : gradients_[i]);
  }
}

void connect(Network& network, ps::Model& model, std::uint64_t seed, const Values& first) {
  ps::nn::Detector& detector = network.detector();
  std::vector<std::span<const float>> weights;
  std::vector<std::span<float>> gradients;
  for (const ps::nn::Parameter& parameter : detector.graph().parameters()) {
    const std::size_t index = weights.size();
    const ps::Parameter added = model.add(
        parameter.name, parameter.shape,
        [&](std::span<float> values) {
          if (first.empty()) return detector.initialize(index, seed, values);
          std::copy(first[index].begin(), first[index].end(), values.begin());
        },
        parameter.kind);
    weights.emplace_back(added.weights());
    gradients.push_back(added.gradients());
  }
  network.bind(std::move(weights), std::move(gradients));
}

std::map<std::string, std::string> describe(const NetworkSpec& spec) {
  return {{"format", kFormat},
          {"table", ps::nn::to_yaml(spec.table)},
          {"table_name", spec.table.name},
          {"names", join_lines(spec.names)},
          {"image_size", std::to_string(spec.image_size)}};
}

void save_weights(const std::string& path,
                  Network& network,
                  const Values& values,
                  std::map<std::string, std::string> metadata) {
  std::vector<ps::NamedTensor> tensors;
  for (const ps::nn::Parameter& parameter : network.detector().graph().parameters()) {
    tensors.push_back({parameter.name, parameter.shape, values[tensors.size()]});
  }
  metadata.merge(describe(network.spec()));
  ps::save_safetensors(path, tensors, metadata);
}

NetworkSpec spec_of(const ps::SafetensorsFile& file, const std::string& path) {
  if (entry(file, path, "format") != kFormat) {
    mismatch(path, "it is of format \"" + entry(file, path, "format") + "\", expected \"" +
                       kFormat + "\"");
  }
  NetworkSpec spec;
  spec.table =
      ps::nn::parse_detector_table(entry(file, path, "table"), entry(file, path, "table_name"));
  spec.names = split_lines(entry(file, path, "names"));
  try {
    spec.image_size = std::stoi(entry(file, path, "image_size"));
  } catch (const std::logic_error&) {
    spec.image_size = 0;
  }
  if (spec.image_size < 1 || spec.image_size > 8192 || spec.names.empty()) {
    mismatch(path, "its metadata has no classes or no image size");
  }
  return spec;
}

Values transfer(const ps::SafetensorsFile& file,
                Network& network,
                std::uint64_t seed,
                std::size_t& taken) {
  Values values;
  taken = 0;
  for (const ps::nn::Parameter& parameter : network.detector().graph().parameters()) {
    const auto* found = file.find(parameter.name);
    if (found != nullptr && found->shape == parameter.shape) {
      values.push_back(found->values);
      ++taken;
    } else {
      std::vector<float>& fresh = values.emplace_back(static_cast<std::size_t>(parameter.size()));
      network.detector().initialize(values.size() - 1, seed, fresh);
    }
  }
  return values;
}

Trained load_trained(const std::string& path,
                     int image_size,
                     std::int64_t max_batch,
                     const Compute& compute) {
  const ps::SafetensorsFile file = ps::load_safetensors(path);
  NetworkSpec spec = spec_of(file, path);
  if (image_size != 0) spec.image_size = image_size;
  Trained trained{.network = std::make_unique<Network>(std::move(spec), max_batch, compute),
                  .values = {},
                  .metadata = file.metadata};
  for (const ps::nn::Parameter& parameter : trained.network->detector().graph().parameters()) {
    const auto* found = file.find(parameter.name);
    if (found == nullptr) mismatch(path, "there is no tensor " + parameter.name);
    if (found->shape != parameter.shape) {
      mismatch(path, parameter.name + " has another shape than its table says");
    }
    trained.values.push_back(found->values);
  }
  trained.network->bind(views(trained.values));
  return trained;
}

std::vector<Trained> load_ensemble(const InferenceOptions& options,
                                   std::int64_t max_batch,
                                   const Compute& compute) {
  std::vector<Trained> trained;
  for (const std::string& path : options.weights) {
    trained.push_back(load_trained(path, options.image_size, max_batch, compute));
    if (trained.back().network->spec().names != trained.front().network->spec().names) {
      mismatch(path, "its classes are not those of " + options.weights.front());
    }
  }
  return trained;
}

std::vector<Network*> networks_of(const std::vector<Trained>& trained) {
  std::vector<Network*> networks;
  for (const Trained& each : trained) networks.push_back(each.network.get());
  return networks;
}

void export_network(const std::string& path, Trained& trained, int opset) {
  const std::vector<std::span<const float>> weights = views(trained.values);
  ps::nn::OnnxOptions options{.names = trained.network->spec().names};
  if (opset != 0) options.opset = opset;
  ps::nn::export_onnx(path, trained.network->detector(), weights, options);
}

void check_classes(const NetworkSpec& spec, const ps::vision::Dataset& data, bool single_class) {
  if (single_class || spec.names == data.names()) return;
  throw ps::Error(ps::ErrorCode::kMismatch,
                  "the network has " + std::to_string(spec.names.size()) + " classes (" +
                      spec.names.front() + ", ...), the data " +
                      std::to_string(data.names().size()) + " (" +
                      (data.names().empty() ? "" : data.names().front()) +
                      ", ...): use the data set that it was trained on, or --single-cls");
}

}  // namespace detect
