// Passes that begin before the last weights have arrived.
#include <cmath>
#include <functional>
#include <vector>

#include <ps/error.h>
#include <ps/nn/nn.h>

#include "kernels/emulated.h"
#include "nn/network.h"
#include "support/catch.h"

namespace ps::nn {
namespace {

using kernels::Emulated;

const std::vector<std::int32_t> kLabels{0, 2, 1, 0, 2};

std::vector<float> images() {
  return random_values(5 * 2 * 8 * 8, 4);
}

std::vector<Device> gpus(int count) {
  std::vector<Device> devices;
  for (int i = 0; i < count; ++i) devices.push_back({.kind = DeviceKind::kCuda, .index = i});
  return devices;
}

// A network whose weights are nowhere until each is asked for.
class Arriving {
 public:
  Arriving(Graph graph, const Placement& placement)
      : network(std::move(graph), 3, 5, placement), arrived_(network.weights) {
    network.graph.when_weights_needed([this](std::size_t i) {
      if (watch) watch(i);
      network.weights[i] = arrived_[i];
      order.push_back(i);
    });
  }

  Result step() {
    for (auto& weights : network.weights) weights.assign(weights.size(), NAN);
    order.clear();
    const Result result = network.graph.forward_backward(images(), kLabels, {});
    REQUIRE(order.size() == network.weights.size());
    for (std::size_t i = 0; i < order.size(); ++i) REQUIRE(order[i] == i);
    return result;
  }

  Network network;
  std::vector<std::size_t> order;
  std::function<void(std::size_t)> watch;

 private:
  std::vector<std::vector<float>> arrived_;
};

// Two layers of which the first is as large as a segment.
Graph wide() {
  Graph graph({.channels = 2, .height = 8, .width = 8});
  const Value x = graph.relu(graph.linear(graph.input(), 1100, "wide"));
  graph.softmax_cross_entropy(graph.linear(x, 3, "last"));
  return graph;
}

TEST_CASE("arrival: weights that come as a pass needs them give the same bits", "[unit][cuda]") {
  const std::uint64_t seed = GENERATE(1U, 2U, 3U);
  const Emulated emulated(2, seed);
  Placement placement;
  SECTION("on the CPU") {}
  SECTION("on one device") {
    placement.devices = gpus(1);
  }
  SECTION("on two, each a slice") {
    placement.devices = gpus(2);
  }
  SECTION("on two, each some layers") {
    placement = {.devices = gpus(2), .ends = {{6}}, .micro_batches = 2};
  }
  CAPTURE(seed);
  Network there(every_layer(), 3, 5, placement);
  Arriving arriving(every_layer(), placement);
  const Result expected = there.graph.forward_backward(images(), kLabels, {});
  for (int pass = 0; pass < 3; ++pass) {  // the second one is recorded
    REQUIRE(arriving.step().loss == expected.loss);
    REQUIRE(arriving.network.gradients == there.gradients);
  }
}

TEST_CASE("arrival: what has come is uploaded and computed with before the last weights are there",
          "[unit][cuda]") {
  const Emulated emulated;
  Arriving arriving(wide(), {.devices = gpus(1)});
  for (int pass = 0; pass < 3; ++pass) {
    const cuda_host::Counters before = cuda_host::counters();
    std::vector<std::int64_t> copies;
    std::vector<std::int64_t> launches;
    arriving.watch = [&](std::size_t) {
      copies.push_back(cuda_host::counters().copies - before.copies);
      launches.push_back(cuda_host::counters().launches - before.launches);
    };
    arriving.step();
    // The images and the parameters before it.
    REQUIRE(copies == std::vector<std::int64_t>{1, 2, 3, 4});
    CHECK(launches[1] == 0);
    CHECK(launches[2] > 0);  // the first layer
  }
}

TEST_CASE("arrival: a failure to bring weights ends the pass, and the next one is whole",
          "[unit][cuda]") {
  const Emulated emulated;
  Placement placement;
  if (GENERATE(true, false)) placement.devices = gpus(1);
  Network there(wide(), 3, 5, placement);
  Arriving arriving(wide(), placement);
  arriving.watch = [](std::size_t i) {
    if (i == 2) throw Error(ErrorCode::kTimeout, "planted");
  };
  REQUIRE_THROWS_WITH(arriving.step(), "planted");
  CHECK_THROWS_AS(arriving.network.graph.backward(std::vector<float>(15), {}), Error);
  arriving.watch = nullptr;
  const Result expected = there.graph.forward_backward(images(), kLabels, {});
  CHECK(arriving.step().loss == expected.loss);
  CHECK(arriving.network.gradients == there.gradients);
}

}  // namespace
}  // namespace ps::nn
