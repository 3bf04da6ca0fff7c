// Detectors from tables: YOLOv5 n s m l x, YOLOv3-tiny, YOLOv8 n s m l x, pico, or a file of the
// user's. What their output means is DetectionHead's; loss and decoding are in detection.h.
//
//   Detector detector(detector_table("yolov5n"), 80, 640, 640);
//   for (i...) detector.initialize(i, seed, weights_of[i]);
//   for (i...) detector.graph().bind(i, weights_of[i], gradients_of[i]);
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ps/nn/detection_head.h>
#include <ps/nn/graph.h>

namespace ps::nn {

struct DetectorRow {
  std::vector<int> from;  // rows by number, or negative: so many rows back; -1 in row 0: the image
  std::int64_t number = 1;  // repeats; above 1 the depth multiple applies
  std::string module;
  std::vector<std::string> arguments;  // as written; lists within are flattened
  int line = 0;                        // of the file
};

enum class ActivationFunction { kSilu, kRelu, kLeakyRelu };

// A network as a table. May be changed before a Detector is made of it: anchors, for example.
struct DetectorTable {
  std::string name;           // for errors and printing
  std::int64_t classes = 80;  // as the file says; data sets have their own
  double depth_multiple = 1.0;
  double width_multiple = 1.0;
  std::int64_t max_channels = 65536;  // before the width multiple
  ActivationFunction activation = ActivationFunction::kSilu;
  float slope = 0.1F;                        // of leaky ReLU
  std::vector<std::vector<Anchor>> anchors;  // level by level, finest first; or none
  std::vector<DetectorRow> rows;
};

// Reads a table as its users write it, in YAML: `backbone` and `head` are rows of [from, number,
// module, args]; `nc`, `depth_multiple`, `width_multiple` (or `scales`: letter -> [depth, width,
// most channels], chosen by the last letter of `name`, else the first), `anchors` (a list of widths
// and heights in pixels per level), `activation` (nn.SiLU(), nn.ReLU(), nn.LeakyReLU(0.1)).
// Modules, with the defaults of their arguments; channels are of the output:
//   Conv [channels, kernel 1, stride 1, padding kernel / 2, groups 1]
//   Bottleneck, C3 [channels, shortcut True, groups 1, expansion 0.5]; C2f the same, False
//   SPPF [channels, kernel 5]                      nn.Upsample [None, factor, nearest]
//   Concat [1]                                     nn.ZeroPad2d [[left, right, top, bottom]]
//   nn.MaxPool2d [kernel, stride kernel, padding 0]
//   Detect [nc, anchors], or anchor-free [nc]: the last row
// Channels are multiplied by the width multiple and rounded up to a multiple of 8.
// Throws Error{kCorrupt}, which names the line, whatever the bytes are.
DetectorTable parse_detector_table(const std::string& yaml, const std::string& name);

// A table, changed or not, as such a text.
std::string to_yaml(const DetectorTable& table);

// Of a built-in name ("yolov5n", also "yolov5n.yaml") or of a file. Throws Error{kInvalidArgument},
// which lists the names, if it is neither; kIo if the file cannot be read; else as above.
DetectorTable detector_table(const std::string& name_or_file);

// The built-in names, smallest network first within a family.
std::vector<std::string> detector_table_names();

// The largest stride of a table: heights and widths must be multiples of it. Throws as Detector.
std::int64_t detector_stride(const DetectorTable& table);

// A row as it was built, for a printed summary.
struct DetectorLayer {
  int index = 0;
  std::vector<int> from;
  std::int64_t number = 1;  // after the depth multiple
  std::string module;
  std::string arguments;  // after the multiples, input channels first: "[16, 32, 3, 2]"
  std::int64_t parameters = 0;
  Shape output;  // of Detect: [head.size(), 1, 1]
  Value last{};  // of the graph: what the row computes last
};

// A graph with the table's network, and what is known of it. Its parameters, in name, order and
// shape, are the same for every height and width, so that graphs of several sizes can share memory.
// Used by one thread at a time; const functions by several.
class Detector {
 public:
  // height, width: of the images [3, height, width], RGB in 0 to 1. Throws Error{kInvalidArgument},
  // which names the row, for what cannot be built.
  Detector(const DetectorTable& table,
           std::int64_t classes,
           std::int64_t height,
           std::int64_t width);

  // Its output is [head().size(), 1, 1]. Parameters' names: "model.0.conv.weight",
  // "model.2.cv1.bn.running_mean", "model.24.m.0.weight".
  [[nodiscard]] Graph& graph() noexcept { return graph_; }
  [[nodiscard]] const Graph& graph() const noexcept { return graph_; }
  [[nodiscard]] const DetectionHead& head() const noexcept { return head_; }
  [[nodiscard]] const DetectorTable& table() const noexcept { return table_; }
  [[nodiscard]] std::span<const DetectorLayer> layers() const noexcept { return layers_; }
  // As users count them: trained values, without running statistics; an anchor-free head's
  // kDistanceBins fixed distances are counted.
  [[nodiscard]] std::int64_t parameter_count() const noexcept { return parameter_count_; }
  // Of one image's forward pass: 2 a multiply-add of a convolution, 0 for all else.
  [[nodiscard]] double flops() const noexcept { return flops_; }

  // First values of the graph's parameter i, by seed and name, whatever the image's size.
  // Convolutions: uniform within +-1 / sqrt(fan in). Batch norm: 1 and 0. The heads' biases: 0, but
  // objectness ln(8 / (640 / stride)^2), 8 objects in a picture of 640 pixels, and classes
  // ln(0.6 / (classes - 0.99999)); anchor-free, classes ln(5 / classes / (640 / stride)^2).
  void initialize(std::size_t parameter, std::uint64_t seed, std::span<float> values) const;

 private:
  DetectorTable table_;
  Graph graph_;
  DetectionHead head_;
  std::vector<DetectorLayer> layers_;
  std::vector<std::string> prior_biases_;  // level by level
  std::int64_t parameter_count_ = 0;
  double flops_ = 0.0;
};

}  // namespace ps::nn
