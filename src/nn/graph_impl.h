// A graph's layers, memory and passes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <ps/nn/graph.h>

#include "base/buffer.h"
#include "kernels/backend.h"
#include "nn/criterion.h"
#include "nn/device_criterion.h"
#include "nn/device_twins.h"
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
  void prepare(std::int64_t max_batch, const Device& device, Precision precision);
  void scale_loss(float scale) { loss_scale_ = scale; }

  // Enqueues the pass. output() is then what it has computed, in the host's memory.
  void forward(std::span<const float> images, bool training);
  std::span<const float> output();
  // The same where it is, until the next pass; none unless one GPU has it.
  struct DeviceOutput {
    std::span<const float> values;
    kernels::StreamView stream;
  };
  [[nodiscard]] std::optional<DeviceOutput> device_output() const;
  [[nodiscard]] std::int64_t batch() const noexcept { return batch_; }
  void check_labels(std::span<const float> images, std::span<const std::int32_t> labels) const;
  // Of the last forward pass; with a gradient, it becomes the output's. Enqueued, too.
  void compute_loss(std::span<const std::int32_t> labels, bool with_gradient);
  Result loss();  // as last computed
  void set_output_gradient(std::span<const float> gradient);
  // Where the gradient of the output belongs, in the backend's memory.
  std::span<float> output_gradient();
  // Enqueues a detector's loss of the last forward pass, with the output's gradient; on a GPU only.
  void compute_loss_on_device(const CriterionSpec& criterion, std::span<const Target> targets);
  DetectionLoss detection_loss() { return criterion_->loss(); }  // as last computed there
  [[nodiscard]] bool on_device() const noexcept { return twins_.has_value(); }
  void backward(const GradientReady& ready);

 private:
  struct Node {
    std::unique_ptr<Layer> layer;  // null for node 0, the input
    std::vector<int> inputs;
    Shape shape;
    std::size_t first_parameter = 0;
    std::size_t parameter_count = 0;
  };

  void prepare_device(std::int64_t max_batch);
  [[nodiscard]] float* memory(std::int64_t offset) const;
  [[nodiscard]] std::int64_t output_floats() const { return batch_ * nodes_.back().shape.size(); }
  [[nodiscard]] Call call(std::size_t i) const;
  void check_bound(bool gradients) const;
  void add_gradients(std::size_t i, const Call& call) const;
  void unscale_gradients(std::size_t i, const Call& call) const;

  std::vector<Node> nodes_;
  std::vector<Parameter> parameters_;
  std::vector<Bound> bound_;
  bool has_loss_ = false;

  // Constant after prepare(). The memory is the backend's.
  std::unique_ptr<kernels::Backend> backend_;
  std::int64_t max_batch_ = 0;  // 0: not prepared
  Plan plan_;
  Memory block_;
  Memory workspace_;
  Memory labels_;
  Memory loss_;  // kernels::ClassificationLoss

  // On a GPU.
  std::optional<DeviceTwins> twins_;
  Memory images_on_device_;
  kernels::PinnedBuffer output_on_host_;
  std::unique_ptr<DeviceCriterion> criterion_;  // of the DetectionCriterion used last
  std::uint64_t criterion_id_ = 0;

  // The last forward pass.
  const float* images_ = nullptr;  // in the backend's memory
  std::int64_t batch_ = 0;
  bool training_ = false;  // and no backward pass since
  float loss_scale_ = 1.0F;
};

}  // namespace ps::nn
