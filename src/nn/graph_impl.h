// A graph's layers, the devices that compute them, and its passes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <ps/nn/detection.h>
#include <ps/nn/graph.h>

#include "kernels/device.h"
#include "nn/criterion.h"
#include "nn/lane.h"
#include "nn/node.h"
#include "nn/stage.h"

namespace ps::nn {

class Graph::Impl {
 public:
  explicit Impl(const Shape& input);

  Value add(MakeLayer make, const std::vector<Value>& inputs);
  void set_loss(Value x);
  [[nodiscard]] const Shape& shape(Value x) const;
  [[nodiscard]] std::vector<Shape> shapes(std::span<const Value> values) const;
  [[nodiscard]] const std::vector<Parameter>& parameters() const noexcept { return parameters_; }
  void bind(std::size_t parameter, std::span<const float> weights, std::span<float> gradient);
  void prepare(std::int64_t max_batch, const Placement& placement);
  void when_weights_needed(WeightsNeeded needed) { weights_needed_ = std::move(needed); }
  void encode_gradients(std::span<const EncodedGradient> gradients, StepNumber number);
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
  // Where the gradient of the output belongs, on the CPU.
  std::span<float> output_gradient() { return lanes_.front()->output_gradient(); }
  // Enqueues a detector's loss of the last forward pass, with the output's gradient; on GPUs only.
  void compute_loss_on_device(const CriterionSpec& criterion, std::span<const Target> targets);
  DetectionLoss detection_loss();  // as last computed there
  [[nodiscard]] bool on_device() const noexcept { return !output_on_host_.empty(); }
  void backward(const GradientReady& ready);

 private:
  // A slice of the batch.
  struct Slice {
    std::int64_t first = 0;
    std::int64_t count = 0;
  };

  void check_placement(std::int64_t max_batch, const Placement& placement) const;
  void add_stage(const Device& device, Precision precision, std::size_t first, std::size_t last);
  void prepare_stage(Stage& stage, std::int64_t lane_batch, bool shared);
  void cut_segments();
  void bind_stages(std::size_t parameter);
  [[nodiscard]] Slice slice(std::size_t lane) const;
  void check_bound(bool gradients) const;
  void await_weights(std::size_t last);
  // Calls visit(lane, segment) for all that this batch needs, in the order to enqueue them.
  using Visit = std::function<void(std::size_t lane, const Segment& segment)>;
  void each_segment(bool backward, const Visit& visit) const;
  [[nodiscard]] Stage& home_of(const Segment& segment);
  std::uint64_t ask_step_number();
  std::size_t gradients_arrived_from(const Segment& segment);

  std::vector<Node> nodes_;
  std::vector<Parameter> parameters_;
  std::vector<Bound> bound_;
  bool has_loss_ = false;

  // Constant after prepare(). Either every lane has a stage of its own, of all nodes, or all lanes
  // go through the same stages. The first lane's stages send gradients to the host.
  std::int64_t max_batch_ = 0;  // 0: not prepared
  std::vector<std::unique_ptr<Stage>> stages_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  bool split_ = false;
  std::vector<Segment> segments_;                      // of all nodes
  std::vector<kernels::PinnedBuffer> output_on_host_;  // one on GPUs

  StepNumber step_number_;  // none unless something is rounded at random
  WeightsNeeded weights_needed_;
  std::vector<DeviceTwins::Arrive> arrivals_;  // of each stage, for its own parameters

  // The last forward pass.
  std::size_t weights_here_ = 0;  // parameters before this have arrived
  std::int64_t batch_ = 0;
  std::size_t active_ = 0;  // lanes
  bool training_ = false;   // and no backward pass since
  float loss_scale_ = 1.0F;
  std::vector<float> gradient_shares_;   // of lanes
  std::vector<kernels::TrueBox> boxes_;  // for checking targets
  std::vector<Target> lane_targets_;
};

}  // namespace ps::nn
