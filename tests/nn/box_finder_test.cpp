// Boxes that a BoxFinder finds, on the CPU and on a GPU, against decode() and suppress().
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include <ps/error.h>
#include <ps/nn/box_finder.h>
#include <ps/nn/detector.h>

#include "kernels/backend_pair.h"
#include "nn/device_suppressor.h"
#include "nn/network.h"
#include "support/catch.h"

namespace ps::nn {
namespace {

using kernels::TestDevice;

constexpr Device kGpu{.kind = DeviceKind::kCuda, .index = 0};
constexpr std::int64_t kBatch = 3;

using Boxes = std::vector<std::vector<Detection>>;

std::vector<Device> devices() {
  std::vector<Device> devices{{}};
  if (cuda_device_count() > 0) devices.push_back(kGpu);
  return devices;
}

DetectionHead head_of(std::int64_t classes, bool anchor_free) {
  DetectionHead head{.classes = classes,
                     .levels = {{8, 9, 11, {{16, 30}, {33, 23}}}, {16, 5, 6, {{62, 45}}}}};
  if (anchor_free) {
    for (HeadLevel& level : head.levels) level.anchors.clear();
  }
  return head;
}

// A graph whose output is its input: the same bits on every device.
Graph identity(std::int64_t size, const Device& device) {
  Graph graph({.channels = size, .height = 1, .width = 1});
  graph.join(std::array{graph.input()});
  graph.prepare(kBatch, device);
  return graph;
}

std::vector<float> random_output(const DetectionHead& head,
                                 std::int64_t batch,
                                 std::uint64_t seed) {
  Random random(seed);
  std::vector<float> output(static_cast<std::size_t>(batch * head.size()));
  for (float& value : output) value = static_cast<float>(random.uniform(-4, 4));
  return output;
}

// What decode() and suppress() say.
Boxes expected_of(const DetectionHead& head,
                  const std::vector<float>& output,
                  const NmsOptions& options) {
  const auto batch = static_cast<std::int64_t>(output.size()) / head.size();
  const auto per_image = static_cast<std::size_t>(head.candidates() * head.row_floats());
  std::vector<float> rows(static_cast<std::size_t>(batch) * per_image);
  decode(head, output, batch, rows);
  Boxes boxes;
  for (std::size_t i = 0; i < rows.size(); i += per_image) {
    boxes.push_back(suppress(std::span(rows).subspan(i, per_image), head.classes,
                             !head.anchor_free(), options));
  }
  return boxes;
}

// On both devices, in batches of several sizes.
void require_found(const DetectionHead& head,
                   const NmsOptions& options,
                   const std::vector<std::vector<float>>& outputs) {
  for (const Device& device : devices()) {
    Graph graph = identity(head.size(), device);
    BoxFinder finder(graph, head, options);
    for (const std::vector<float>& output : outputs) {
      CAPTURE(to_string(device), output.size());
      finder.forward(output);
      const auto found = finder.boxes();
      REQUIRE(Boxes(found.begin(), found.end()) == expected_of(head, output, options));
    }
  }
}

}  // namespace

TEST_CASE("box finder: finds on every device what decode and suppress say", "[unit][cuda]") {
  const TestDevice gpu;
  const bool anchor_free = GENERATE(false, true);
  const std::int64_t classes = GENERATE(1, 37);
  const DetectionHead head = head_of(classes, anchor_free);
  NmsOptions options{.confidence = .5F};
  const bool all = GENERATE(false, true);
  options.multi_label = all;
  SECTION("plain") {}
  SECTION("agnostic") {
    options.agnostic = true;
  }
  SECTION("few classes") {
    options.classes = {0};
    if (classes > 30) options.classes = {31, 2};
  }
  SECTION("few boxes") {
    options.max_detections = 5;
    options.max_candidates = 40;
  }
  SECTION("all that is above nothing") {
    options.confidence = 0.0F;
  }
  CAPTURE(anchor_free, classes, options.multi_label, options.agnostic, options.confidence);
  require_found(head, options,
                {random_output(head, 2, 1), random_output(head, 1, 2), random_output(head, 3, 3)});
}

TEST_CASE("box finder: images without boxes, and boxes that are not finite", "[unit][cuda]") {
  const TestDevice gpu;
  const bool anchor_free = GENERATE(false, true);
  const bool multi_label = GENERATE(false, true);
  const DetectionHead head = head_of(3, anchor_free);
  const std::vector<float> nothing(static_cast<std::size_t>(2 * head.size()), -30.0F);
  std::vector<float> half = random_output(head, 3, 4);
  std::fill_n(half.begin() + head.size(), head.size(), -30.0F);
  std::vector<float> broken = random_output(head, 1, 5);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (std::size_t i = 0; i < broken.size(); i += 11) {
    broken[i] = std::array{NAN, kInfinity, -kInfinity}[i % 3];
  }
  require_found(head, {.confidence = .3F, .multi_label = multi_label}, {nothing, half, broken});
  require_found(head, {.confidence = .3F, .max_detections = 0}, {half});
  require_found(head, {.confidence = .3F, .max_candidates = 0}, {half});
}

TEST_CASE("box finder: equal scores keep the order of rows, then classes", "[unit][cuda]") {
  const TestDevice gpu;
  const DetectionHead head = head_of(3, GENERATE(false, true));
  const std::vector<float> same(static_cast<std::size_t>(2 * head.size()), 1.0F);
  for (const bool multi_label : {false, true}) {
    require_found(
        head, {.confidence = .2F, .iou = 1.0F, .max_detections = 1000, .multi_label = multi_label},
        {same});
    require_found(head, {.confidence = .2F, .max_candidates = 50, .multi_label = multi_label},
                  {same});
  }
}

TEST_CASE("box finder: more candidates than memory is kept for", "[unit][cuda]") {
  const TestDevice gpu;
  const DetectionHead head = head_of(20, GENERATE(false, true));
  std::vector<float> output = random_output(head, 3, 6);
  std::fill_n(output.begin() + head.size(), head.size(), 2.0F);  // everything, everywhere
  std::fill_n(output.begin() + 2 * head.size(), head.size(), -3.0F);
  // 2048 keys an image.
  NmsOptions options{.confidence = .3F, .max_candidates = 200, .multi_label = true};
  require_found(head, options, {output, output});
  // As many as there can be.
  options.max_candidates = 30000;
  require_found(head, options, {output});
}

TEST_CASE("box finder: a detector's boxes and loss are those of its output", "[unit][cuda]") {
  const TestDevice gpu;
  const bool anchor_free = GENERATE(false, true);
  const DetectionHead head = head_of(5, anchor_free);
  const DetectionLossOptions options = default_loss_options(head);
  const std::vector<Target> targets{{0, 1, .4F, .5F, .5F, .3F}, {1, 4, .6F, .3F, .2F, .4F}};
  const std::vector<float> output = random_output(head, 2, 7);
  DetectionCriterion host(head, options, kBatch);
  const DetectionLoss expected = host.run(output, 2, targets, {});
  for (const Device& device : devices()) {
    Graph graph = identity(head.size(), device);
    BoxFinder finder(graph, head, {.confidence = .5F});
    for (int times = 0; times < 2; ++times) {
      DetectionCriterion criterion(head, options, kBatch);
      finder.forward(output);
      const DetectionLoss loss = finder.loss(criterion, targets);
      CHECK(loss.positives == expected.positives);
      CHECK(loss.total == Approx(expected.total).epsilon(1e-6));
      const auto found = finder.boxes();
      REQUIRE(Boxes(found.begin(), found.end()) == expected_of(head, output, {.confidence = .5F}));
      CHECK(finder.loss(criterion, targets).total == loss.total);
    }
  }
}

TEST_CASE("box finder: finds a network's boxes", "[unit][cuda]") {
  const TestDevice gpu;
  const auto list = devices();
  const Device device = list[GENERATE(0U, 1U) % list.size()];
  Detector detector(detector_table("pico"), 3, 32, 32);
  Graph& graph = detector.graph();
  std::vector<std::vector<float>> weights;
  for (std::size_t i = 0; i < graph.parameters().size(); ++i) {
    weights.emplace_back(static_cast<std::size_t>(graph.parameters()[i].size()));
    detector.initialize(i, 1, weights.back());
    graph.bind(i, weights[i], {});
  }
  graph.prepare(2, device);
  const std::vector<float> pictures = random_values(2 * 3 * 32 * 32, 9);
  const NmsOptions options{.confidence = 1e-4F, .multi_label = true};
  BoxFinder finder(graph, detector.head(), options);
  finder.forward(pictures);
  const Boxes found(finder.boxes().begin(), finder.boxes().end());
  const auto output = graph.forward(pictures);
  REQUIRE(found == expected_of(detector.head(), {output.begin(), output.end()}, options));
  REQUIRE(!found[0].empty());
}

TEST_CASE("box finder: refuses what it cannot do", "[unit]") {
  const DetectionHead head = head_of(2, true);
  Graph graph = identity(head.size(), {});
  REQUIRE_THROWS_AS(BoxFinder(graph, head, {.iou = 2.0F}), Error);
  REQUIRE_THROWS_AS(BoxFinder(graph, DetectionHead{}, {}), Error);
  BoxFinder finder(graph, head, {});
  REQUIRE_THROWS_AS(finder.boxes(), Error);
  REQUIRE_THROWS_AS(finder.forward(std::vector<float>(5)), Error);
  BoxFinder of_other(graph, head_of(3, true), {});
  REQUIRE_THROWS_AS(of_other.forward(random_output(head, 1, 1)), Error);
}

#if defined(PS_CUDA_EMULATED)
TEST_CASE("box finder: allocates nothing on a GPU once it has its batches", "[unit]") {
  const TestDevice gpu;
  const DetectionHead head = head_of(5, GENERATE(false, true));
  Graph graph = identity(head.size(), kGpu);
  BoxFinder finder(graph, head, {.confidence = .5F, .multi_label = true});
  DetectionCriterion criterion(head, default_loss_options(head), kBatch);
  const std::vector<Target> targets{{0, 1, .4F, .5F, .5F, .3F}};
  const auto step = [&](const std::vector<float>& output) {
    finder.forward(output);
    finder.boxes();
    finder.loss(criterion, targets);
  };
  for (const std::int64_t batch : {3, 3, 1, 1}) {  // the second pass of a size is recorded
    step(random_output(head, batch, 1));
  }
  const cuda_host::Counters before = cuda_host::counters();
  step(random_output(head, 3, 2));
  step(random_output(head, 1, 3));
  const cuda_host::Counters after = cuda_host::counters();
  CHECK(after.launches > before.launches);
  CHECK(after.allocations == before.allocations);
  CHECK(after.frees == before.frees);
  CHECK(after.device_waits == before.device_waits);
}

TEST_CASE("device suppressor: rows of one image at a time give the same boxes", "[unit]") {
  const TestDevice gpu;
  const DetectionHead head = head_of(5, GENERATE(false, true));
  const NmsOptions options{.confidence = .4F, .multi_label = true};
  const std::vector<float> output = random_output(head, 5, 1);
  const kernels::Stream stream(0);
  const kernels::DeviceBuffer there(0, output.size() * sizeof(float));
  kernels::copy_to_device(there.data(), output.data(), there.size(), stream);
  const Boxes expected = expected_of(head, output, options);
  for (const std::int64_t bytes :
       {std::int64_t{1}, 2 * head.candidates() * head.row_floats() * 4}) {
    for (const std::uint64_t seed : {1U, 2U, 3U}) {
      cuda_host::seed(seed);
      CAPTURE(bytes, seed);
      Boxes found(5);
      device_suppressor(head, options, stream, bytes)->run(there.as<float>(), found);
      REQUIRE(found == expected);
    }
  }
}
#endif

}  // namespace ps::nn
