// ONNX files as OpenCV's DNN module runs them, against the graph and plain decoding.
#include <algorithm>
#include <cmath>
#include <opencv2/dnn.hpp>
#include <string>
#include <vector>

#include <ps/nn/detector.h>
#include <ps/nn/onnx.h>

#include "base/random.h"
#include "ops/temporary_directory.h"
#include "support/catch.h"

namespace ps::nn {
namespace {

double sigmoid(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}

// Where value k of a box lies within a level's [channels, height, width].
struct Reader {
  const float* level;
  std::int64_t cells;
  std::int64_t cell;
  std::int64_t first;

  [[nodiscard]] double operator[](std::int64_t k) const {
    return double{level[(first + k) * cells + cell]};
  }
};

std::vector<double> anchor_row(const Reader& raw, const HeadLevel& level, const Anchor& anchor) {
  const auto stride = static_cast<double>(level.stride);
  const auto column = static_cast<double>(raw.cell % level.width);
  const auto line = static_cast<double>(raw.cell / level.width);
  return {(2.0 * sigmoid(raw[0]) - 0.5 + column) * stride,
          (2.0 * sigmoid(raw[1]) - 0.5 + line) * stride,
          std::pow(2.0 * sigmoid(raw[2]), 2.0) * double{anchor.width},
          std::pow(2.0 * sigmoid(raw[3]), 2.0) * double{anchor.height}};
}

std::vector<double> distance_row(const Reader& raw, const HeadLevel& level) {
  std::vector<double> sides;
  for (std::int64_t side = 0; side < 4; ++side) {
    double total = 0.0;
    double mean = 0.0;
    for (std::int64_t bin = 0; bin < kDistanceBins; ++bin) {
      const double weight = std::exp(raw[side * kDistanceBins + bin]);
      total += weight;
      mean += weight * static_cast<double>(bin);
    }
    sides.push_back(mean / total);
  }
  const auto stride = static_cast<double>(level.stride);
  const double x = static_cast<double>(raw.cell % level.width) + 0.5;
  const double y = static_cast<double>(raw.cell / level.width) + 0.5;
  return {(x + (sides[2] - sides[0]) / 2.0) * stride, (y + (sides[3] - sides[1]) / 2.0) * stride,
          (sides[0] + sides[2]) * stride, (sides[1] + sides[3]) * stride};
}

// The formulas of the head, candidate by candidate, in decode()'s order.
std::vector<std::vector<double>> decoded(const DetectionHead& head, const float* output) {
  std::vector<std::vector<double>> rows;
  for (const HeadLevel& level : head.levels) {
    const bool free = level.anchors.empty();
    const std::int64_t boxes = free ? 1 : std::ssize(level.anchors);
    for (std::int64_t box = 0; box < boxes; ++box) {
      for (std::int64_t cell = 0; cell < level.cells(); ++cell) {
        const Reader raw{output, level.cells(), cell, box * (5 + head.classes)};
        rows.push_back(free ? distance_row(raw, level)
                            : anchor_row(raw, level, level.anchors[static_cast<std::size_t>(box)]));
        const std::int64_t first = free ? 4 * kDistanceBins : 4;
        const std::int64_t last = first + head.row_floats() - 4;
        for (std::int64_t k = first; k < last; ++k) rows.back().push_back(sigmoid(raw[k]));
      }
    }
    output += head.channels(level) * level.cells();
  }
  return rows;
}

// A detector with weights as after some training: running statistics that are not 0 and 1.
struct Model {
  explicit Model(const DetectorTable& table) : detector(table, 3, 64, 96) {
    Graph& graph = detector.graph();
    const auto& parameters = graph.parameters();
    Random random(5);
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      values.emplace_back(static_cast<std::size_t>(parameters[i].size()));
      detector.initialize(i, 3, values.back());
      for (float& value : values.back()) {
        // So that values neither vanish nor grow from layer to layer.
        if (parameters[i].shape.size() == 4) value *= 2.0F;
        if (parameters[i].name.ends_with("running_var")) {
          value = static_cast<float>(random.uniform(0.3, 0.9));
        } else if (parameters[i].shape.size() == 1) {
          value = static_cast<float>(double{value} + random.uniform(-0.3, 0.3));
        }
      }
    }
    for (std::size_t i = 0; i < values.size(); ++i) graph.bind(i, values[i], {});
    graph.prepare(1);
  }

  Detector detector;
  std::vector<std::vector<float>> values;
};

cv::Mat run(const std::string& path, const std::vector<float>& image) {
  cv::dnn::Net net = cv::dnn::readNetFromONNX(path);
  net.setPreferableBackend(cv::dnn::DNN_BACKEND_OPENCV);
  const int sizes[] = {1, 3, 64, 96};
  net.setInput(cv::Mat(4, sizes, CV_32F, const_cast<float*>(image.data())), "images");
  return net.forward("output0").clone();
}

}  // namespace

TEST_CASE("onnx: OpenCV finds the boxes that the graph says", "[unit]") {
  if (!onnx_available()) return;
  const auto name =
      GENERATE(as<std::string>{}, "pico", "yolov5n", "yolov8n", "yolov3-tiny", "leaky");
  DetectorTable table = detector_table(name == "leaky" ? "pico" : name);
  if (name == "yolov3-tiny") table.width_multiple = 0.125;  // else a file of 35 MB
  if (name == "leaky") table.activation = ActivationFunction::kLeakyRelu;
  Model model(table);
  const DetectionHead& head = model.detector.head();
  std::vector<float> image(3 * 64 * 96);
  Random random(7);
  for (float& value : image) value = static_cast<float>(random.uniform());
  const auto expected = decoded(head, model.detector.graph().forward(image).data());

  const test::TemporaryDirectory directory;
  const std::string path = directory.file("model.onnx");
  const std::vector<std::span<const float>> weights(model.values.begin(), model.values.end());
  export_onnx(path, model.detector, weights, {.names = {"one", "two", "three"}});
  const cv::Mat actual = run(path, image);

  const auto candidates = static_cast<int>(head.candidates());
  const auto row = static_cast<int>(head.row_floats());
  REQUIRE(actual.dims == 3);
  REQUIRE(actual.size[0] == 1);
  REQUIRE(actual.size[head.anchor_free() ? 2 : 1] == candidates);
  REQUIRE(actual.size[head.anchor_free() ? 1 : 2] == row);
  double worst = 0.0;
  double least = 1e9;
  double most = -1e9;
  for (int i = 0; i < candidates; ++i) {
    for (int k = 0; k < row; ++k) {
      const double wanted = expected[static_cast<std::size_t>(i)][static_cast<std::size_t>(k)];
      const float got = head.anchor_free() ? actual.at<float>(0, k, i) : actual.at<float>(0, i, k);
      worst = std::max(worst, std::abs(double{got} - wanted) / std::max(1.0, std::abs(wanted)));
      if (k >= 4) least = std::min(least, wanted);
      if (k >= 4) most = std::max(most, wanted);
    }
  }
  CAPTURE(name, worst);
  REQUIRE(worst < 1e-3);
  REQUIRE(most - least > 0.01);  // a test of constants would prove little
}

}  // namespace ps::nn
