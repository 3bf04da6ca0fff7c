#include "nn/lane.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/log.h"
#include "nn/check.h"

namespace ps::nn {
namespace {

std::size_t bytes(std::int64_t floats) {
  return static_cast<std::size_t>(floats) * sizeof(float);
}

// Copies on the target's stream of arrivals what the source's queue has computed so far; what comes
// later on the target's queue finds it.
void cross(const Stage& from,
           const float* source,
           Stage& to,
           float* target,
           std::int64_t floats,
           std::pair<kernels::Event*, kernels::Event*> computed_and_arrived) {
  const auto [computed, arrived] = computed_and_arrived;
  computed->record(*from.backend->queue());
  to.arrivals->view().wait(*computed);
  kernels::copy_between(target, to.device(), source, from.device(), bytes(floats), *to.arrivals);
  arrived->record(*to.arrivals);
  to.backend->queue()->wait(*arrived);
}

}  // namespace

// --- memory

Lane::Lane(std::span<const Node> nodes,
           std::span<const Parameter> parameters,
           std::vector<Stage*> stages,
           std::int64_t max_batch,
           const Options& options)
    : nodes_(nodes),
      parameters_(parameters),
      max_batch_(max_batch),
      options_(options),
      layers_(nodes.size()),
      part_of_(nodes.size()) {
  parts_.resize(stages.size());
  for (std::size_t s = 0; s < stages.size(); ++s) {
    Stage& stage = *stages[s];
    parts_[s].stage = &stage;
    for (std::size_t i = stage.first; i < stage.last; ++i) {
      part_of_[i] = s;
      layers_[i] = nodes[i].make();
      layers_[i]->prepare(*stage.backend, max_batch);
    }
  }
  for (std::size_t s = 0; s < parts_.size(); ++s) {
    add_imports(s);
    plan_part(s);
  }
  labels_ = last_backend().allocate(static_cast<std::size_t>(max_batch) * sizeof(std::int32_t));
  loss_ = last_backend().allocate(sizeof(kernels::ClassificationLoss));
}

bool Lane::reads(const Part& part, std::size_t node) const {
  for (std::size_t i = part.stage->first; i < part.stage->last; ++i) {
    if (std::ranges::count(nodes_[i].inputs, static_cast<int>(node)) > 0) return true;
  }
  return false;
}

bool Lane::read_later(std::size_t index, std::size_t node) const {
  return std::any_of(parts_.begin() + static_cast<std::ptrdiff_t>(index) + 1, parts_.end(),
                     [&](const Part& part) { return reads(part, node); });
}

void Lane::add_imports(std::size_t index) {
  Part& part = parts_[index];
  const int here = part.stage->device();
  for (std::size_t i = 1; i < part.stage->first; ++i) {
    if (!reads(part, i)) continue;
    const std::size_t from = part_of_[i];
    kernels::Backend& source = *parts_[from].stage->backend;
    const int there = source.device().index;
    const bool adds = read_later(index, i);  // whose gradient is back before this part's
    part.imports.push_back(
        {.node = i,
         .from = from,
         .beside = adds ? source.allocate(bytes(max_batch_ * nodes_[i].shape.size())) : Memory(),
         .computed = kernels::Event(there),
         .arrived = kernels::Event(here),
         .gradient_computed = kernels::Event(here),
         .gradient_arrived = kernels::Event(there)});
  }
}

void Lane::plan_part(std::size_t index) {
  Part& part = parts_[index];
  const Stage& stage = *part.stage;
  std::vector<PlanNode> plan_nodes(stage.last);
  for (const Import& import : part.imports) {
    plan_nodes[import.node].floats = max_batch_ * nodes_[import.node].shape.size();
  }
  for (std::size_t i = stage.first; i < stage.last; ++i) {
    plan_nodes[i] = {.inputs = nodes_[i].inputs,
                     .floats = max_batch_ * nodes_[i].shape.size(),
                     .exported = read_later(index, i),
                     .forward_in_place = layers_[i]->forward_in_place(),
                     .backward_in_place = layers_[i]->backward_in_place()};
  }
  part.plan = plan_memory(plan_nodes);
  part.block = stage.backend->allocate(bytes(part.plan.floats));
  if (stage.twins && reads(part, 0)) {
    part.images = stage.backend->allocate(bytes(max_batch_ * nodes_.front().shape.size()));
  }
}

float* Lane::memory(const Part& part, std::int64_t offset) const {
  return offset == kNowhere ? nullptr : part.block.as<float>().data() + offset;
}

std::span<float> Lane::output() const {
  const Part& part = parts_.back();
  return {memory(part, part.plan.nodes.back().value),
          static_cast<std::size_t>(batch_ * nodes_.back().shape.size())};
}

std::span<float> Lane::output_gradient() const {
  const Part& part = parts_.back();
  return {memory(part, part.plan.nodes.back().gradient),
          static_cast<std::size_t>(batch_ * nodes_.back().shape.size())};
}

std::span<const Bound> Lane::bound(const Part& part, const Node& node) const {
  const Stage& stage = *part.stage;
  if (!stage.twins) return host_.subspan(node.first_parameter, node.parameter_count);
  const std::span<const Bound> here = options_.others ? stage.more_bound : stage.twins->bound();
  return here.subspan(node.first_parameter - stage.first_parameter, node.parameter_count);
}

Call Lane::call(std::size_t node) const {
  const Part& part = parts_[part_of_[node]];
  const NodePlacement& place = part.plan.nodes[node];
  Call call{.backend = part.stage->backend.get(),
            .batch = batch_,
            .training = training_,
            .workspace = part.stage->workspace.as<float>().data(),
            .parameters = bound(part, nodes_[node]),
            .x = {},
            .y = memory(part, place.value),
            .dy = memory(part, place.gradient),
            .dx = {}};
  for (std::size_t k = 0; k < nodes_[node].inputs.size(); ++k) {
    const auto input = static_cast<std::size_t>(nodes_[node].inputs[k]);
    call.x[k] = input == 0 ? part.input : memory(part, part.plan.nodes[input].value);
    call.dx[k] = memory(part, place.input_gradient[k]);
  }
  return call;
}

// --- forward

void Lane::begin(std::span<const float> images, bool training, std::span<const Bound> host) {
  host_ = host;
  batch_ = std::ssize(images) / nodes_.front().shape.size();
  training_ = training;
  forward_ = &forwards_.of({.batch = batch_, .training = training, .factors = {}});
  for (Part& part : parts_) {
    part.input = images.data();
    if (part.images.size() == 0) continue;
    part.stage->backend->upload(images.data(), part.images.bytes().data(), images.size_bytes());
    part.input = part.images.as<float>().data();
  }
}

void Lane::forward(const Segment& segment) {
  Part& part = parts_[part_of_[segment.first]];
  Stage& stage = *part.stage;
  if (segment.first == stage.first) bring_values(part);
  if (stage.twins) {
    stage.twins->need_weights(segment.first_parameter - stage.first_parameter,
                              segment.parameter_count);
  }
  enqueue(segment, *forward_, [&] {
    for (std::size_t i = segment.first; i < segment.last; ++i) layers_[i]->forward(call(i));
  });
}

void Lane::enqueue(const Segment& segment, Recordings& recordings, const Enqueue& nodes) {
  const Stage& stage = *parts_[part_of_[segment.first]].stage;
  if (!options_.record || !stage.twins) return nodes();
  const std::string fault = recordings.run(segment.index, *stage.backend->queue(), nodes);
  if (fault.empty()) return;
  options_.record = false;  // the next one would fail likewise
  Log("graph", LogLevel::kWarn)
      .warn(
          "device " + std::to_string(stage.device()) +
          ": layers are launched one by one from here on, since they cannot be recorded: " + fault);
}

void Lane::bring_values(Part& part) {
  for (Import& import : part.imports) {
    const Part& from = parts_[import.from];
    cross(*from.stage, memory(from, from.plan.nodes[import.node].value), *part.stage,
          memory(part, part.plan.nodes[import.node].value),
          batch_ * nodes_[import.node].shape.size(), {&import.computed, &import.arrived});
  }
}

// --- losses

void Lane::compute_loss(std::span<const std::int32_t> labels, bool with_gradient) {
  kernels::Backend& backend = last_backend();
  backend.upload(labels.data(), labels_.bytes().data(), labels.size_bytes());
  backend.softmax_cross_entropy({.batch = batch_, .classes = nodes_.back().shape.channels},
                                output().data(), labels_.as<std::int32_t>().data(),
                                with_gradient ? output_gradient().data() : nullptr,
                                loss_.as<kernels::ClassificationLoss>().data());
}

Result Lane::loss() {
  kernels::ClassificationLoss loss;
  last_backend().download(loss_.bytes().data(), &loss, sizeof loss);
  last_backend().wait();
  return {.loss = loss.loss, .samples = loss.samples, .correct = loss.correct};
}

void Lane::compute_detection_loss(const CriterionSpec& criterion, std::span<const Target> targets) {
  if (criterion_id_ != criterion.id) {
    const std::int64_t most = std::min(criterion.max_batch, max_batch_);  // of the slice
    criterion_ = device_criterion(criterion.head, criterion.options, most, *last_backend().queue());
    criterion_id_ = criterion.id;
  }
  criterion_->run(output().data(), batch_, targets, output_gradient().data());
}

// --- backward

void Lane::begin_backward(float loss_scale, const Share& share) {
  loss_scale_ = loss_scale;
  share_ = share;
  backward_ = &backwards_.of({.batch = batch_,
                              .training = true,
                              .factors = {loss_scale, share.gradients, share.averages}});
  const std::span<float> gradient = output_gradient();
  if (loss_scale != 1.0F) last_backend().scale(gradient.data(), std::ssize(gradient), loss_scale);
}

void Lane::backward(const Segment& segment) {
  const std::size_t index = part_of_[segment.first];
  if (segment.last == parts_[index].stage->last) bring_gradients(index);
  enqueue(segment, *backward_, [&] {
    for (std::size_t i = segment.last; i > segment.first; --i) backward(i - 1);
  });
}

void Lane::backward(std::size_t node) {
  const Call arguments = call(node);
  layers_[node]->backward(arguments);
  add_gradients(node, arguments);
  finish_parameters(node, arguments);
}

// Of the values that later stages have read, the last one's first.
void Lane::bring_gradients(std::size_t index) {
  Part& part = parts_[index];
  for (std::size_t later = parts_.size() - 1; later > index; --later) {
    for (Import& import : parts_[later].imports) {
      if (import.from != index) continue;
      const std::int64_t floats = batch_ * nodes_[import.node].shape.size();
      float* sum = memory(part, part.plan.nodes[import.node].gradient);
      const bool first = import.beside.size() == 0;
      float* here = first ? sum : import.beside.as<float>().data();
      cross(*parts_[later].stage,
            memory(parts_[later], parts_[later].plan.nodes[import.node].gradient), *part.stage,
            here, floats, {&import.gradient_computed, &import.gradient_arrived});
      if (!first) part.stage->backend->add(sum, here, sum, floats);
    }
  }
}

// Where two layers read one value, their gradients meet.
void Lane::add_gradients(std::size_t node, const Call& call) const {
  const Part& part = parts_[part_of_[node]];
  const NodePlacement& place = part.plan.nodes[node];
  for (std::size_t k = 0; k < nodes_[node].inputs.size(); ++k) {
    if (place.add_to[k] == kNowhere) continue;
    float* sum = memory(part, place.add_to[k]);
    const Shape& shape = nodes_[static_cast<std::size_t>(nodes_[node].inputs[k])].shape;
    call.backend->add(sum, call.dx[k], sum, batch_ * shape.size());
  }
}

// A layer's gradients, as they shall count. Averages among its parameters are no gradients.
void Lane::finish_parameters(std::size_t node, const Call& call) const {
  const Stage& stage = *parts_[part_of_[node]].stage;
  for (std::size_t k = 0; k < nodes_[node].parameter_count; ++k) {
    const std::size_t index = nodes_[node].first_parameter + k;
    const Parameter& parameter = parameters_[index];
    const bool trained = parameter.kind == ParameterKind::kTrained;
    const float factor = trained ? share_.gradients / loss_scale_ : share_.averages;
    float* gradient = call.parameters[k].gradient;
    if (factor != 1.0F) call.backend->scale(gradient, parameter.size(), factor);
    if (!options_.others) continue;
    float* sum = stage.twins->bound()[index - stage.first_parameter].gradient;
    call.backend->add(sum, gradient, sum, parameter.size());
  }
}

}  // namespace ps::nn
