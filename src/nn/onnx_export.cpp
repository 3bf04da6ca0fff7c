// The file around an ONNX graph.
#include <algorithm>
#include <cstdio>
#include <fstream>

#include <ps/error.h>
#include <ps/nn/onnx.h>

#include "nn/detector_walk.h"
#include "nn/onnx_builder.h"

namespace ps::nn {
namespace {

void describe(const char* name,
              const std::vector<std::int64_t>& shape,
              onnx::ValueInfoProto& value) {
  value.set_name(name);
  onnx::TypeProto::Tensor& type = *value.mutable_type()->mutable_tensor_type();
  type.set_elem_type(onnx::TensorProto::FLOAT);
  for (const std::int64_t size : shape) type.mutable_shape()->add_dim()->set_dim_value(size);
}

// A dictionary as Python writes it, which is what readers of these files parse.
std::string python_names(std::int64_t classes, const std::vector<std::string>& names) {
  std::string text = "{";
  for (std::int64_t i = 0; i < classes; ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(i) + ": '";
    for (const char c :
         names.empty() ? "class" + std::to_string(i) : names[static_cast<std::size_t>(i)]) {
      if (c == '\'' || c == '\\') text += '\\';
      text += c == '\n' ? ' ' : c;
    }
    text += "'";
  }
  return text + "}";
}

void add_metadata(const char* key, const std::string& value, onnx::ModelProto& model) {
  onnx::StringStringEntryProto& entry = *model.add_metadata_props();
  entry.set_key(key);
  entry.set_value(value);
}

void check(const Detector& detector,
           std::span<const std::span<const float>> weights,
           const OnnxOptions& options) {
  const std::string who = detector.table().name;
  require(options.opset >= 13 && options.opset <= 17, who,
          "expected an opset of 13 to 17, got " + std::to_string(options.opset));
  require(options.names.empty() || std::ssize(options.names) == detector.head().classes, who,
          "expected the names of " + std::to_string(detector.head().classes) + " classes, got " +
              std::to_string(options.names.size()));
  const auto& parameters = detector.graph().parameters();
  require(weights.size() == parameters.size(), who,
          "expected the values of " + std::to_string(parameters.size()) + " parameters, got " +
              std::to_string(weights.size()));
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    require(std::ssize(weights[i]) == parameters[i].size(), parameters[i].name,
            "expected " + std::to_string(parameters[i].size()) + " values, got " +
                std::to_string(weights[i].size()));
  }
}

void build(const Detector& detector,
           std::span<const std::span<const float>> weights,
           onnx::GraphProto& proto) {
  const DetectionHead& head = detector.head();
  const Shape& input = detector.graph().shape(detector.graph().input());
  proto.set_name(detector.table().name);
  describe("images", {1, input.channels, input.height, input.width}, *proto.add_input());
  OnnxGraph graph(proto);
  OnnxBuilder builder(graph, detector, weights);
  std::vector<std::string> levels;
  for (const Value level : build_detector(detector.table(), head.classes, builder).levels) {
    levels.push_back(builder.name(level));
  }
  if (head.anchor_free()) {
    decode_distances(head, levels, "output0", graph);
    describe("output0", {1, head.row_floats(), head.candidates()}, *proto.add_output());
  } else {
    decode_anchors(head, levels, "output0", graph);
    describe("output0", {1, head.candidates(), head.row_floats()}, *proto.add_output());
  }
}

void write(const std::string& path, const std::string& bytes) {
  const std::string part = path + ".part";
  std::ofstream file(part, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file || std::rename(part.c_str(), path.c_str()) != 0) {
    std::remove(part.c_str());
    throw Error(ErrorCode::kIo, path + ": cannot be written");
  }
}

}  // namespace

bool onnx_available() noexcept {
  return true;
}

void export_onnx(const std::string& path,
                 const Detector& detector,
                 std::span<const std::span<const float>> weights,
                 const OnnxOptions& options) {
  check(detector, weights, options);
  std::int64_t stride = 1;
  for (const HeadLevel& level : detector.head().levels) stride = std::max(stride, level.stride);
  onnx::ModelProto model;
  // The version of the format that came with each opset.
  model.set_ir_version(options.opset < 15 ? 7 : 8);
  model.set_producer_name("ps");
  model.add_opset_import()->set_version(options.opset);
  add_metadata("stride", std::to_string(stride), model);
  add_metadata("names", python_names(detector.head().classes, options.names), model);
  build(detector, weights, *model.mutable_graph());
  std::string bytes;
  if (!model.SerializeToString(&bytes)) {
    throw Error(ErrorCode::kInvalidArgument,
                detector.table().name + ": expected less than 2 GiB, which a file can hold");
  }
  write(path, bytes);
}

}  // namespace ps::nn
