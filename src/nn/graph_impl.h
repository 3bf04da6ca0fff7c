// A graph's layers, memory and passes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <ps/nn/graph.h>

#include "base/buffer.h"
#include "kernels/isa.h"
#include "nn/layer.h"
#include "nn/plan.h"

namespace ps::nn {

class Graph::Impl {
 public:
  explicit Impl(const Shape& input);

  Value add(std::unique_ptr<Layer> layer, const std::vector<Value>& inputs);
  void set_loss(Value x);
  [[nodiscard]] const Shape& shape(Value x) const;
  [[nodiscard]] std::vector<Shape> shapes(std::span<const Value> values) const;
  [[nodiscard]] const std::vector<Parameter>& parameters() const noexcept { return parameters_; }
  void bind(std::size_t parameter, std::span<const float> weights, std::span<float> gradient);
  void prepare(std::int64_t max_batch);

  std::span<const float> forward(std::span<const float> images, bool training);
  void check_labels(std::span<const float> images, std::span<const std::int32_t> labels) const;
  // Of the last forward pass; with a gradient, it becomes the output's.
  Result loss(std::span<const std::int32_t> labels, bool with_gradient);
  void set_output_gradient(std::span<const float> gradient);
  void backward(const GradientReady& ready);

 private:
  struct Node {
    std::unique_ptr<Layer> layer;  // null for node 0, the input
    std::vector<int> inputs;
    Shape shape;
    std::size_t first_parameter = 0;
    std::size_t parameter_count = 0;
  };

  [[nodiscard]] float* memory(std::int64_t offset) const;
  [[nodiscard]] std::int64_t output_floats() const { return batch_ * nodes_.back().shape.size(); }
  [[nodiscard]] Call call(std::size_t i) const;
  void check_bound(bool gradients) const;
  void add_gradients(std::size_t i, const Call& call) const;

  std::vector<Node> nodes_;
  std::vector<Parameter> parameters_;
  std::vector<Bound> bound_;
  bool has_loss_ = false;
  const kernels::Isa isa_ = kernels::best_isa();

  // Constant after prepare().
  std::int64_t max_batch_ = 0;  // 0: not prepared
  Plan plan_;
  Memory block_;
  Memory workspace_;

  // The last forward pass.
  const float* images_ = nullptr;
  std::int64_t batch_ = 0;
  bool training_ = false;  // and no backward pass since
};

}  // namespace ps::nn
