// Detectors against what is published of them: parameters layer by layer, operations, names, first
// values.
#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include <ps/error.h>
#include <ps/nn/nn.h>

#include "nn/network.h"
#include "support/catch.h"

namespace ps::nn {
namespace {

std::vector<std::int64_t> layer_parameters(const Detector& detector) {
  std::vector<std::int64_t> counts;
  for (const DetectorLayer& layer : detector.layers()) counts.push_back(layer.parameters);
  return counts;
}

Detector make(const std::string& name, std::int64_t classes, std::int64_t side) {
  return {detector_table(name), classes, side, side};
}

struct Total {
  const char* name;
  std::int64_t classes;
  std::int64_t parameters;
};

}  // namespace

TEST_CASE("detector: yolov5n has the known parameters in every layer", "[unit]") {
  const Detector detector = make("yolov5n", 80, 64);
  REQUIRE(layer_parameters(detector) ==
          std::vector<std::int64_t>{1760,   4672,   4800,   18560, 29184, 73984, 156928,
                                    295424, 296448, 164608, 33024, 0,     0,     90880,
                                    8320,   0,      0,      22912, 36992, 0,     74496,
                                    147712, 0,      296448, 115005});
}

TEST_CASE("detector: yolov3-tiny has the known parameters in every layer", "[unit]") {
  const Detector detector = make("yolov3-tiny", 80, 64);
  REQUIRE(layer_parameters(detector) ==
          std::vector<std::int64_t>{464,    0,       4672,  0,       18560, 0,      73984,
                                    0,      295424,  0,     1180672, 0,     0,      4720640,
                                    262656, 1180672, 33024, 0,       0,     885248, 196350});
  std::int64_t running = 0;
  for (const Parameter& parameter : detector.graph().parameters()) {
    if (parameter.kind == ParameterKind::kAverage) running += parameter.size();
  }
  REQUIRE(running == 6368);
}

TEST_CASE("detector: yolov8n has the known parameters in every layer", "[unit]") {
  const Detector detector = make("yolov8n", 80, 64);
  REQUIRE(layer_parameters(detector) ==
          std::vector<std::int64_t>{464,    4672,   7360,   18560,  49664,  73984,  197632, 295424,
                                    460288, 164608, 0,      0,      148224, 0,      0,      37248,
                                    36992,  0,      123648, 147712, 0,      493056, 897664});
}

TEST_CASE("detector: parameters in total are those that users know", "[unit]") {
  const auto total = GENERATE(
      Total{"pico", 5, 101476}, Total{"yolov5p", 10, 452311}, Total{"yolov5n", 80, 1872157},
      Total{"yolov5n", 20, 1790977}, Total{"yolov5n", 10, 1777447}, Total{"yolov5n", 3, 1767976},
      Total{"yolov5n", 1, 1765270}, Total{"yolov5s", 80, 7235389}, Total{"yolov5m", 80, 21190557},
      Total{"yolov5l", 80, 46563709}, Total{"yolov5x", 80, 86749405},
      Total{"yolov3-tiny", 80, 8852366}, Total{"yolov3-tiny", 20, 8713766},
      Total{"yolov3-tiny", 1, 8669876}, Total{"yolov8n", 80, 3157200},
      Total{"yolov8n", 10, 3012798}, Total{"yolov8n", 1, 3011043}, Total{"yolov8s", 80, 11166560},
      Total{"yolov8m", 80, 25902640}, Total{"yolov8l", 80, 43691520},
      Total{"yolov8x", 80, 68229648});
  CAPTURE(total.name, total.classes);
  const Detector detector = make(total.name, total.classes, 64);
  CHECK(detector.parameter_count() == total.parameters);
  std::int64_t trained = 0;
  for (const Parameter& parameter : detector.graph().parameters()) {
    if (parameter.kind == ParameterKind::kTrained) trained += parameter.size();
  }
  CHECK(trained + (detector.head().anchor_free() ? 16 : 0) == total.parameters);
}

TEST_CASE("detector: operations of a forward pass are those that users know", "[unit]") {
  struct Case {
    const char* name;
    std::int64_t classes;
    std::int64_t side;
    double gflops;
    double within;
  };
  const auto c =
      GENERATE(Case{"yolov5n", 80, 640, 4.468, 5e-4}, Case{"yolov5n", 1, 640, 4.128, 5e-4},
               Case{"yolov5n", 10, 320, 1.042, 5e-4}, Case{"yolov5n", 10, 160, 0.260, 6e-4},
               Case{"yolov3-tiny", 80, 640, 13.17, 5e-3}, Case{"yolov3-tiny", 80, 416, 5.565, 5e-4},
               Case{"yolov8n", 80, 640, 8.743, 5e-3}, Case{"yolov5p", 10, 160, 0.072, 5e-4},
               Case{"pico", 5, 128, 0.026, 5e-4});
  CAPTURE(c.name, c.classes, c.side);
  CHECK(make(c.name, c.classes, c.side).flops() / 1e9 == Approx(c.gflops).margin(c.within));
}

TEST_CASE("detector: parameters have the names that weight files have", "[unit]") {
  std::map<std::string, std::vector<std::int64_t>> shapes;
  const Detector v5 = make("yolov5n", 80, 64);
  for (const Parameter& p : v5.graph().parameters()) shapes[p.name] = p.shape;
  REQUIRE(shapes["model.0.conv.weight"] == std::vector<std::int64_t>{16, 3, 6, 6});
  REQUIRE(shapes["model.2.cv1.bn.running_mean"] == std::vector<std::int64_t>{16});
  REQUIRE(shapes["model.4.m.1.cv2.conv.weight"] == std::vector<std::int64_t>{32, 32, 3, 3});
  REQUIRE(shapes["model.9.cv2.conv.weight"] == std::vector<std::int64_t>{256, 512, 1, 1});
  REQUIRE(shapes["model.13.cv3.bn.bias"] == std::vector<std::int64_t>{128});
  REQUIRE(shapes["model.24.m.0.weight"] == std::vector<std::int64_t>{255, 64, 1, 1});
  REQUIRE(shapes["model.24.m.2.bias"] == std::vector<std::int64_t>{255});
  const Detector v8 = make("yolov8n", 80, 64);
  for (const Parameter& p : v8.graph().parameters()) shapes[p.name] = p.shape;
  REQUIRE(shapes["model.2.cv1.conv.weight"] == std::vector<std::int64_t>{32, 32, 1, 1});
  REQUIRE(shapes["model.4.cv2.conv.weight"] == std::vector<std::int64_t>{64, 128, 1, 1});
  REQUIRE(shapes["model.22.cv2.0.0.conv.weight"] == std::vector<std::int64_t>{64, 64, 3, 3});
  REQUIRE(shapes["model.22.cv3.2.1.bn.running_var"] == std::vector<std::int64_t>{80});
  REQUIRE(shapes["model.22.cv3.1.2.bias"] == std::vector<std::int64_t>{80});
}

TEST_CASE("detector: the heads' biases begin with what is expected of a picture", "[unit]") {
  struct Case {
    const char* name;
    std::int64_t classes;
    int row;
    std::vector<float> objectness;
    float category;
  };
  const auto c = GENERATE(Case{"yolov5n", 80, 24, {-6.684612F, -5.298317F, -3.912023F}, -4.880274F},
                          Case{"yolov5n", 10, 24, {-6.684612F, -5.298317F, -3.912023F}, -2.708051F},
                          Case{"yolov5n", 1, 24, {-6.684612F, -5.298317F, -3.912023F}, 11.0021F},
                          Case{"yolov3-tiny", 80, 20, {-5.298317F, -3.912023F}, -4.880274F});
  const Detector detector = make(c.name, c.classes, 64);
  const auto& parameters = detector.graph().parameters();
  std::size_t found = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const std::string prefix = "model." + std::to_string(c.row) + ".m.";
    if (!parameters[i].name.starts_with(prefix) || parameters[i].shape.size() != 1) continue;
    std::vector<float> values(static_cast<std::size_t>(parameters[i].size()));
    detector.initialize(i, 1, values);
    for (std::size_t k = 0; k < values.size(); ++k) {
      const std::size_t channel = k % static_cast<std::size_t>(5 + c.classes);
      const float expected = channel < 4 ? 0.0F : (channel == 4 ? c.objectness[found] : c.category);
      REQUIRE(values[k] == Approx(expected).margin(1e-5));
    }
    ++found;
  }
  REQUIRE(found == c.objectness.size());
}

TEST_CASE("detector: an anchor-free head's classes begin at five boxes a picture", "[unit]") {
  const Detector detector = make("yolov8n", 80, 64);
  const auto& parameters = detector.graph().parameters();
  std::map<std::string, float> first;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    std::vector<float> values(static_cast<std::size_t>(parameters[i].size()));
    detector.initialize(i, 1, values);
    first[parameters[i].name] = values.back();
  }
  REQUIRE(first["model.22.cv3.0.2.bias"] == Approx(std::log(5.0 / 80.0 / 6400.0)));
  REQUIRE(first["model.22.cv3.2.2.bias"] == Approx(std::log(5.0 / 80.0 / 400.0)));
  REQUIRE(first["model.22.cv2.0.2.bias"] == 0.0F);
  REQUIRE(first["model.0.bn.weight"] == 1.0F);
}

TEST_CASE("detector: convolutions begin within one over the root of their inputs", "[unit]") {
  const Detector detector = make("pico", 5, 64);
  const auto& parameters = detector.graph().parameters();
  std::vector<float> values(8 * 3 * 3 * 3);
  REQUIRE(parameters[0].name == "model.0.conv.weight");
  detector.initialize(0, 1, values);
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const float bound = 1.0F / std::sqrt(27.0F);
  REQUIRE(*least >= -bound);
  REQUIRE(*most < bound);
  REQUIRE(*most - *least > 1.8F * bound);
  REQUIRE_THROWS_AS(detector.initialize(parameters.size(), 1, values), Error);
}

TEST_CASE("detector: every size has the same parameters, and a head of its own", "[unit]") {
  const auto name = GENERATE(as<std::string>{}, "pico", "yolov3-tiny", "yolov5p", "yolov8n");
  const DetectorTable table = detector_table(name);
  const std::int64_t stride = detector_stride(table);
  REQUIRE(stride == (name == "pico" ? 16 : 32));
  const Detector small(table, 3, 64, 64);
  const Detector large(table, 3, 96, 160);
  REQUIRE(small.graph().parameters().size() == large.graph().parameters().size());
  for (std::size_t i = 0; i < small.graph().parameters().size(); ++i) {
    REQUIRE(small.graph().parameters()[i].name == large.graph().parameters()[i].name);
    REQUIRE(small.graph().parameters()[i].shape == large.graph().parameters()[i].shape);
  }
  for (const HeadLevel& level : large.head().levels) {
    REQUIRE(level.height * level.stride == 96);
    REQUIRE(level.width * level.stride == 160);
    REQUIRE(level.anchors.empty() == (name == "yolov8n"));
  }
  REQUIRE(large.layers().back().output == Shape{.channels = large.head().size()});
  REQUIRE_THROWS_WITH(Detector(table, 3, 64, 72),
                      Catch::Contains("multiples of " + std::to_string(stride)));
}

TEST_CASE("detector: a step reaches every parameter", "[unit]") {
  const auto name = GENERATE(as<std::string>{}, "pico", "yolov8n");
  Detector detector = make(name, 2, 64);
  const auto& parameters = detector.graph().parameters();
  std::vector<std::vector<float>> weights;
  std::vector<std::vector<float>> gradients;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    weights.emplace_back(static_cast<std::size_t>(parameters[i].size()));
    gradients.emplace_back(weights.back().size(), NAN);
    detector.initialize(i, 1, weights.back());
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    detector.graph().bind(i, weights[i], gradients[i]);
  }
  detector.graph().prepare(2);
  const auto images = random_values(2 * 3 * 64 * 64, 1);
  const auto output = detector.graph().forward_training(images);
  REQUIRE(std::ssize(output) == 2 * detector.head().size());
  detector.graph().backward(random_values(std::ssize(output), 2), {});
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    CAPTURE(parameters[i].name);
    REQUIRE(std::all_of(gradients[i].begin(), gradients[i].end(),
                        [](float value) { return std::isfinite(value); }));
    REQUIRE(std::any_of(gradients[i].begin(), gradients[i].end(),
                        [](float value) { return value != 0.0F; }));
  }
}

}  // namespace ps::nn
