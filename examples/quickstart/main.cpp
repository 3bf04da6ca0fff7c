// A two-layer network learns which of ten stripes of 784 inputs is the strongest. Runs alone
// (build/release/bin/quickstart) and as a job (build/release/bin/psrun -n 4 -s 2 --
// build/release/bin/quickstart); --consistency.mode=async changes the mode. Expect an accuracy
// above 0.95.
#include <iostream>
#include <random>

#include <ps/nn/nn.h>
#include <ps/ps.hpp>

int main(int argc, char** argv) try {
  ps::Session session = ps::Session::open(argc, argv);
  ps::nn::Graph net({.channels = 784});
  net.softmax_cross_entropy(net.linear(net.relu(net.linear(net.input(), 64, "fc1")), 10, "fc2"));

  ps::Model model = session.model(
      "mlp", {.mode = ps::Sync{}, .optimizer = ps::Sgd{.lr = 0.1F, .momentum = 0.9F}});
  for (const auto& p : net.parameters()) {
    model.add(
        p.name, p.shape, [&](std::span<float> w) { ps::nn::initialize(p, session.seed(), w); },
        p.kind);
  }
  model.start();
  for (std::size_t i = 0; const ps::Parameter& p : model.parameters())
    net.bind(i++, p.weights(), p.gradients());
  net.prepare(128);

  ps::nn::Result last;
  for (const ps::Batch& batch : session.samples(12'800, {.global_batch = 128, .epochs = 3})) {
    std::vector<float> inputs(batch.size() * 784);
    std::vector<std::int32_t> labels(batch.size());
    for (std::size_t i = 0; i < batch.size(); ++i) {
      std::mt19937 random(batch.indices[i]);
      labels[i] = static_cast<std::int32_t>(random() % 10);
      for (std::size_t j = 0; j < 784; ++j)
        inputs[i * 784 + j] = static_cast<float>(random() % 1000) / 1000.0F - 0.5F;
      for (std::size_t j = 0; j < 78; ++j)
        inputs[i * 784 + static_cast<std::size_t>(labels[i]) * 78 + j] += 0.2F;
    }
    if (batch.size() > 0) last = net.forward_backward(inputs, labels, {});
    model.push_pull(static_cast<double>(batch.size())).wait();
  }
  session.finish();
  const double accuracy = static_cast<double>(last.correct) / static_cast<double>(last.samples);
  if (session.rank() == 0)
    std::cout << "loss " << last.loss << ", accuracy of the last batch " << accuracy << "\n";
} catch (const std::exception& error) {
  std::cerr << "quickstart: " << error.what() << "\n";
  return 1;
}
