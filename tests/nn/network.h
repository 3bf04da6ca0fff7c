// What the network tests share: a graph with memory of its own, made from a seed.
#pragma once

#include <cstdint>
#include <vector>

#include <ps/nn/nn.h>

#include "base/random.h"

namespace ps::nn {

// Weights, gradients and the graph they are bound to.
struct Network {
  Network(Graph built, std::uint64_t seed, std::int64_t max_batch) : graph(std::move(built)) {
    for (const Parameter& parameter : graph.parameters()) {
      weights.emplace_back(static_cast<std::size_t>(parameter.size()));
      gradients.emplace_back(static_cast<std::size_t>(parameter.size()));
      initialize(parameter, seed, weights.back());
    }
    for (std::size_t i = 0; i < weights.size(); ++i) graph.bind(i, weights[i], gradients[i]);
    graph.prepare(max_batch);
  }

  Graph graph;
  std::vector<std::vector<float>> weights;
  std::vector<std::vector<float>> gradients;
};

inline std::vector<float> random_values(std::int64_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

// A classifier of [2, 8, 8] into three classes with every layer that classification uses: a fork
// joined by add, both pools, batch norm, grouped and strided convolutions.
inline Graph every_layer() {
  Graph graph({.channels = 2, .height = 8, .width = 8});
  Value x = graph.convolution(graph.input(), {.out = 4, .kernel = 3, .padding = 1, .bias = false},
                              "conv1");
  x = graph.silu(graph.batch_norm(x, {}, "bn1"));
  Value side = graph.convolution(x, {.out = 4, .kernel = 3, .padding = 1, .groups = 2}, "conv2");
  x = graph.add(x, graph.leaky_relu(side, 0.2F));
  x = graph.max_pool(x, {.kernel = 2});
  x = graph.relu(graph.convolution(x, {.out = 6, .kernel = 3, .stride = 2, .padding = 1}, "conv3"));
  x = graph.linear(graph.global_average_pool(x), 3, "fc");
  graph.softmax_cross_entropy(x);
  return graph;
}

}  // namespace ps::nn
