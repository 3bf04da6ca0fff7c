// Samples per second of whole training steps on one core: forward, loss, backward; no optimizer.
#include <benchmark/benchmark.h>
#include <cstdint>
#include <vector>

#include <ps/nn/nn.h>

#include "base/random.h"

namespace {

using ps::nn::Graph;
using ps::nn::Value;

// Two convolutions and two fully connected layers on 1 x 28 x 28; 1.2 M parameters.
Graph mnist() {
  Graph graph({.channels = 1, .height = 28, .width = 28});
  Value x = graph.relu(graph.convolution(graph.input(), {.out = 32, .kernel = 3}, "conv1"));
  x = graph.relu(graph.convolution(x, {.out = 64, .kernel = 3}, "conv2"));
  x = graph.relu(graph.linear(graph.max_pool(x, {.kernel = 2}), 128, "fc1"));
  graph.softmax_cross_entropy(graph.linear(x, 10, "fc2"));
  return graph;
}

// Six convolutions of stride 2, 16 to 256 channels, with batch norm, on 3 x 160 x 160.
Graph convolutions() {
  Graph graph({.channels = 3, .height = 160, .width = 160});
  Value x = graph.input();
  for (const std::int64_t out : {16, 32, 64, 128, 256, 256}) {
    const std::string layer = std::to_string(graph.parameters().size());
    const ps::nn::ConvolutionOptions options{
        .out = out, .kernel = 3, .stride = out == 16 ? 1 : 2, .padding = 1, .bias = false};
    x = graph.convolution(x, options, "conv" + layer);
    x = graph.leaky_relu(graph.batch_norm(x, {}, "bn" + layer), 0.1F);
  }
  graph.softmax_cross_entropy(graph.linear(graph.global_average_pool(x), 10, "fc"));
  return graph;
}

void step(benchmark::State& state, Graph (*make)()) {
  Graph graph = make();
  const std::int64_t batch = state.range(0);
  std::vector<std::vector<float>> weights;
  std::vector<std::vector<float>> gradients;
  for (const ps::nn::Parameter& parameter : graph.parameters()) {
    weights.emplace_back(static_cast<std::size_t>(parameter.size()));
    gradients.emplace_back(static_cast<std::size_t>(parameter.size()));
    ps::nn::initialize(parameter, 1, weights.back());
  }
  for (std::size_t i = 0; i < weights.size(); ++i) graph.bind(i, weights[i], gradients[i]);
  graph.prepare(batch);
  ps::Random random(2);
  std::vector<float> images(static_cast<std::size_t>(batch * graph.shape(graph.input()).size()));
  for (float& value : images) value = static_cast<float>(random.normal());
  std::vector<std::int32_t> labels(static_cast<std::size_t>(batch));
  for (std::int32_t& label : labels) label = static_cast<std::int32_t>(random.below(10));
  for (auto _ : state) {
    benchmark::DoNotOptimize(graph.forward_backward(images, labels, {}).loss);
  }
  state.SetItemsProcessed(state.iterations() * batch);
}
BENCHMARK_CAPTURE(step, mnist, mnist)->Arg(64)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(step, convolutions, convolutions)->Arg(8)->Unit(benchmark::kMillisecond);

}  // namespace
