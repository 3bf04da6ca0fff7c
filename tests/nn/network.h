// What the network tests share: a graph with memory of its own, made from a seed.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <ps/nn/nn.h>

#include "base/random.h"

namespace ps::nn {

// Weights, gradients and the graph they are bound to.
struct Network {
  Network(Graph built,
          std::uint64_t seed,
          std::int64_t max_batch,
          const Device& device = {},
          Precision precision = Precision::kFp32)
      : Network(std::move(built),
                seed,
                max_batch,
                Placement{.devices = {device}, .precision = precision}) {}
  Network(Graph built, std::uint64_t seed, std::int64_t max_batch, const Placement& placement)
      : graph(std::move(built)) {
    for (const Parameter& parameter : graph.parameters()) {
      weights.emplace_back(static_cast<std::size_t>(parameter.size()));
      gradients.emplace_back(static_cast<std::size_t>(parameter.size()));
      initialize(parameter, seed, weights.back());
    }
    for (std::size_t i = 0; i < weights.size(); ++i) graph.bind(i, weights[i], gradients[i]);
    graph.prepare(max_batch, placement);
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

// Two heads over [2, 8, 8] with every layer that detectors add: forks joined by concat (of one
// value twice, too), slices, upsampling, padding, a chain of pools of stride 1, and a last value
// that joins the heads.
inline Graph pyramid() {
  Graph graph({.channels = 2, .height = 8, .width = 8});
  const ConvolutionOptions same{.out = 3, .kernel = 3, .padding = 1};
  const Value fine = graph.silu(graph.convolution(graph.input(), same, "fine"));
  Value x = graph.zero_pad(fine, {.left = 1, .right = 1, .bottom = 1});
  x = graph.convolution(x, {.out = 3, .kernel = 3, .stride = 2}, "down");
  x = graph.silu(x);
  const Value p1 = graph.max_pool(x, {.kernel = 5, .stride = 1, .padding = 2});
  const Value p2 = graph.max_pool(p1, {.kernel = 2, .stride = 1, .padding_end = 1});
  const Value coarse = graph.concat(
      std::array{x, p1, p2, p1, graph.slice(p2, {.first = 1}), graph.slice(x, {.count = 2})});
  const Value up = graph.upsample(graph.convolution(coarse, {.out = 2}, "lateral"), 2);
  const Value all =
      graph.concat(std::array{up, graph.max_pool(fine, {.stride = 1, .padding_end = 1})});
  const Value head1 = graph.convolution(all, {.out = 2}, "head1");
  const Value head2 = graph.convolution(coarse, {.out = 1}, "head2");
  graph.join(std::array{head1, head2});
  return graph;
}

}  // namespace ps::nn
