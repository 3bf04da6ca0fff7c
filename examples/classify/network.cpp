#include "network.h"

#include "dataset.h"

namespace classify {

ps::nn::Graph make_network() {
  ps::nn::Graph graph({.channels = 1, .height = kImageSide, .width = kImageSide});
  // A convolution before a BatchNorm needs no bias.
  const auto block = [&](ps::nn::Value x, std::int64_t out, const std::string& number) {
    x = graph.convolution(x, {.out = out, .kernel = 3, .padding = 1, .bias = false},
                          "conv" + number);
    return graph.relu(graph.batch_norm(x, {}, "bn" + number));
  };
  ps::nn::Value x = graph.max_pool(block(graph.input(), 16, "1"), {.kernel = 2});
  x = graph.max_pool(block(x, 32, "2"), {.kernel = 2});
  x = graph.max_pool(block(x, 64, "3"), {.kernel = 2});
  graph.softmax_cross_entropy(graph.linear(x, kClasses, "fc"));
  return graph;
}

void add_parameters(const ps::nn::Graph& network, std::uint64_t seed, ps::Model& model) {
  for (const ps::nn::Parameter& parameter : network.parameters()) {
    model.add(
        parameter.name, parameter.shape,
        [&](std::span<float> values) { ps::nn::initialize(parameter, seed, values); },
        parameter.kind);
  }
}

void bind(ps::nn::Graph& network, const ps::Model& model) {
  std::size_t index = 0;
  for (const ps::Parameter& parameter : model.parameters()) {
    network.bind(index++, parameter.weights(), parameter.gradients());
  }
}

}  // namespace classify
