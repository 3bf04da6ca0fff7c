// Building a graph, and the checks of what its user does; running it is Impl's.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include <ps/nn/detection.h>
#include <ps/nn/graph.h>

#include "nn/check.h"
#include "nn/graph_impl.h"
#include "nn/layer.h"

namespace ps::nn {

Graph::Graph(const Shape& input) : impl_(std::make_unique<Impl>(input)) {}
Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(Graph&&) noexcept = default;
Graph::~Graph() = default;

Value Graph::convolution(Value x, const ConvolutionOptions& options, const std::string& name) {
  return impl_->add(
      [name, input = shape(x), options] { return make_convolution(name, input, options); }, {x});
}

Value Graph::batch_norm(Value x, const BatchNormOptions& options, const std::string& name) {
  return impl_->add(
      [name, input = shape(x), options] { return make_batch_norm(name, input, options); }, {x});
}

Value Graph::relu(Value x) {
  return impl_->add([input = shape(x)] { return make_relu(input); }, {x});
}

Value Graph::leaky_relu(Value x, float slope) {
  return impl_->add([input = shape(x), slope] { return make_leaky_relu(input, slope); }, {x});
}

Value Graph::silu(Value x) {
  return impl_->add([input = shape(x)] { return make_silu(input); }, {x});
}

Value Graph::max_pool(Value x, const MaxPoolOptions& options) {
  return impl_->add([input = shape(x), options] { return make_max_pool(input, options); }, {x});
}

Value Graph::global_average_pool(Value x) {
  return impl_->add([input = shape(x)] { return make_global_average_pool(input); }, {x});
}

Value Graph::linear(Value x, std::int64_t outputs, const std::string& name) {
  return impl_->add([name, input = shape(x), outputs] { return make_linear(name, input, outputs); },
                    {x});
}

Value Graph::add(Value a, Value b) {
  return impl_->add([first = shape(a), second = shape(b)] { return make_add(first, second); },
                    {a, b});
}

Value Graph::upsample(Value x, std::int64_t factor) {
  return impl_->add([input = shape(x), factor] { return make_upsample(input, factor); }, {x});
}

Value Graph::zero_pad(Value x, const PadOptions& options) {
  return impl_->add([input = shape(x), options] { return make_zero_pad(input, options); }, {x});
}

Value Graph::slice(Value x, const SliceOptions& options) {
  return impl_->add([input = shape(x), options] { return make_slice(input, options); }, {x});
}

Value Graph::concat(std::span<const Value> values) {
  return impl_->add([inputs = impl_->shapes(values)] { return make_concat(inputs); },
                    {values.begin(), values.end()});
}

Value Graph::join(std::span<const Value> values) {
  return impl_->add([inputs = impl_->shapes(values)] { return make_join(inputs); },
                    {values.begin(), values.end()});
}

void Graph::softmax_cross_entropy(Value x) {
  impl_->set_loss(x);
}

const Shape& Graph::shape(Value x) const {
  return impl_->shape(x);
}

const std::vector<Parameter>& Graph::parameters() const noexcept {
  return impl_->parameters();
}

void Graph::bind(std::size_t parameter, std::span<const float> weights, std::span<float> gradient) {
  impl_->bind(parameter, weights, gradient);
}

void Graph::prepare(std::int64_t max_batch, const Placement& placement) {
  impl_->prepare(max_batch, placement);
}

void Graph::when_weights_needed(WeightsNeeded needed) {
  impl_->when_weights_needed(std::move(needed));
}

void Graph::encode_gradients(std::span<const EncodedGradient> gradients, StepNumber number) {
  impl_->encode_gradients(gradients, std::move(number));
}

void Graph::scale_loss(float scale) {
  require(std::isfinite(scale) && scale > 0.0F, "scale_loss",
          "expected a finite scale > 0, got " + std::to_string(scale));
  impl_->scale_loss(scale);
}

std::span<const float> Graph::forward(std::span<const float> images) {
  impl_->forward(images, false);
  return impl_->output();
}

Result Graph::evaluate(std::span<const float> images, std::span<const std::int32_t> labels) {
  impl_->check_labels(images, labels);
  impl_->forward(images, false);
  impl_->compute_loss(labels, false);
  return impl_->loss();
}

Result Graph::forward_backward(std::span<const float> images,
                               std::span<const std::int32_t> labels,
                               const GradientReady& ready) {
  impl_->check_labels(images, labels);
  impl_->forward(images, true);
  impl_->compute_loss(labels, true);
  impl_->backward(ready);
  return impl_->loss();
}

DetectionLoss Graph::forward_backward(std::span<const float> images,
                                      DetectionCriterion& criterion,
                                      std::span<const Target> targets,
                                      const GradientReady& ready) {
  impl_->forward(images, true);
  if (impl_->on_device()) {
    impl_->compute_loss_on_device(criterion.spec(), targets);
    impl_->backward(ready);
    return impl_->detection_loss();
  }
  const DetectionLoss loss =
      criterion.run(impl_->output(), impl_->batch(), targets, impl_->output_gradient());
  impl_->backward(ready);
  return loss;
}

std::span<const float> Graph::forward_training(std::span<const float> images) {
  impl_->forward(images, true);
  return impl_->output();
}

void Graph::backward(std::span<const float> output_gradient, const GradientReady& ready) {
  impl_->set_output_gradient(output_gradient);
  impl_->backward(ready);
}

}  // namespace ps::nn
