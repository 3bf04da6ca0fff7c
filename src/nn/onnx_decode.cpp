// Raw output to boxes, by operations that OpenCV's DNN module knows, too.
#include <array>
#include <numeric>

#include "nn/onnx_builder.h"

namespace ps::nn {
namespace {

// For each candidate its cell and level, in decode()'s order: level, anchor, row, column.
template <class Use>
void for_candidates(const DetectionHead& head, const Use& use) {
  for (const HeadLevel& level : head.levels) {
    const std::size_t anchors = std::max<std::size_t>(level.anchors.size(), 1);
    for (std::size_t anchor = 0; anchor < anchors; ++anchor) {
      for (std::int64_t cell = 0; cell < level.cells(); ++cell) {
        use(level, anchor, static_cast<float>(cell % level.width),
            static_cast<float>(cell / level.width));
      }
    }
  }
}

}  // namespace

// Center: (2 s - 0.5 + cell) * stride; size: (2 s)^2 * anchor; s: the sigmoid of what is said.
void decode_anchors(const DetectionHead& head,
                    const std::vector<std::string>& levels,
                    const std::string& output,
                    OnnxGraph& graph) {
  const std::int64_t row = head.row_floats();
  std::vector<std::string> rows;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const auto anchors = static_cast<std::int64_t>(head.levels[i].anchors.size());
    const std::int64_t cells = head.levels[i].cells();
    std::string x = graph.reshape(levels[i], {1, anchors, row, cells});
    x = graph.node("Transpose", {x}, {integers("perm", {0, 1, 3, 2})});
    rows.push_back(graph.reshape(x, {1, anchors * cells, row}));
  }
  const std::string all = graph.node("Concat", rows, {integer("axis", 1)});
  const std::string s = graph.node("Sigmoid", {all});

  std::vector<float> scales;
  std::vector<float> offsets;
  std::vector<float> sizes;
  for_candidates(head, [&](const HeadLevel& level, std::size_t anchor, float column, float line) {
    const auto stride = static_cast<float>(level.stride);
    for (const float cell : {column, line}) {
      scales.push_back(2.0F * stride);
      offsets.push_back((cell - 0.5F) * stride);
    }
    sizes.push_back(4.0F * level.anchors[anchor].width);
    sizes.push_back(4.0F * level.anchors[anchor].height);
  });
  const std::vector<std::int64_t> pairs{1, head.candidates(), 2};
  std::string center = graph.slice(s, 2, 0, 2);
  center = graph.node("Mul", {center, graph.constant(pairs, scales)});
  center = graph.node("Add", {center, graph.constant(pairs, offsets)});
  std::string size = graph.slice(s, 2, 2, 4);
  size = graph.node("Mul", {size, size});
  size = graph.node("Mul", {size, graph.constant(pairs, sizes)});
  graph.last_node("Concat", {center, size, graph.slice(s, 2, 4, row)}, {integer("axis", 2)},
                  output);
}

// Each side's distance is the mean of 0, 1, ... weighted by its softmax, in strides from the cell's
// center.
void decode_distances(const DetectionHead& head,
                      const std::vector<std::string>& levels,
                      const std::string& output,
                      OnnxGraph& graph) {
  constexpr std::int64_t kSides = 4 * kDistanceBins;
  const std::int64_t candidates = head.candidates();
  const std::int64_t channels = kSides + head.classes;
  std::vector<std::string> flat;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    flat.push_back(graph.reshape(levels[i], {1, channels, head.levels[i].cells()}));
  }
  const std::string all = graph.node("Concat", flat, {integer("axis", 2)});

  std::string sides = graph.slice(all, 1, 0, kSides);
  sides = graph.reshape(sides, {1, 4, kDistanceBins, candidates});
  sides = graph.node("Transpose", {sides}, {integers("perm", {0, 2, 1, 3})});
  sides = graph.node("Softmax", {sides}, {integer("axis", 1)});
  std::array<float, kDistanceBins> bins{};
  std::iota(bins.begin(), bins.end(), 0.0F);
  sides = graph.node("Conv", {sides, graph.constant({1, kDistanceBins, 1, 1}, bins)},
                     {integers("kernel_shape", {1, 1})});
  sides = graph.reshape(sides, {1, 4, candidates});
  const std::string before = graph.slice(sides, 1, 0, 2);  // left, top
  const std::string after = graph.slice(sides, 1, 2, 4);   // right, bottom

  // [2, candidates]: all columns, then all rows.
  std::vector<float> strides(static_cast<std::size_t>(2 * candidates));
  std::vector<float> halves(strides.size());
  std::vector<float> centers(strides.size());
  std::size_t i = 0;
  for_candidates(head, [&](const HeadLevel& level, std::size_t, float column, float line) {
    const auto stride = static_cast<float>(level.stride);
    const std::size_t below = i + static_cast<std::size_t>(candidates);
    strides[i] = strides[below] = stride;
    halves[i] = halves[below] = 0.5F * stride;
    centers[i] = (column + 0.5F) * stride;
    centers[below] = (line + 0.5F) * stride;
    ++i;
  });
  const std::vector<std::int64_t> pairs{1, 2, candidates};
  std::string center = graph.node("Sub", {after, before});
  center = graph.node("Mul", {center, graph.constant(pairs, halves)});
  center = graph.node("Add", {center, graph.constant(pairs, centers)});
  std::string size = graph.node("Add", {before, after});
  size = graph.node("Mul", {size, graph.constant(pairs, strides)});
  const std::string classes = graph.node("Sigmoid", {graph.slice(all, 1, kSides, channels)});
  graph.last_node("Concat", {center, size, classes}, {integer("axis", 1)}, output);
}

}  // namespace ps::nn
