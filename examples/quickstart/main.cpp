// Learns to tell two spirals apart: alone, as `quickstart`, or as `psrun -n 4 -s 2 -- quickstart`.
#include <cmath>
#include <cstdio>

#include <ps/nn/nn.h>
#include <ps/ps.hpp>

int main(int argc, char** argv) try {
  ps::Session session = ps::Session::open(argc, argv);  // a server stays in here until the end
  ps::Model model = session.model("mlp", {.mode = ps::Sync{}, .optimizer = ps::Adam{.lr = 0.005F}});
  ps::nn::Graph graph({.channels = 2});
  const ps::nn::Value hidden = graph.relu(graph.linear(graph.input(), 64, "fc1"));
  graph.softmax_cross_entropy(graph.linear(graph.relu(graph.linear(hidden, 64, "fc2")), 2, "fc3"));
  for (std::size_t i = 0; const ps::nn::Parameter& parameter : graph.parameters()) {
    const auto fill = [&](auto values) { ps::nn::initialize(parameter, session.seed(), values); };
    const ps::Parameter added = model.add(parameter.name, parameter.shape, fill);
    graph.bind(i++, added.weights(), added.gradients());
  }
  graph.prepare(100);
  model.start();  // all workers begin with the same weights
  double accuracy = 0.0;
  for (const ps::Batch& batch : session.samples(4000, {.global_batch = 100, .epochs = 50})) {
    std::vector<float> points;
    std::vector<std::int32_t> labels;
    for (const std::uint32_t i : batch.indices) {
      const float t = static_cast<float>(i) / 400, radius = i % 2 == 0 ? t : -t;
      points.insert(points.end(), {radius * std::cos(t) / 5, radius * std::sin(t) / 5});
      labels.push_back(static_cast<std::int32_t>(i % 2));
    }
    const ps::nn::Result step = graph.forward_backward(points, labels, {});
    const auto size = static_cast<double>(batch.size());
    model.push_pull(size).wait();  // gradients go, new weights come
    accuracy += (static_cast<double>(step.correct) / size - accuracy) / 20;
  }
  session.finish();  // all workers end with the same weights
  if (session.rank() == 0) std::printf("{\"accuracy\": %.3f}\n", accuracy);
} catch (const std::exception& error) {
  return std::fprintf(stderr, "quickstart: %s\n", error.what()), 1;
}
