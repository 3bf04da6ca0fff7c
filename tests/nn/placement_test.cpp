// A graph over several devices against the same graph on one.
#include <algorithm>
#include <vector>

#include <ps/error.h>
#include <ps/nn/detection.h>
#include <ps/nn/detector.h>
#include <ps/nn/nn.h>

#include "kernels/backend_pair.h"
#include "nn/network.h"
#include "support/catch.h"

namespace ps::nn {
namespace {

using kernels::Emulated;
using Gradients = std::vector<std::vector<float>>;

constexpr std::int64_t kSample = 2 * 8 * 8;

Device gpu(int index) {
  return {.kind = DeviceKind::kCuda, .index = index};
}

Placement over(int devices) {
  Placement placement;
  placement.devices.clear();
  for (int i = 0; i < devices; ++i) placement.devices.push_back(gpu(i));
  return placement;
}

Placement split_at(const std::vector<int>& ends, std::int64_t micro_batches) {
  Placement placement = over(static_cast<int>(ends.size()) + 1);
  for (const int end : ends) placement.ends.push_back({end});
  placement.micro_batches = micro_batches;
  return placement;
}

// The sum that several devices shall have: of each slice's gradients on one device, in their order,
// each times its share.
class Expected {
 public:
  void add(const Network& slice, float gradients, float averages) {
    Gradients mine = slice.gradients;
    for (std::size_t i = 0; i < mine.size(); ++i) {
      const bool trained = slice.graph.parameters()[i].kind == ParameterKind::kTrained;
      for (float& value : mine[i]) value *= trained ? gradients : averages;
    }
    if (sum_.empty()) {
      sum_ = mine;
      return;
    }
    for (std::size_t i = 0; i < mine.size(); ++i) {
      for (std::size_t k = 0; k < mine[i].size(); ++k) sum_[i][k] += mine[i][k];
    }
  }
  [[nodiscard]] const Gradients& sum() const { return sum_; }

 private:
  Gradients sum_;
};

std::vector<std::int64_t> slices(std::int64_t batch, std::int64_t lanes) {
  std::vector<std::int64_t> counts;
  for (std::int64_t l = 0; l < lanes; ++l) {
    if (const std::int64_t count = batch / lanes + (l < batch % lanes ? 1 : 0); count > 0)
      counts.push_back(count);
  }
  return counts;
}

TEST_CASE("devices: several devices give the bits of the sum of their slices", "[unit][cuda]") {
  const std::int64_t devices = GENERATE(2, 3);
  const std::int64_t batch = GENERATE(1, 2, 5);
  CAPTURE(devices, batch);
  const Emulated emulated(3, 11);
  const auto images = random_values(batch * kSample, 4);
  std::vector<std::int32_t> labels{0, -1, 1, 0, 2};  // one does not count
  labels.resize(static_cast<std::size_t>(batch));
  Expected expected;
  double loss = 0.0;
  std::int64_t correct = 0;
  std::int64_t first = 0;
  const double counted = static_cast<double>(batch > 1 ? batch - 1 : 1);
  for (const std::int64_t count : slices(batch, devices)) {
    Network slice(every_layer(), 3, 8, gpu(0));
    const Result result = slice.graph.forward_backward(
        std::span(images).subspan(static_cast<std::size_t>(first * kSample),
                                  static_cast<std::size_t>(count * kSample)),
        std::span(labels).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)),
        {});
    expected.add(slice, static_cast<float>(static_cast<double>(result.samples) / counted),
                 static_cast<float>(static_cast<double>(count) / static_cast<double>(batch)));
    loss += result.loss * static_cast<double>(result.samples) / counted;
    correct += result.correct;
    first += count;
  }
  Network all(every_layer(), 3, 8, over(static_cast<int>(devices)));
  for (int step = 0; step < 2; ++step) {
    const Result result = all.graph.forward_backward(images, labels, {});
    CHECK(result.loss == Approx(loss));
    CHECK(result.correct == correct);
    CHECK(static_cast<double>(result.samples) == counted);
    CHECK(all.gradients == expected.sum());
  }
  Network one(every_layer(), 3, 8, gpu(0));
  const auto output = one.graph.forward(images);
  CHECK(std::ranges::equal(all.graph.forward(images), output));
}

TEST_CASE("devices: a network over two or three devices has the bits of one", "[unit][cuda]") {
  const bool heads = GENERATE(true, false);
  const Emulated emulated(3, 5);
  const auto images = random_values(3 * kSample, 6);
  Network one(heads ? pyramid() : every_layer(), 5, 3, gpu(0));
  const auto output = one.graph.forward_training(images);
  const auto slopes = random_values(std::ssize(output), 7);
  const std::vector<float> values(output.begin(), output.end());
  one.graph.backward(slopes, {});
  const int last = heads ? 15 : 11;
  std::vector<std::vector<int>> cuts;
  for (int a = 1; a < last; ++a) cuts.push_back({a});
  for (int a = 1; a < last - 3; a += 2) cuts.push_back({a, a + 3});
  for (const auto& ends : cuts) {
    CAPTURE(heads, ends);
    Network parts(heads ? pyramid() : every_layer(), 5, 3, split_at(ends, 1));
    for (int step = 0; step < 2; ++step) {
      const auto result = parts.graph.forward_training(images);
      REQUIRE(std::ranges::equal(result, values));
      std::vector<std::size_t> order;
      parts.graph.backward(slopes, [&](std::size_t i) { order.push_back(i); });
      REQUIRE(parts.gradients == one.gradients);
      REQUIRE(order.size() == parts.weights.size());
      REQUIRE(std::ranges::is_sorted(order, std::greater<>()));
    }
  }
}

TEST_CASE("devices: a split network's slices have the bits of as many devices", "[unit][cuda]") {
  const std::uint64_t seed = GENERATE(1U, 2U, 3U);
  const Emulated emulated(3, seed);
  const auto images = random_values(7 * kSample, 8);
  Network devices(pyramid(), 5, 7, over(3));
  Network parts(pyramid(), 5, 7, split_at({6}, 3));
  for (int step = 0; step < 2; ++step) {
    const auto output = devices.graph.forward_training(images);
    const auto slopes = random_values(std::ssize(output), 9);
    REQUIRE(std::ranges::equal(parts.graph.forward_training(images), output));
    devices.graph.backward(slopes, {});
    parts.graph.backward(slopes, {});
    REQUIRE(parts.gradients == devices.gradients);
    for (Network* network : {&devices, &parts}) {
      for (std::size_t i = 0; i < network->weights.size(); ++i) {
        for (std::size_t k = 0; k < network->weights[i].size(); ++k)
          network->weights[i][k] -= 0.01F * network->gradients[i][k];
      }
    }
  }
}

// Sanitizers make minutes of it.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("devices: a detector's loss is its slices'", "[unit][cuda]") {
  const Emulated emulated(2, 3);
  const auto pictures = random_values(2 * 3 * 32 * 32, 9);
  const std::vector<Target> targets{{0, 1, 0.4F, 0.5F, 0.5F, 0.3F},
                                    {1, 0, 0.6F, 0.3F, 0.2F, 0.4F},
                                    {1, 2, 0.5F, 0.5F, 0.8F, 0.7F}};
  const auto make = [] { return Detector(detector_table("pico"), 3, 32, 32); };
  const auto learn = [&](const Placement& placement, std::int64_t first, std::int64_t count) {
    Detector detector = make();
    Network network(std::move(detector.graph()), 1, 2, placement);
    DetectionCriterion criterion(detector.head(), default_loss_options(detector.head()), 2);
    std::vector<Target> mine;
    for (Target target : targets) {
      target.image -= static_cast<std::int32_t>(first);
      if (target.image >= 0 && target.image < count) mine.push_back(target);
    }
    const auto some = std::span(pictures).subspan(static_cast<std::size_t>(first * 3 * 32 * 32),
                                                  static_cast<std::size_t>(count * 3 * 32 * 32));
    const DetectionLoss loss = network.graph.forward_backward(some, criterion, mine, {});
    return std::pair(loss, network.gradients);
  };
  const auto [first_loss, first] = learn(over(1), 0, 1);
  const auto [second_loss, second] = learn(over(1), 1, 1);
  const auto [loss, both] = learn(over(2), 0, 2);
  CHECK(loss.total == Approx(first_loss.total + second_loss.total));
  CHECK(loss.box == Approx((first_loss.box + second_loss.box) / 2));
  CHECK(loss.positives == first_loss.positives + second_loss.positives);
  Detector detector = make();
  const Graph& graph = detector.graph();
  for (std::size_t i = 0; i < both.size(); ++i) {
    const float share = graph.parameters()[i].kind == ParameterKind::kTrained ? 1.0F : 0.5F;
    for (std::size_t k = 0; k < both[i].size(); ++k)
      REQUIRE(both[i][k] == share * first[i][k] + share * second[i][k]);
  }
  CHECK(learn(split_at({8}, 2), 0, 2).second == both);
}
#endif

TEST_CASE("devices: a step over several devices allocates nothing and waits for none of them",
          "[unit][cuda]") {
  const Emulated emulated(2, 1);
  const bool split = GENERATE(true, false);
  Network network(every_layer(), 3, 5, split ? split_at({4}, 2) : over(2));
  const auto images = random_values(5 * kSample, 4);
  const std::vector<std::int32_t> labels{0, 2, 1, 0, 2};
  for (int step = 0; step < 2; ++step)  // the second one is recorded
    network.graph.forward_backward(images, labels, {});
  const cuda_host::Counters before = cuda_host::counters();
  network.graph.forward_backward(images, labels, {});
  const cuda_host::Counters after = cuda_host::counters();
  CHECK(after.launches > before.launches);
  CHECK(after.allocations == before.allocations);
  CHECK(after.frees == before.frees);
  CHECK(after.device_waits == before.device_waits);
}

TEST_CASE("devices: what cannot be recorded is computed all the same", "[unit][cuda]") {
  const Emulated emulated(2, 1);
  const auto pictures = random_values(5 * kSample, 4);
  const std::vector<std::int32_t> labels{0, 2, 1, 0, 2};
  Network recorded(every_layer(), 3, 5, over(2));
  Network refused(every_layer(), 3, 5, over(2));
  for (int pass = 0; pass < 3; ++pass) {
    cuda_host::refuse_graphs(false);
    recorded.graph.forward_backward(pictures, labels, {});
    const cuda_host::Counters before = cuda_host::counters();
    cuda_host::refuse_graphs(true);
    refused.graph.forward_backward(pictures, labels, {});
    CHECK(refused.gradients == recorded.gradients);
    CHECK(cuda_host::counters().graph_launches == before.graph_launches);
  }
}

TEST_CASE("devices: what cannot be laid out is refused", "[unit][cuda]") {
  const Emulated emulated(2, 1);
  const auto refused = [](const Placement& placement, const char* words) {
    Graph graph = every_layer();
    REQUIRE_THROWS_WITH(graph.prepare(2, placement), Catch::Contains(words));
    graph.prepare(2, gpu(0));  // nothing has changed
  };
  refused({.devices = {}}, "expected a device");
  refused({.devices = {gpu(0), Device{}}}, "several GPUs");
  refused(split_at({3, 2}, 1), "in their order");
  refused(split_at({0}, 1), "a layer or more");
  refused(split_at({11}, 1), "a layer or more");
  Placement few = over(2);
  few.ends = {{1}, {2}};
  refused(few, "a last value for each device but the last");
}

}  // namespace
}  // namespace ps::nn
