// A graph on a GPU against the same graph on the CPU, and what a step on a GPU may not do.
#include <cmath>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <numeric>
#include <string>
#include <unistd.h>
#include <vector>

#include <ps/nn/detection.h>
#include <ps/nn/detector.h>
#include <ps/nn/nn.h>

#include "base/buffer.h"
#include "kernels/backend_pair.h"
#include "nn/network.h"
#include "ops/temporary_directory.h"
#include "support/catch.h"

namespace ps::nn {
namespace {

using kernels::TestDevice;

constexpr Device kGpu{.kind = DeviceKind::kCuda, .index = 0};
const std::vector<std::int32_t> kLabels{0, 2, 1, 0, 2};

std::vector<float> images() {
  return random_values(5 * 2 * 8 * 8, 4);
}

// The largest difference, relative to the largest value.
double difference(std::span<const float> a, std::span<const float> b) {
  REQUIRE(a.size() == b.size());
  double most = 0.0;
  double largest = 1e-30;
  for (std::size_t i = 0; i < a.size(); ++i) {
    REQUIRE(std::isfinite(a[i]));
    most = std::max(most, std::abs(double{a[i]} - double{b[i]}));
    largest = std::max(largest, std::abs(double{b[i]}));
  }
  return most / largest;
}

void require_close(const std::vector<std::vector<float>>& a,
                   const std::vector<std::vector<float>>& b,
                   double tolerance) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    INFO("parameter " << i);
    REQUIRE(difference(a[i], b[i]) < tolerance);
  }
}

TEST_CASE("device: a classifier's step on a GPU is the CPU's", "[unit][cuda]") {
  const TestDevice gpu;
  if (!TestDevice::there()) return;
  Network on_cpu(every_layer(), 3, 8);
  Network on_gpu(every_layer(), 3, 8, kGpu);
  for (auto& gradient : on_gpu.gradients) gradient.assign(gradient.size(), NAN);
  const Result expected = on_cpu.graph.forward_backward(images(), kLabels, {});
  const Result result = on_gpu.graph.forward_backward(images(), kLabels, {});
  CHECK(result.loss == Approx(expected.loss).epsilon(1e-6));
  CHECK(result.samples == 5);
  CHECK(result.correct == expected.correct);
  require_close(on_gpu.gradients, on_cpu.gradients, 1e-5);

  const Result cpu_score = on_cpu.graph.evaluate(images(), kLabels);
  const Result gpu_score = on_gpu.graph.evaluate(images(), kLabels);
  CHECK(gpu_score.loss == Approx(cpu_score.loss).epsilon(1e-6));
  CHECK(difference(on_gpu.graph.forward(images()), on_cpu.graph.forward(images())) < 1e-5);
}

TEST_CASE("device: heads over a pyramid give the CPU's values and gradients", "[unit][cuda]") {
  const TestDevice gpu;
  if (!TestDevice::there()) return;
  Network on_cpu(pyramid(), 5, 3);
  Network on_gpu(pyramid(), 5, 3, kGpu);
  const auto batch = random_values(3 * 2 * 8 * 8, 6);
  const auto expected = on_cpu.graph.forward_training(batch);
  const auto values = on_gpu.graph.forward_training(batch);
  CHECK(difference(values, expected) < 1e-5);
  const auto slopes = random_values(std::ssize(expected), 7);
  on_cpu.graph.backward(slopes, {});
  on_gpu.graph.backward(slopes, {});
  require_close(on_gpu.gradients, on_cpu.gradients, 1e-5);
}

TEST_CASE("device: gradients become ready last layer first, each once and complete",
          "[unit][cuda]") {
  const TestDevice gpu;
  if (!TestDevice::there()) return;
  Network network(every_layer(), 3, 5, kGpu);
  std::vector<std::size_t> order;
  std::vector<std::vector<float>> seen(network.weights.size());
  network.graph.forward_backward(images(), kLabels, [&](std::size_t i) {
    order.push_back(i);
    seen[i] = network.gradients[i];
  });
  REQUIRE(order.size() == network.weights.size());
  for (std::size_t i = 0; i < order.size(); ++i) REQUIRE(order[i] == order.size() - 1 - i);
  REQUIRE(seen == network.gradients);
}

TEST_CASE("device: weights that change in place, or lie elsewhere, are those of the next pass",
          "[unit][cuda]") {
  const TestDevice gpu;
  if (!TestDevice::there()) return;
  Network on_cpu(every_layer(), 3, 5);
  Network on_gpu(every_layer(), 3, 5, kGpu);
  on_gpu.graph.forward_backward(images(), kLabels, {});
  for (std::size_t i = 0; i < on_cpu.weights.size(); ++i) {
    const auto values = random_values(std::ssize(on_cpu.weights[i]), i);
    for (std::size_t k = 0; k < values.size(); ++k) {  // variances are among them
      on_cpu.weights[i][k] = on_gpu.weights[i][k] = 0.1F + std::abs(values[k]);
    }
  }
  CHECK(difference(on_gpu.graph.forward(images()), on_cpu.graph.forward(images())) < 1e-5);

  // Side by side, as ps's own models lie.
  Arena weights;
  Arena gradients;
  std::vector<Memory> kept;
  for (std::size_t i = 0; i < on_cpu.weights.size(); ++i) {
    const std::size_t bytes = on_cpu.weights[i].size() * sizeof(float);
    kept.push_back(weights.allocate(bytes));
    kept.push_back(gradients.allocate(bytes));
    const auto to = kept[2 * i].as<float>();
    std::copy(on_cpu.weights[i].begin(), on_cpu.weights[i].end(), to.begin());
    on_gpu.graph.bind(i, to, kept[2 * i + 1].as<float>());
  }
  on_cpu.graph.forward_backward(images(), kLabels, {});
  on_gpu.graph.forward_backward(images(), kLabels, {});
  for (std::size_t i = 0; i < on_cpu.weights.size(); ++i) {
    INFO("parameter " << i);
    CHECK(difference(kept[2 * i + 1].as<float>(), on_cpu.gradients[i]) < 1e-5);
  }
}

TEST_CASE("device: products of fewer bits give nearly the same gradients", "[unit][cuda]") {
  const TestDevice gpu;
  if (!TestDevice::there()) return;
  const Precision precision = GENERATE(Precision::kTf32, Precision::kBf16, Precision::kFp16);
  Network exact(every_layer(), 3, 5, kGpu);
  Network rounded(every_layer(), 3, 5, kGpu, precision);
  if (precision == Precision::kFp16) rounded.graph.scale_loss(1024.0F);
  const Result expected = exact.graph.forward_backward(images(), kLabels, {});
  const Result result = rounded.graph.forward_backward(images(), kLabels, {});
  CHECK(result.loss == Approx(expected.loss).epsilon(0.02));
  require_close(rounded.gradients, exact.gradients, 0.05);
  CHECK(rounded.gradients != exact.gradients);
}

#if defined(PS_CUDA_EMULATED)
TEST_CASE("device: a step has the same bits whatever the order of threads and streams",
          "[unit][cuda]") {
  const TestDevice gpu;
  std::vector<std::vector<float>> first;
  for (std::uint64_t seed = 1; seed < 6; ++seed) {
    cuda_host::seed(seed);
    Network network(every_layer(), 3, 5, kGpu);
    for (int step = 0; step < 2; ++step) {
      network.graph.forward_backward(images(), kLabels, {});
      for (std::size_t i = 0; i < network.weights.size(); ++i) {
        for (std::size_t k = 0; k < network.weights[i].size(); ++k)
          network.weights[i][k] -= 0.1F * network.gradients[i][k];
      }
    }
    if (first.empty()) first = network.gradients;
    CHECK(network.gradients == first);
  }
}

TEST_CASE("device: a step allocates nothing and never waits for the whole device", "[unit][cuda]") {
  const TestDevice gpu;
  Network network(every_layer(), 3, 5, kGpu);
  for (int pass = 0; pass < 2; ++pass) {  // the second one is recorded
    network.graph.forward_backward(images(), kLabels, {});
    network.graph.evaluate(images(), kLabels);
  }
  const cuda_host::Counters before = cuda_host::counters();
  network.graph.forward_backward(images(), kLabels, {});
  network.graph.evaluate(images(), kLabels);
  const cuda_host::Counters after = cuda_host::counters();
  CHECK(after.launches > before.launches);
  CHECK(after.allocations == before.allocations);
  CHECK(after.frees == before.frees);
  CHECK(after.device_waits == before.device_waits);
}

// Sanitizers make minutes of it.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// The batch shrinks and grows and the loss is scaled on the way: each is recorded on its own.
TEST_CASE("device: what is recorded computes what it was recorded from", "[unit][cuda]") {
  const bool split = GENERATE(true, false);
  const std::uint64_t seed = split ? 1 : 2;
  const kernels::Emulated emulated(2, seed);
  const auto placed = [&](bool record) {
    Placement placement{.devices = {kGpu, {.kind = DeviceKind::kCuda, .index = 1}},
                        .record = record};
    if (split) placement.ends = {{6}};
    return placement;
  };
  Network direct(every_layer(), 3, 5, placed(false));
  Network recorded(every_layer(), 3, 5, placed(true));
  const std::int64_t launches = cuda_host::counters().graph_launches;
  for (int step = 0; step < 7; ++step) {
    CAPTURE(seed, split, step);
    const std::size_t batch = step % 2 == 1 ? 3 : 5;
    const auto pictures = random_values(static_cast<std::int64_t>(batch) * 2 * 8 * 8,
                                        static_cast<std::uint64_t>(step));
    const auto labels = std::span(kLabels).first(batch);
    Network* const both[] = {&direct, &recorded};
    for (Network* network : both) {
      if (step == 6) network->graph.scale_loss(4.0F);
      network->graph.forward_backward(pictures, labels, {});
      for (std::size_t i = 0; i < network->weights.size(); ++i) {
        for (std::size_t k = 0; k < network->weights[i].size(); ++k)
          network->weights[i][k] -= 0.05F * network->gradients[i][k];
      }
    }
    REQUIRE(recorded.gradients == direct.gradients);
    REQUIRE(recorded.graph.evaluate(pictures, labels).loss ==
            direct.graph.evaluate(pictures, labels).loss);
  }
  CHECK(cuda_host::counters().graph_launches > launches);
}
#endif

TEST_CASE("device: memory that the driver does not pin is copied all the same", "[unit][cuda]") {
  const TestDevice gpu;
  cuda_host::refuse_registration(true);
  Network on_cpu(every_layer(), 3, 5);
  Network on_gpu(every_layer(), 3, 5, kGpu);
  on_cpu.graph.forward_backward(images(), kLabels, {});
  on_gpu.graph.forward_backward(images(), kLabels, {});
  cuda_host::refuse_registration(false);
  require_close(on_gpu.gradients, on_cpu.gradients, 1e-5);
}

// What `body` writes to standard error.
std::string errors_of(const std::function<void()>& body) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.write("errors", "");
  const int before = ::dup(STDERR_FILENO);
  const int file = ::open(path.c_str(), O_WRONLY);
  ::dup2(file, STDERR_FILENO);
  body();
  ::dup2(before, STDERR_FILENO);
  ::close(file);
  ::close(before);
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST_CASE("device: memory that the driver does not pin is told of, once", "[unit][cuda]") {
  const TestDevice gpu;
  const auto train = [] {
    Graph graph({.channels = 256});
    graph.softmax_cross_entropy(graph.linear(graph.input(), 128, "fc"));
    Network network(std::move(graph), 3, 2, kGpu);
    const auto pictures = random_values(2 * 256, 5);
    for (int step = 0; step < 2; ++step) {
      for (std::size_t i = 0; i < network.weights.size(); ++i)
        network.graph.bind(i, network.weights[i], network.gradients[i]);
      network.graph.forward_backward(pictures, std::vector<std::int32_t>{1, 2}, {});
    }
  };
  CHECK(errors_of(train).empty());
  cuda_host::refuse_registration(true);
  const std::string told = errors_of(train);
  cuda_host::refuse_registration(false);
  CHECK_THAT(told, Catch::Contains("the driver would not pin 256 KiB"));
  CHECK(told.find("pin") == told.rfind("pin"));
}
#endif

// A detector with a criterion, its weights from a seed.
struct Learner {
  explicit Learner(const Device& device)
      : detector(detector_table("pico"), 3, 32, 32),
        criterion(detector.head(), default_loss_options(detector.head()), 2) {
    Graph& graph = detector.graph();
    for (std::size_t i = 0; i < graph.parameters().size(); ++i) {
      const auto size = static_cast<std::size_t>(graph.parameters()[i].size());
      weights.emplace_back(size);
      gradients.emplace_back(size);
      detector.initialize(i, 1, weights.back());
    }
    for (std::size_t i = 0; i < weights.size(); ++i) graph.bind(i, weights[i], gradients[i]);
    graph.prepare(2, device);
  }
  DetectionLoss step() {
    return detector.graph().forward_backward(pictures, criterion, targets, {});
  }

  Detector detector;
  DetectionCriterion criterion;
  std::vector<std::vector<float>> weights;
  std::vector<std::vector<float>> gradients;
  std::vector<float> pictures = random_values(2 * 3 * 32 * 32, 9);
  std::vector<Target> targets{{0, 1, 0.4F, 0.5F, 0.5F, 0.3F},
                              {1, 0, 0.6F, 0.3F, 0.2F, 0.4F},
                              {1, 2, 0.5F, 0.5F, 0.8F, 0.7F}};
};

TEST_CASE("device: a detector's steps on a GPU are the CPU's", "[unit][cuda]") {
  const TestDevice gpu;
  if (!TestDevice::there()) return;
  Learner on_cpu({});
  Learner on_gpu(kGpu);
  const DetectionLoss expected = on_cpu.step();
  const DetectionLoss loss = on_gpu.step();
  CHECK(loss.positives == expected.positives);
  CHECK(loss.positives > 0);
  CHECK(loss.box == Approx(expected.box).epsilon(1e-5));
  CHECK(loss.objectness == Approx(expected.objectness).epsilon(1e-5));
  CHECK(loss.category == Approx(expected.category).epsilon(1e-5));
  CHECK(loss.total == Approx(expected.total).epsilon(1e-5));
  require_close(on_gpu.gradients, on_cpu.gradients, 1e-4);
}

// Of a loss that is linear in the output: the detector's own takes its own overlaps for given.
TEST_CASE("device: a detector's gradients on a GPU are the loss's differences", "[unit][cuda]") {
  const TestDevice gpu;
  if (!TestDevice::there()) return;
  Learner learner(kGpu);
  Graph& graph = learner.detector.graph();
  const auto slopes = random_values(2 * learner.detector.head().size(), 8);
  const auto loss = [&] {
    const auto output = graph.forward_training(learner.pictures);
    return std::inner_product(output.begin(), output.end(), slopes.begin(), 0.0);
  };
  loss();
  graph.backward(slopes, {});
  const auto gradients = learner.gradients;
  const auto weights = learner.weights;
  const auto& parameters = graph.parameters();
  // Along one random direction; convolutions' weights are many and small, the loss in them is
  // steep.
  std::vector<std::vector<float>> direction(weights.size());
  double slope = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    direction[i] = random_values(std::ssize(weights[i]), 100 + i);
    const float size = parameters[i].name.ends_with("conv.weight") ? 0.02F : 1.0F;
    const bool moves = parameters[i].kind == ParameterKind::kTrained;
    for (std::size_t k = 0; k < direction[i].size(); ++k) {
      direction[i][k] *= moves ? size : 0.0F;
      slope += double{direction[i][k]} * double{gradients[i][k]};
    }
  }
  constexpr float kStep = 1e-3F;
  const auto loss_at = [&](float along) {
    for (std::size_t i = 0; i < weights.size(); ++i) {
      for (std::size_t k = 0; k < weights[i].size(); ++k)
        learner.weights[i][k] = weights[i][k] + along * direction[i][k];
    }
    return loss();
  };
  const double difference = (loss_at(kStep) - loss_at(-kStep)) / (2.0 * double{kStep});
  CHECK(slope != 0.0);
  CHECK(difference == Approx(slope).epsilon(0.02));
}

}  // namespace
}  // namespace ps::nn
