// A graph's contract: order of callbacks, running statistics, repeatability, errors.
#include <array>
#include <cmath>
#include <vector>

#include <ps/error.h>
#include <ps/nn/nn.h>

#include "nn/network.h"
#include "support/catch.h"

namespace ps::nn {
namespace {

const std::vector<std::int32_t> kLabels{0, 2, 1, 0, 2};

std::vector<float> images() {
  return random_values(5 * 2 * 8 * 8, 4);
}

bool is_invalid(const Error& error) {
  return error.code() == ErrorCode::kInvalidArgument;
}

}  // namespace

TEST_CASE("nn: gradients become ready last layer first, each once and complete", "[unit]") {
  Network network(every_layer(), 3, 5);
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

TEST_CASE("nn: a scaled loss leaves every bit of gradients and averages", "[unit]") {
  Network plain(every_layer(), 3, 5);
  Network scaled(every_layer(), 3, 5);
  scaled.graph.scale_loss(4096.0F);
  const Result expected = plain.graph.forward_backward(images(), kLabels, {});
  const Result result = scaled.graph.forward_backward(images(), kLabels, {});
  CHECK(result.loss == expected.loss);
  CHECK(scaled.gradients == plain.gradients);
  REQUIRE_THROWS_AS(scaled.graph.scale_loss(0.0F), Error);
  REQUIRE_THROWS_AS(scaled.graph.scale_loss(NAN), Error);
}

TEST_CASE("nn: names, shapes and kinds of parameters", "[unit]") {
  const Graph graph = every_layer();
  const auto& parameters = graph.parameters();
  REQUIRE(parameters.size() == 11);
  REQUIRE(parameters[0].name == "conv1.weight");
  REQUIRE(parameters[0].shape == std::vector<std::int64_t>{4, 2, 3, 3});
  REQUIRE(parameters[3].name == "bn1.running_mean");
  REQUIRE(parameters[3].kind == ParameterKind::kAverage);
  REQUIRE(parameters[5].name == "conv2.weight");
  REQUIRE(parameters[5].shape == std::vector<std::int64_t>{4, 2, 3, 3});
  REQUIRE(parameters[9].shape == std::vector<std::int64_t>{3, 6});
  REQUIRE(parameters[9].size() == 18);
}

TEST_CASE("nn: the same step gives the same bits, in any graph and after any other", "[unit]") {
  Network first(every_layer(), 3, 5);
  Network second(every_layer(), 3, 64);
  const auto batch = images();
  const auto result = first.graph.forward_backward(batch, kLabels, {});
  const auto small = std::span(batch).first(2 * 128);
  second.graph.forward(small);
  second.graph.forward_backward(small, std::span(kLabels).first(2), {});
  const auto again = second.graph.forward_backward(batch, kLabels, {});
  REQUIRE(again.loss == result.loss);
  REQUIRE(second.gradients == first.gradients);
}

TEST_CASE("nn: a sample without a valid label changes no gradient", "[unit]") {
  Graph graph({.channels = 7});
  graph.softmax_cross_entropy(
      graph.linear(graph.silu(graph.linear(graph.input(), 5, "a")), 3, "b"));
  Network network(std::move(graph), 1, 4);
  const auto inputs = random_values(4 * 7, 2);
  const std::vector<std::int32_t> labels{1, 0, -1, 7};
  const auto whole = network.graph.forward_backward(inputs, labels, {});
  const auto gradients = network.gradients;
  const auto part =
      network.graph.forward_backward(std::span(inputs).first(14), std::span(labels).first(2), {});
  REQUIRE(whole.samples == 2);
  REQUIRE(part.samples == 2);
  REQUIRE(whole.loss == Approx(part.loss));
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    for (std::size_t k = 0; k < gradients[i].size(); ++k) {
      REQUIRE(gradients[i][k] == Approx(network.gradients[i][k]).margin(1e-6));
    }
  }
}

TEST_CASE("nn: batch norm tracks statistics in training and uses them in evaluation", "[unit]") {
  Graph graph({.channels = 1, .height = 2, .width = 1});
  graph.batch_norm(graph.input(), {.epsilon = 1e-5F, .momentum = 0.25F}, "bn");
  Network network(std::move(graph), 1, 2);
  const std::vector<float> values{1.0F, 2.0F, 3.0F, 6.0F};  // mean 3, unbiased variance 14/3
  network.graph.forward_training(values);
  network.graph.backward(values, {});
  REQUIRE(network.gradients[2][0] == Approx(0.25 * 3.0));
  REQUIRE(network.gradients[3][0] == Approx(0.75 + 0.25 * 14.0 / 3.0));

  network.weights[2][0] = 2.0F;
  network.weights[3][0] = 4.0F;
  const auto output = network.graph.forward(values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    REQUIRE(output[i] == Approx((values[i] - 2.0F) / std::sqrt(4.0 + 1e-5)));
  }
}

TEST_CASE("nn: plain gradient descent learns a small problem", "[unit]") {
  // Class c is bright in the c-th third of the rows, under noise of the same strength.
  Random random(9);
  std::vector<float> inputs;
  std::vector<std::int32_t> labels;
  for (std::int32_t n = 0; n < 48; ++n) {
    labels.push_back(n % 3);
    for (std::int32_t i = 0; i < 128; ++i) {
      const bool bright = i % 64 / 22 == n % 3;
      inputs.push_back(static_cast<float>(random.normal()) + (bright ? 1.0F : 0.0F));
    }
  }
  Network network(every_layer(), 1, 48);
  const Result first = network.graph.forward_backward(inputs, labels, {});
  for (int step = 0; step < 60; ++step) {
    network.graph.forward_backward(inputs, labels, {});
    for (std::size_t i = 0; i < network.weights.size(); ++i) {
      const bool average = network.graph.parameters()[i].kind == ParameterKind::kAverage;
      for (std::size_t k = 0; k < network.weights[i].size(); ++k) {
        float& weight = network.weights[i][k];
        const float gradient = network.gradients[i][k];
        weight = average ? gradient : weight - 0.1F * gradient;
      }
    }
  }
  const Result last = network.graph.evaluate(inputs, labels);
  CAPTURE(first.loss, last.loss, last.correct);
  REQUIRE(last.loss < 0.5 * first.loss);
  REQUIRE(last.correct >= 44);
  REQUIRE(last.samples == 48);
}

TEST_CASE("nn: misuse is answered before anything changes", "[unit]") {
  Graph graph({.channels = 2, .height = 4, .width = 4});
  const Value x = graph.convolution(graph.input(), {.out = 4, .kernel = 3}, "conv");
  const auto fails = [](const auto& action) {
    REQUIRE_THROWS_MATCHES(action(), Error, Catch::Predicate<Error>(is_invalid));
  };
  fails([&] { graph.convolution(x, {.out = 4}, "conv"); });                // the name is taken
  fails([&] { graph.convolution(x, {.out = 4, .kernel = 3}, "large"); });  // 2 x 2 is left
  fails([&] { graph.convolution(x, {.out = 4, .groups = 3}, "groups"); });
  fails([&] { graph.max_pool(x, {.kernel = 2, .padding = 2}); });
  fails([&] { graph.max_pool(x, {.kernel = 2, .padding = 1, .padding_end = 1}); });
  fails([&] { graph.max_pool(x, {.kernel = 2, .padding_end = -1}); });
  fails([&] { graph.upsample(x, 0); });
  fails([&] { graph.zero_pad(x, {.top = -1}); });
  fails([&] { graph.concat(std::array{x, graph.input()}); });  // of other sizes
  fails([&] { graph.concat({}); });
  fails([&] { graph.slice(x, {.first = -1}); });
  fails([&] { graph.slice(x, {.first = 1, .count = graph.shape(x).channels}); });
  fails([&] { graph.join(std::vector<Value>(17, x)); });
  fails([&] { graph.leaky_relu(x, 0.0F); });
  fails([&] { graph.add(x, graph.input()); });
  fails([&] { graph.softmax_cross_entropy(x); });  // not flat
  fails([&] { graph.relu({.index = 7}); });
  const Value y = graph.linear(x, 3, "fc");
  graph.softmax_cross_entropy(y);
  fails([&] { graph.relu(y); });  // after the loss
  REQUIRE(graph.parameters().size() == 4);

  const std::vector<float> batch(2 * 32);
  const std::vector<std::int32_t> labels{0, 1};
  fails([&] { graph.forward(batch); });  // not prepared
  graph.prepare(2);
  fails([&] { graph.prepare(2); });
  fails([&] { graph.forward(batch); });  // not bound
  std::vector<std::vector<float>> weights;
  for (std::size_t i = 0; i < 4; ++i) {
    weights.emplace_back(static_cast<std::size_t>(graph.parameters()[i].size()));
    graph.bind(i, weights[i], {});
  }
  fails([&] { graph.bind(4, weights[0], {}); });
  fails([&] { graph.bind(0, weights[1], {}); });
  REQUIRE(graph.forward(batch).size() == 6);
  fails([&] { graph.forward_backward(batch, labels, {}); });  // no gradients are bound
  for (std::size_t i = 0; i < 4; ++i) graph.bind(i, weights[i], weights[i]);
  fails([&] { graph.forward_backward(batch, std::span(labels).first(1), {}); });
  fails([&] { graph.forward(std::span(batch).first(33)); });
  fails([&] { graph.forward({}); });
  fails([&] { graph.backward(std::vector<float>(6), {}); });  // no forward_training before
}

TEST_CASE("nn: joined values lie one after another in every sample", "[unit]") {
  Graph graph({.channels = 2, .height = 1, .width = 2});
  const Value pooled = graph.global_average_pool(graph.input());
  const Value both = graph.concat(std::array{graph.input(), graph.input()});
  REQUIRE(graph.shape(both) == Shape{.channels = 4, .height = 1, .width = 2});
  const Value all = graph.join(std::array{pooled, both});
  REQUIRE(graph.shape(all) == Shape{.channels = 10});
  graph.prepare(2);
  const auto output = graph.forward(std::vector<float>{1, 3, 5, 7, 0, 2, 4, 6});
  REQUIRE(std::vector<float>(output.begin(), output.end()) ==
          std::vector<float>{2, 6, 1, 3, 5, 7, 1, 3, 5, 7, 1, 5, 0, 2, 4, 6, 0, 2, 4, 6});
}

TEST_CASE("nn: a value that no layer uses is named", "[unit]") {
  Graph graph({.channels = 2});
  graph.linear(graph.input(), 3, "forgotten");
  graph.linear(graph.input(), 3, "fc");
  REQUIRE_THROWS_WITH(graph.prepare(1), Catch::Contains("forgotten"));
}

}  // namespace ps::nn
