// Gradients of whole networks against central differences of their loss.
#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include <ps/nn/nn.h>

#include "nn/network.h"
#include "support/catch.h"

namespace ps::nn {
namespace {

// The loss's derivative by each weight that is trained, step by step in both directions.
void check_gradients(Network& network, const std::function<double()>& loss) {
  // Small, so that few differences step over a kink; float32's rounding of the loss allows no less.
  const float step = 1e-3F;
  for (std::size_t i = 0; i < network.weights.size(); ++i) {
    const Parameter& parameter = network.graph.parameters()[i];
    if (parameter.kind != ParameterKind::kTrained) continue;
    const std::vector<float> gradient = network.gradients[i];
    const auto larger = [](float a, float b) { return std::abs(a) < std::abs(b); };
    const double scale =
        std::abs(double{*std::max_element(gradient.begin(), gradient.end(), larger)});
    REQUIRE(scale > 1e-3);  // a test of zeros would prove nothing
    for (std::size_t k = 0; k < gradient.size(); ++k) {
      float& weight = network.weights[i][k];
      const float middle = weight;
      weight = middle + step;
      const double above = loss();
      weight = middle - step;
      const double below = loss();
      weight = middle;
      const double expected = (above - below) / (2.0 * double{step});
      CAPTURE(parameter.name, k, gradient[k], expected);
      REQUIRE(std::abs(double{gradient[k]} - expected) < 0.02 * scale + 2e-4);
    }
  }
}

double weighted_sum(std::span<const float> values, std::span<const float> weights) {
  double sum = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) sum += double{values[i]} * double{weights[i]};
  return sum;
}

// Without the kinks of ReLU and maximum, and with its own loss: sum of output * weight.
void check_own_loss(Graph graph) {
  const std::int64_t batch = 3;
  const std::int64_t inputs = graph.shape(graph.input()).size();
  Network network(std::move(graph), 5, batch);
  const auto images = random_values(batch * inputs, 6);
  const auto output = network.graph.forward_training(images);
  const auto slopes = random_values(std::ssize(output), 7);
  network.graph.backward(slopes, {});
  check_gradients(network,
                  [&] { return weighted_sum(network.graph.forward_training(images), slopes); });
}

}  // namespace

TEST_CASE("nn: gradients of a network of every layer equal central differences", "[unit]") {
  Network network(every_layer(), 3, 5);
  const auto images = random_values(5 * 2 * 8 * 8, 4);
  const std::vector<std::int32_t> labels{0, 2, 1, -1, 2};
  network.graph.forward_backward(images, labels, {});
  // Every difference is of the training mode's loss, so the differences run forward_backward too.
  Network other(every_layer(), 3, 5);
  check_gradients(network, [&] {
    other.weights = network.weights;
    for (std::size_t i = 0; i < other.weights.size(); ++i) {
      other.graph.bind(i, other.weights[i], other.gradients[i]);
    }
    return other.graph.forward_backward(images, labels, {}).loss;
  });
}

TEST_CASE("nn: a loss of the caller's reaches every gradient", "[unit]") {
  SECTION("convolutions, batch norm, SiLU") {
    Graph graph({.channels = 3, .height = 5, .width = 4});
    Value x = graph.convolution(graph.input(), {.out = 4, .kernel = 1, .bias = false}, "a");
    x = graph.batch_norm(x, {.silu = true}, "b");
    graph.convolution(x, {.out = 2, .kernel = 3, .stride = 2, .padding = 1}, "c");
    check_own_loss(std::move(graph));
  }
  SECTION("a pyramid: concatenations, upsampling, padding, pools of every kind, joined heads") {
    check_own_loss(pyramid());
  }
  SECTION("values read three times, added in every order") {
    Graph graph({.channels = 4});
    const Value a = graph.linear(graph.input(), 6, "a");
    const Value b = graph.silu(a);
    const Value c = graph.add(b, a);
    const Value d = graph.add(a, graph.silu(c));
    graph.linear(graph.add(d, d), 2, "b");
    check_own_loss(std::move(graph));
  }
}

}  // namespace ps::nn
