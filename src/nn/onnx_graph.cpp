#include "nn/onnx_graph.h"

#include <array>
#include <bit>
#include <cstring>

namespace ps::nn {
namespace {

static_assert(std::endian::native == std::endian::little, "raw_data is little-endian");

template <class T>
void set_raw(std::span<const T> values, onnx::TensorProto& tensor) {
  std::string* raw = tensor.mutable_raw_data();
  raw->resize(values.size_bytes());
  if (!values.empty()) std::memcpy(raw->data(), values.data(), values.size_bytes());
}

void set(const OnnxAttribute& from, onnx::AttributeProto& attribute) {
  attribute.set_name(from.name);
  if (!from.text.empty()) {
    attribute.set_type(onnx::AttributeProto::STRING);
    attribute.set_s(from.text);
  } else if (from.integers.empty()) {
    attribute.set_type(onnx::AttributeProto::FLOAT);
    attribute.set_f(from.number);
  } else if (from.is_list) {
    attribute.set_type(onnx::AttributeProto::INTS);
    for (const std::int64_t value : from.integers) attribute.add_ints(value);
  } else {
    attribute.set_type(onnx::AttributeProto::INT);
    attribute.set_i(from.integers.front());
  }
}

}  // namespace

std::string OnnxGraph::next_name(const std::string& what) {
  return what + "_" + std::to_string(names_++);
}

std::string OnnxGraph::node(const char* operation,
                            const std::vector<std::string>& inputs,
                            const std::vector<OnnxAttribute>& attributes) {
  std::string output = next_name(operation);
  last_node(operation, inputs, attributes, output);
  return output;
}

void OnnxGraph::last_node(const char* operation,
                          const std::vector<std::string>& inputs,
                          const std::vector<OnnxAttribute>& attributes,
                          const std::string& output) {
  onnx::NodeProto& node = *graph_.add_node();
  node.set_op_type(operation);
  node.set_name("node_" + output);
  for (const std::string& input : inputs) node.add_input(input);
  for (const OnnxAttribute& attribute : attributes) set(attribute, *node.add_attribute());
  node.add_output(output);
}

std::string OnnxGraph::constant(const std::vector<std::int64_t>& shape,
                                std::span<const float> values) {
  onnx::TensorProto& tensor = *graph_.add_initializer();
  tensor.set_name(next_name("constant"));
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  for (const std::int64_t size : shape) tensor.add_dims(size);
  set_raw(values, tensor);
  return tensor.name();
}

std::string OnnxGraph::constant(std::span<const std::int64_t> values) {
  onnx::TensorProto& tensor = *graph_.add_initializer();
  tensor.set_name(next_name("constant"));
  tensor.set_data_type(onnx::TensorProto::INT64);
  tensor.add_dims(static_cast<std::int64_t>(values.size()));
  set_raw(values, tensor);
  return tensor.name();
}

std::string OnnxGraph::slice(const std::string& x,
                             std::int64_t axis,
                             std::int64_t first,
                             std::int64_t last) {
  return node("Slice", {x, constant(std::array{first}), constant(std::array{last}),
                        constant(std::array{axis})});
}

std::string OnnxGraph::reshape(const std::string& x, const std::vector<std::int64_t>& shape) {
  return node("Reshape", {x, constant(shape)});
}

}  // namespace ps::nn
