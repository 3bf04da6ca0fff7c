// A graph before it runs: its layers, and the devices that they are laid out over.
#include <algorithm>
#include <string>

#include "nn/check.h"
#include "nn/graph_impl.h"

namespace ps::nn {
namespace {

std::size_t bytes(std::int64_t floats) {
  return static_cast<std::size_t>(floats) * sizeof(float);
}

}  // namespace

Graph::Impl::Impl(const Shape& input) {
  require(input.channels > 0 && input.height > 0 && input.width > 0, "graph",
          "expected an input of positive sizes");
  nodes_.push_back({.make = {}, .layer = nullptr, .inputs = {}, .shape = input});
}

Value Graph::Impl::add(MakeLayer make, const std::vector<Value>& inputs) {
  Node node{.make = std::move(make),
            .layer = {},
            .inputs = {},
            .shape = {},
            .first_parameter = parameters_.size(),
            .parameter_count = 0};
  node.layer = node.make();
  require(max_batch_ == 0, node.layer->name(), "the graph is prepared, no layer can be added");
  require(!has_loss_, node.layer->name(), "the loss must come last");
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
  bind_stages(parameter);
}

void Graph::Impl::bind_stages(std::size_t parameter) {
  for (const auto& stage : stages_) {
    const std::size_t first = stage->first_parameter;
    if (stage->twins && parameter >= first && parameter < first + stage->parameter_count)
      stage->twins->bind(parameter - first, bound_[parameter]);
  }
}

void Graph::Impl::check_placement(std::int64_t max_batch, const Placement& placement) const {
  require(max_batch_ == 0 && max_batch > 0 && nodes_.size() > 1, "prepare",
          "expected a graph with layers, a batch > 0, and to be called once");
  const auto& devices = placement.devices;
  require(!devices.empty(), "prepare", "expected a device");
  for (const Device& device : devices) {
    require(devices.size() == 1 || device.kind == DeviceKind::kCuda, "prepare",
            "expected one device, or several GPUs");
  }
  require(placement.ends.empty() || placement.ends.size() + 1 == devices.size(), "prepare",
          "expected, to split the network, a last value for each device but the last: " +
              std::to_string(devices.size() - 1) + ", got " +
              std::to_string(placement.ends.size()));
  int before = 0;
  for (const Value end : placement.ends) {
    require(end.index > before && end.index + 1 < static_cast<int>(nodes_.size()), "prepare",
            "expected each device to compute a layer or more, in their order");
    before = end.index;
  }
  require(placement.micro_batches >= 0, "prepare", "expected micro_batches >= 0");
  std::vector<bool> read(nodes_.size(), false);
  for (const Node& node : nodes_) {
    for (const int input : node.inputs) read[static_cast<std::size_t>(input)] = true;
  }
  for (std::size_t i = 1; i + 1 < nodes_.size(); ++i)
    require(read[i], nodes_[i].layer->name(), "its value is used by no layer");
}

void Graph::Impl::add_stage(const Device& device,
                            Precision precision,
                            std::size_t first,
                            std::size_t last) {
  auto stage = std::make_unique<Stage>();
  stage->first = first;
  stage->last = last;
  stage->first_parameter = nodes_[first].first_parameter;
  stage->parameter_count =
      nodes_[last - 1].first_parameter + nodes_[last - 1].parameter_count - stage->first_parameter;
  stage->backend = kernels::make_backend(device, precision);
  stages_.push_back(std::move(stage));
}

// shared: several lanes go through it.
void Graph::Impl::prepare_stage(Stage& stage, std::int64_t lane_batch, bool shared) {
  kernels::Backend& backend = *stage.backend;
  std::int64_t workspace = 0;
  for (std::size_t i = stage.first; i < stage.last; ++i)
    workspace = std::max(workspace, nodes_[i].layer->workspace_floats(backend, lane_batch));
  stage.workspace = backend.allocate(bytes(workspace));
  if (backend.queue() == nullptr) return;
  const bool pins = split_ || &stage == stages_.front().get();
  stage.twins.emplace(
      backend, std::span(parameters_).subspan(stage.first_parameter, stage.parameter_count), pins);
  if (shared) {
    stage.more_gradients = backend.allocate(stage.twins->bytes());
    stage.more_bound = stage.twins->bound_to(stage.more_gradients.as<float>().data());
  }
  if (!split_) return;
  stage.arrivals.emplace(stage.device());
  stage.idle.emplace(stage.device());
}

// On the CPU layer by layer, so that each one's gradients leave at once. On GPUs as many as have
// weights enough for a copy of their own, within a stage.
void Graph::Impl::cut_segments() {
  std::size_t floats = 0;
  for (const auto& stage : stages_) {
    const std::size_t least = stage->twins ? DeviceTwins::kPieceBytes / sizeof(float) : 0;
    for (std::size_t i = stage->first; i < stage->last; ++i) {
      const Node& node = nodes_[i];
      if (i == stage->first || floats >= least) {
        segments_.push_back({.index = segments_.size(),
                             .first = i,
                             .last = i,
                             .first_parameter = node.first_parameter});
        floats = 0;
      }
      segments_.back().last = i + 1;
      segments_.back().parameter_count += node.parameter_count;
      for (std::size_t k = 0; k < node.parameter_count; ++k)
        floats += static_cast<std::size_t>(parameters_[node.first_parameter + k].size());
    }
    if (!split_) break;  // the others have the same
  }
}

void Graph::Impl::prepare(std::int64_t max_batch, const Placement& placement) {
  check_placement(max_batch, placement);
  lanes_.clear();  // of a call that failed: no memory, say
  output_on_host_.clear();
  segments_.clear();
  stages_.clear();
  arrivals_.clear();
  split_ = !placement.ends.empty();
  std::span<const Device> devices = placement.devices;
  if (!split_ && std::ssize(devices) > max_batch)
    devices = devices.first(static_cast<std::size_t>(max_batch));
  std::size_t first = 1;
  for (std::size_t d = 0; d < devices.size(); ++d) {
    const bool to_the_end = !split_ || d + 1 == devices.size();
    const std::size_t last =
        to_the_end ? nodes_.size() : static_cast<std::size_t>(placement.ends[d].index) + 1;
    add_stage(devices[d], placement.precision, first, last);
    if (split_) first = last;
  }
  std::int64_t lanes = std::ssize(devices);
  if (split_ && placement.micro_batches > 0) lanes = placement.micro_batches;
  lanes = std::min(lanes, max_batch);
  const std::int64_t lane_batch = (max_batch + lanes - 1) / lanes;
  for (const auto& stage : stages_) {
    prepare_stage(*stage, lane_batch, split_ && lanes > 1);
    arrivals_.emplace_back(
        [this, base = stage->first_parameter](std::size_t last) { await_weights(base + last); });
  }
  for (std::int64_t l = 0; l < lanes; ++l) {
    std::vector<Stage*> path;
    for (const auto& stage : stages_) {
      if (split_ || stage == stages_[static_cast<std::size_t>(l)]) path.push_back(stage.get());
    }
    lanes_.push_back(std::make_unique<Lane>(
        nodes_, parameters_, std::move(path), lane_batch,
        Lane::Options{.others = split_ && l > 0, .record = placement.record}));
  }
  if (stages_.front()->twins) {
    output_on_host_.emplace_back(bytes(max_batch * nodes_.back().shape.size()));
    std::vector<const DeviceTwins*> others;
    for (std::size_t l = 1; !split_ && l < lanes_.size(); ++l)
      others.push_back(&*stages_[l]->twins);
    if (!others.empty()) stages_.front()->twins->add_others(std::move(others));
  }
  for (std::size_t i = 0; i < bound_.size(); ++i) bind_stages(i);
  cut_segments();
  gradient_shares_.assign(lanes_.size(), 1.0F);
  max_batch_ = max_batch;
}

void Graph::Impl::encode_gradients(std::span<const EncodedGradient> gradients, StepNumber number) {
  require(on_device(), "encode_gradients",
          "expected a graph that is prepared on GPUs: on the CPU, the worker encodes");
  require(gradients.size() == parameters_.size(), "encode_gradients",
          "expected an entry for each of " + std::to_string(parameters_.size()) +
              " parameters, got " + std::to_string(gradients.size()));
  bool random = false;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    check_route(gradients[i], parameters_[i].name, parameters_[i].size());
    random = random || std::ranges::any_of(gradients[i].how.pieces, [](const EncodedPiece& piece) {
               return piece.codec == Compression::Push::kInt8Stochastic;
             });
  }
  require(!random || number, "encode_gradients",
          "expected a way to ask for the step's number, by which int8-stochastic rounds");
  for (std::size_t s = 0; s < (split_ ? stages_.size() : 1); ++s) {
    stages_[s]->twins->encode_gradients(
        gradients.subspan(stages_[s]->first_parameter, stages_[s]->parameter_count));
  }
  step_number_ = random ? std::move(number) : StepNumber();
}

}  // namespace ps::nn
