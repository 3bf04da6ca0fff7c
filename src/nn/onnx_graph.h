// An ONNX graph while it is written: nodes, constants and their names.
#pragma once

#include <cstdint>
#include <onnx/onnx_pb.h>
#include <span>
#include <string>
#include <vector>

namespace ps::nn {

struct OnnxAttribute {
  const char* name;
  std::vector<std::int64_t> integers;  // one: an integer, unless the attribute is a list
  bool is_list = true;
  float number = 0.0F;
  std::string text;
};

class OnnxGraph {
 public:
  explicit OnnxGraph(onnx::GraphProto& graph) : graph_(graph) {}

  // A node with one output, whose name it returns.
  std::string node(const char* operation,
                   const std::vector<std::string>& inputs,
                   const std::vector<OnnxAttribute>& attributes = {});
  // The same, with an output of that name.
  void last_node(const char* operation,
                 const std::vector<std::string>& inputs,
                 const std::vector<OnnxAttribute>& attributes,
                 const std::string& output);

  std::string constant(const std::vector<std::int64_t>& shape, std::span<const float> values);
  std::string constant(std::span<const std::int64_t> values);
  std::string scalar(float value) { return constant({}, std::span(&value, 1)); }

  // The part [first, last) along an axis.
  std::string slice(const std::string& x, std::int64_t axis, std::int64_t first, std::int64_t last);
  std::string reshape(const std::string& x, const std::vector<std::int64_t>& shape);

 private:
  std::string next_name(const std::string& what);

  onnx::GraphProto& graph_;
  std::int64_t names_ = 0;
};

// Attributes of the kinds that exist.
inline OnnxAttribute integer(const char* name, std::int64_t value) {
  return {.name = name, .integers = {value}, .is_list = false, .text = {}};
}
inline OnnxAttribute integers(const char* name, std::vector<std::int64_t> values) {
  return {.name = name, .integers = std::move(values), .text = {}};
}
inline OnnxAttribute number(const char* name, float value) {
  return {.name = name, .integers = {}, .number = value, .text = {}};
}
inline OnnxAttribute text(const char* name, std::string value) {
  return {.name = name, .integers = {}, .text = std::move(value)};
}

}  // namespace ps::nn
