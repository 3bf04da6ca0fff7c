// A detector's graph, made of its table.
#include <algorithm>
#include <cmath>

#include <ps/nn/detector.h>

#include "nn/check.h"
#include "nn/detector_walk.h"
#include "nn/graph_builder.h"

namespace ps::nn {
namespace {

// A size that all usual strides divide.
constexpr std::int64_t kReferenceSide = 3840;

std::vector<std::int64_t> strides(const DetectorTable& table, std::int64_t classes) {
  Graph graph({.channels = 3, .height = kReferenceSide, .width = kReferenceSide});
  GraphBuilder builder(graph, table);
  std::vector<std::int64_t> result;
  for (const Value level : build_detector(table, classes, builder).levels) {
    const Shape& shape = graph.shape(level);
    require(shape.height == shape.width && kReferenceSide % shape.height == 0, table.name,
            "expected Detect's inputs to have a whole number of pixels a cell; for an image of " +
                std::to_string(kReferenceSide) + " pixels they have " +
                std::to_string(shape.height) + " cells");
    result.push_back(kReferenceSide / shape.height);
  }
  return result;
}

}  // namespace

std::int64_t detector_stride(const DetectorTable& table) {
  const auto all = strides(table, table.classes);
  return *std::max_element(all.begin(), all.end());
}

Detector::Detector(const DetectorTable& table,
                   std::int64_t classes,
                   std::int64_t height,
                   std::int64_t width)
    : table_(table), graph_({.channels = 3, .height = height, .width = width}) {
  const auto level_strides = strides(table, classes);
  const std::int64_t largest = *std::max_element(level_strides.begin(), level_strides.end());
  constexpr std::int64_t kMaxSide = 16384;
  require(height % largest == 0 && width % largest == 0 && std::max(height, width) <= kMaxSide,
          table.name,
          "expected height and width as multiples of " + std::to_string(largest) +
              ", at most 16384, got " + std::to_string(height) + " x " + std::to_string(width));
  GraphBuilder builder(graph_, table_);
  BuiltDetector built = build_detector(table_, classes, builder);
  head_.classes = classes;
  for (std::size_t i = 0; i < built.levels.size(); ++i) {
    const Shape& shape = graph_.shape(built.levels[i]);
    head_.levels.push_back(
        {.stride = level_strides[i],
         .height = shape.height,
         .width = shape.width,
         .anchors = built.anchor_free ? std::vector<Anchor>{} : table_.anchors[i]});
    require(shape.height * level_strides[i] == height && shape.width * level_strides[i] == width,
            table.name, "an image of this size has another number of cells than its stride says");
  }
  const Value output = graph_.join(built.levels);
  layers_ = std::move(built.layers);
  layers_.back().output = graph_.shape(output);
  layers_.back().last = output;
  prior_biases_ = std::move(built.biases);
  parameter_count_ = builder.parameter_count();
  flops_ = builder.flops();
  if (built.anchor_free) {
    layers_.back().parameters += kDistanceBins;
    parameter_count_ += kDistanceBins;
  }
}

void Detector::initialize(std::size_t parameter,
                          std::uint64_t seed,
                          std::span<float> values) const {
  const auto& parameters = graph_.parameters();
  require(parameter < parameters.size(), table_.name,
          "expected a parameter below " + std::to_string(parameters.size()) + ", got " +
              std::to_string(parameter));
  Parameter made = parameters[parameter];
  if (made.shape.size() == 4) {
    const auto fan_in = static_cast<double>(made.shape[1] * made.shape[2] * made.shape[3]);
    made.init.value = static_cast<float>(1.0 / std::sqrt(fan_in));
  }
  nn::initialize(made, seed, values);
  const auto bias = std::find(prior_biases_.begin(), prior_biases_.end(), made.name);
  if (bias == prior_biases_.end()) return;
  const HeadLevel& level = head_.levels[static_cast<std::size_t>(bias - prior_biases_.begin())];
  const double cells = std::pow(640.0 / static_cast<double>(level.stride), 2.0);
  const auto classes = static_cast<double>(head_.classes);
  if (level.anchors.empty()) {
    std::fill(values.begin(), values.end(), static_cast<float>(std::log(5.0 / classes / cells)));
    return;
  }
  const std::size_t row = values.size() / level.anchors.size();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t k = i % row;
    if (k == 4) values[i] = static_cast<float>(std::log(8.0 / cells));
    if (k > 4) values[i] = static_cast<float>(std::log(0.6 / (classes - 0.99999)));
  }
}

}  // namespace ps::nn
