#include "nn/graph_impl.h"

#include <algorithm>
#include <string>

#include "nn/check.h"

namespace ps::nn {
namespace {

std::size_t bytes(std::int64_t floats) {
  return static_cast<std::size_t>(floats) * sizeof(float);
}

}  // namespace

Graph::Impl::Impl(const Shape& input) {
  require(input.channels > 0 && input.height > 0 && input.width > 0, "graph",
          "expected an input of positive sizes");
  nodes_.push_back({.layer = nullptr, .inputs = {}, .shape = input});
}

Value Graph::Impl::add(std::unique_ptr<Layer> layer, const std::vector<Value>& inputs) {
  require(max_batch_ == 0, layer->name(), "the graph is prepared, no layer can be added");
  require(!has_loss_, layer->name(), "the loss must come last");
  Node node{.layer = std::move(layer),
            .inputs = {},
            .shape = {},
            .first_parameter = parameters_.size(),
            .parameter_count = 0};
  node.shape = node.layer->output();
  for (const Value x : inputs) node.inputs.push_back(x.index);
  std::vector<Parameter> added = node.layer->parameters();
  node.parameter_count = added.size();
  for (const Parameter& parameter : added) {
    require(std::none_of(parameters_.begin(), parameters_.end(),
                         [&](const Parameter& p) { return p.name == parameter.name; }),
            node.layer->name(), "there is a parameter " + parameter.name + " already");
  }
  std::move(added.begin(), added.end(), std::back_inserter(parameters_));
  bound_.resize(parameters_.size());
  nodes_.push_back(std::move(node));
  return {static_cast<int>(nodes_.size()) - 1};
}

void Graph::Impl::set_loss(Value x) {
  require(x.index > 0 && x.index + 1 == static_cast<int>(nodes_.size()), "softmax_cross_entropy",
          "expected the last layer's value");
  require(shape(x).height == 1 && shape(x).width == 1, "softmax_cross_entropy",
          "expected height = width = 1");
  has_loss_ = true;
}

const Shape& Graph::Impl::shape(Value x) const {
  require(x.index >= 0 && x.index < static_cast<int>(nodes_.size()), "graph",
          "this value is of another graph");
  return nodes_[static_cast<std::size_t>(x.index)].shape;
}

std::vector<Shape> Graph::Impl::shapes(std::span<const Value> values) const {
  std::vector<Shape> result;
  for (const Value x : values) result.push_back(shape(x));
  return result;
}

void Graph::Impl::bind(std::size_t parameter,
                       std::span<const float> weights,
                       std::span<float> gradient) {
  require(parameter < parameters_.size(), "bind",
          "expected a parameter below " + std::to_string(parameters_.size()) + ", got " +
              std::to_string(parameter));
  const auto size = static_cast<std::size_t>(parameters_[parameter].size());
  require(weights.size() == size && (gradient.empty() || gradient.size() == size),
          parameters_[parameter].name,
          "expected memory for " + std::to_string(size) + " values, got " +
              std::to_string(weights.size()) + " weights and " + std::to_string(gradient.size()) +
              " gradients");
  bound_[parameter] = {weights.data(), gradient.empty() ? nullptr : gradient.data()};
  if (twins_) twins_->bind(parameter, bound_[parameter]);
}

void Graph::Impl::prepare(std::int64_t max_batch, const Device& device, Precision precision) {
  require(max_batch_ == 0 && max_batch > 0 && nodes_.size() > 1, "prepare",
          "expected a graph with layers, a batch > 0, and to be called once");
  std::vector<PlanNode> plan_nodes(nodes_.size());
  std::vector<bool> read(nodes_.size(), false);
  std::int64_t workspace = 0;
  std::unique_ptr<kernels::Backend> backend = kernels::make_backend(device, precision);
  for (std::size_t i = 1; i < nodes_.size(); ++i) {
    Layer& layer = *nodes_[i].layer;
    plan_nodes[i] = {.inputs = nodes_[i].inputs,
                     .floats = max_batch * nodes_[i].shape.size(),
                     .forward_in_place = layer.forward_in_place(),
                     .backward_in_place = layer.backward_in_place()};
    for (const int input : nodes_[i].inputs) read[static_cast<std::size_t>(input)] = true;
    workspace = std::max(workspace, layer.workspace_floats(*backend, max_batch));
  }
  for (std::size_t i = 1; i + 1 < nodes_.size(); ++i) {
    require(read[i], nodes_[i].layer->name(), "its value is used by no layer");
  }
  backend_ = std::move(backend);
  for (std::size_t i = 1; i < nodes_.size(); ++i) nodes_[i].layer->prepare(*backend_, max_batch);
  plan_ = plan_memory(plan_nodes);
  block_ = backend_->allocate(bytes(plan_.floats));
  workspace_ = backend_->allocate(bytes(workspace));
  loss_ = backend_->allocate(sizeof(kernels::ClassificationLoss));
  labels_ = backend_->allocate(static_cast<std::size_t>(max_batch) * sizeof(std::int32_t));
  if (backend_->queue() != nullptr) prepare_device(max_batch);
  max_batch_ = max_batch;
}

void Graph::Impl::prepare_device(std::int64_t max_batch) {
  images_on_device_ = backend_->allocate(bytes(max_batch * nodes_.front().shape.size()));
  output_on_host_ = kernels::PinnedBuffer(bytes(max_batch * nodes_.back().shape.size()));
  twins_.emplace(*backend_, parameters_);
  for (std::size_t i = 0; i < bound_.size(); ++i) twins_->bind(i, bound_[i]);
}

float* Graph::Impl::memory(std::int64_t offset) const {
  return offset == kNowhere ? nullptr : block_.as<float>().data() + offset;
}

Call Graph::Impl::call(std::size_t i) const {
  const Node& node = nodes_[i];
  const NodePlacement& place = plan_.nodes[i];
  const std::span<const Bound> bound = twins_ ? twins_->bound() : bound_;
  Call call{.backend = backend_.get(),
            .batch = batch_,
            .training = training_,
            .workspace = workspace_.as<float>().data(),
            .parameters = bound.subspan(node.first_parameter, node.parameter_count),
            .x = {},
            .y = memory(place.value),
            .dy = memory(place.gradient),
            .dx = {}};
  for (std::size_t k = 0; k < node.inputs.size(); ++k) {
    const auto input = static_cast<std::size_t>(node.inputs[k]);
    call.x[k] = input == 0 ? images_ : memory(plan_.nodes[input].value);
    call.dx[k] = memory(place.input_gradient[k]);
  }
  return call;
}

void Graph::Impl::check_bound(bool gradients) const {
  for (std::size_t i = 0; i < bound_.size(); ++i) {
    if (bound_[i].weights == nullptr || (gradients && bound_[i].gradient == nullptr)) {
      fail(parameters_[i].name, "no memory is bound to it: call bind() first");
    }
  }
}

void Graph::Impl::forward(std::span<const float> images, bool training) {
  const std::int64_t sample = nodes_.front().shape.size();
  const auto batch = static_cast<std::int64_t>(images.size()) / sample;
  if (batch < 1 || batch > max_batch_ || batch * sample != std::ssize(images)) {
    fail("forward", "expected 1 to " + std::to_string(max_batch_) + " samples (prepare()) of " +
                        std::to_string(sample) + " values, got " + std::to_string(images.size()) +
                        " values");
  }
  check_bound(training);
  images_ = images.data();
  batch_ = batch;
  training_ = training;
  if (twins_) {
    images_ = images_on_device_.as<float>().data();
    backend_->upload(images.data(), images_on_device_.bytes().data(), images.size_bytes());
    twins_->upload_weights();
  }
  for (std::size_t i = 1; i < nodes_.size(); ++i) {
    if (twins_) twins_->need_weights(nodes_[i].first_parameter, nodes_[i].parameter_count);
    nodes_[i].layer->forward(call(i));
  }
}

std::span<const float> Graph::Impl::output() {
  const float* values = memory(plan_.nodes.back().value);
  const auto count = static_cast<std::size_t>(output_floats());
  if (!twins_) return {values, count};
  backend_->download(values, output_on_host_.as<float>(), count * sizeof(float));
  backend_->wait();
  return {output_on_host_.as<float>(), count};
}

std::optional<Graph::Impl::DeviceOutput> Graph::Impl::device_output() const {
  if (!twins_) return std::nullopt;
  const auto count = static_cast<std::size_t>(output_floats());
  return DeviceOutput{{memory(plan_.nodes.back().value), count}, *backend_->queue()};
}

void Graph::Impl::check_labels(std::span<const float> images,
                               std::span<const std::int32_t> labels) const {
  const std::int64_t batch = std::ssize(images) / nodes_.front().shape.size();
  if (!has_loss_ || std::ssize(labels) != batch) {
    fail("loss", "expected a graph with softmax_cross_entropy() and " + std::to_string(batch) +
                     " labels, got " + std::to_string(labels.size()));
  }
}

void Graph::Impl::compute_loss(std::span<const std::int32_t> labels, bool with_gradient) {
  const NodePlacement& output = plan_.nodes.back();
  backend_->upload(labels.data(), labels_.bytes().data(), labels.size_bytes());
  backend_->softmax_cross_entropy({.batch = batch_, .classes = nodes_.back().shape.channels},
                                  memory(output.value), labels_.as<std::int32_t>().data(),
                                  with_gradient ? memory(output.gradient) : nullptr,
                                  loss_.as<kernels::ClassificationLoss>().data());
}

Result Graph::Impl::loss() {
  kernels::ClassificationLoss loss;
  backend_->download(loss_.bytes().data(), &loss, sizeof loss);
  backend_->wait();
  return {.loss = loss.loss, .samples = loss.samples, .correct = loss.correct};
}

std::span<float> Graph::Impl::output_gradient() {
  return {memory(plan_.nodes.back().gradient), static_cast<std::size_t>(output_floats())};
}

void Graph::Impl::compute_loss_on_device(const CriterionSpec& criterion,
                                         std::span<const Target> targets) {
  const Shape& output = nodes_.back().shape;
  if (criterion.head.size() != output.size()) {
    fail("detection loss", "the head has " + std::to_string(criterion.head.size()) +
                               " values, the graph's output " + std::to_string(output.size()));
  }
  if (criterion_id_ != criterion.id) {
    criterion_ = device_criterion(criterion.head, criterion.options, criterion.max_batch,
                                  *backend_->queue());
    criterion_id_ = criterion.id;
  }
  criterion_->run(memory(plan_.nodes.back().value), batch_, targets, output_gradient().data());
}

void Graph::Impl::set_output_gradient(std::span<const float> gradient) {
  if (!training_ || std::ssize(gradient) != output_floats()) {
    fail("backward", "expected to follow forward_training() with a gradient of " +
                         std::to_string(output_floats()) + " values, got " +
                         std::to_string(gradient.size()));
  }
  backend_->upload(gradient.data(), output_gradient().data(), gradient.size_bytes());
}

// Where two layers read one value, their gradients meet.
void Graph::Impl::add_gradients(std::size_t i, const Call& call) const {
  const NodePlacement& place = plan_.nodes[i];
  for (std::size_t k = 0; k < nodes_[i].inputs.size(); ++k) {
    if (place.add_to[k] == kNowhere) continue;
    float* sum = memory(place.add_to[k]);
    const Shape& shape = nodes_[static_cast<std::size_t>(nodes_[i].inputs[k])].shape;
    backend_->add(sum, call.dx[k], sum, batch_ * shape.size());
  }
}

// Averages among a layer's parameters are no gradients.
void Graph::Impl::unscale_gradients(std::size_t i, const Call& call) const {
  if (loss_scale_ == 1.0F) return;
  for (std::size_t k = 0; k < nodes_[i].parameter_count; ++k) {
    const Parameter& parameter = parameters_[nodes_[i].first_parameter + k];
    if (parameter.kind != ParameterKind::kTrained) continue;
    backend_->scale(call.parameters[k].gradient, parameter.size(), 1.0F / loss_scale_);
  }
}

void Graph::Impl::backward(const GradientReady& ready) {
  std::size_t announced = parameters_.size();
  const auto announce = [&](std::size_t from) {
    while (announced > from) {
      --announced;
      if (ready) ready(announced);
    }
  };
  if (twins_) twins_->begin_backward();
  if (loss_scale_ != 1.0F) {
    backend_->scale(output_gradient().data(), output_floats(), loss_scale_);
  }
  for (std::size_t i = nodes_.size() - 1; i > 0; --i) {
    const Call arguments = call(i);
    nodes_[i].layer->backward(arguments);
    add_gradients(i, arguments);
    unscale_gradients(i, arguments);
    if (twins_) twins_->gradients_written(nodes_[i].first_parameter, nodes_[i].parameter_count);
    announce(twins_ ? twins_->arrived_from() : nodes_[i].first_parameter);
  }
  if (twins_) twins_->await_gradients();
  announce(0);
  training_ = false;
}

}  // namespace ps::nn
