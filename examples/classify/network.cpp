#include "network.h"

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ps/error.h>
#include <ps/nn/parameter.h>
#include <ps/safetensors.h>

#include "dataset.h"

namespace classify {
namespace {

std::string describe(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t dimension : shape) {
    text += (text.empty() ? "" : ", ") + std::to_string(dimension);
  }
  return "[" + text + "]";
}

[[noreturn]] void mismatch(const std::string& path, const std::string& what) {
  throw ps::Error(ps::ErrorCode::kMismatch,
                  path + ": " + what + "; is it a file that `classify train` wrote?");
}

}  // namespace

ps::nn::Graph build_network() {
  using ps::nn::Value;
  ps::nn::Graph graph({.channels = 1, .height = kImageSide, .width = kImageSide});
  const auto stage = [&](Value x, std::int64_t channels, const std::string& number) {
    x = graph.convolution(x, {.out = channels, .kernel = 3, .padding = 1, .bias = false},
                          "conv" + number);
    x = graph.relu(graph.batch_norm(x, {}, "bn" + number));
    return graph.max_pool(x, {.kernel = 2});
  };
  Value x = stage(graph.input(), 16, "1");
  x = stage(x, 32, "2");
  x = stage(x, 64, "3");
  x = graph.linear(x, 128, "fc1");
  x = graph.relu(graph.batch_norm(x, {}, "bn4"));
  x = graph.linear(x, kClasses, "fc2");
  graph.softmax_cross_entropy(x);
  return graph;
}

void connect(ps::nn::Graph& graph, ps::Model& model, std::uint64_t seed) {
  std::size_t index = 0;
  for (const ps::nn::Parameter& parameter : graph.parameters()) {
    const ps::Parameter added = model.add(
        parameter.name, parameter.shape,
        [&](std::span<float> values) { ps::nn::initialize(parameter, seed, values); },
        parameter.kind);
    graph.bind(index++, added.weights(), added.gradients());
  }
}

void save_weights(const std::string& path,
                  const ps::Model& model,
                  const std::map<std::string, std::string>& metadata) {
  std::vector<ps::NamedTensor> tensors;
  for (const ps::Parameter& parameter : model.parameters()) {
    tensors.push_back({parameter.name(), parameter.shape(), parameter.weights()});
  }
  ps::save_safetensors(path, tensors, metadata);
}

Weights load_weights(const std::string& path, ps::nn::Graph& graph) {
  ps::SafetensorsFile file = ps::load_safetensors(path);
  Weights weights;
  for (const ps::nn::Parameter& parameter : graph.parameters()) {
    const auto found =
        std::ranges::find(file.tensors, parameter.name, &ps::SafetensorsFile::Tensor::name);
    if (found == file.tensors.end()) mismatch(path, "there is no tensor " + parameter.name);
    if (found->shape != parameter.shape) {
      mismatch(path, parameter.name + " is " + describe(found->shape) + ", expected " +
                         describe(parameter.shape));
    }
    graph.bind(weights.size(), found->values, {});
    weights.push_back(std::move(found->values));
    file.tensors.erase(found);
  }
  if (!file.tensors.empty()) {
    mismatch(path, "this network has no tensor " + file.tensors.front().name);
  }
  return weights;
}

}  // namespace classify
