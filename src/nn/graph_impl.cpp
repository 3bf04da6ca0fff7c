// Running a graph: who computes what, in which order.
#include "nn/graph_impl.h"

#include <algorithm>
#include <string>

#include <ps/trace.h>

#include "nn/check.h"

namespace ps::nn {

// --- forward

Graph::Impl::Slice Graph::Impl::slice(std::size_t lane) const {
  const auto lanes = std::ssize(lanes_);
  const auto index = static_cast<std::int64_t>(lane);
  const std::int64_t least = batch_ / lanes;
  const std::int64_t more = batch_ % lanes;  // the first lanes have one more
  return {.first = index * least + std::min(index, more), .count = least + (index < more ? 1 : 0)};
}

void Graph::Impl::check_bound(bool gradients) const {
  for (std::size_t i = 0; i < bound_.size(); ++i) {
    if (bound_[i].weights == nullptr || (gradients && bound_[i].gradient == nullptr)) {
      fail(parameters_[i].name, "no memory is bound to it: call bind() first");
    }
  }
}

// One lane after the other where they share devices: a device then computes one's layers while the
// next device computes another's. Segment by segment where each has its own.
void Graph::Impl::each_segment(bool backward, const Visit& visit) const {
  const std::size_t count = segments_.size();
  const std::size_t lanes = split_ ? active_ : 1;
  for (std::size_t outer = 0; outer < lanes; ++outer) {
    for (std::size_t k = 0; k < count; ++k) {
      const Segment& segment = segments_[backward ? count - 1 - k : k];
      if (split_) {
        visit(outer, segment);
        continue;
      }
      for (std::size_t lane = 0; lane < active_; ++lane) visit(lane, segment);
    }
  }
}

void Graph::Impl::await_weights(std::size_t last) {
  for (; weights_needed_ && weights_here_ < last; ++weights_here_) weights_needed_(weights_here_);
}

void Graph::Impl::forward(std::span<const float> images, bool training) {
  const TraceSpan span("forward");
  const std::int64_t sample = nodes_.front().shape.size();
  const auto batch = static_cast<std::int64_t>(images.size()) / sample;
  if (batch < 1 || batch > max_batch_ || batch * sample != std::ssize(images)) {
    fail("forward", "expected 1 to " + std::to_string(max_batch_) + " samples (prepare()) of " +
                        std::to_string(sample) + " values, got " + std::to_string(images.size()) +
                        " values");
  }
  check_bound(training);
  batch_ = batch;
  training_ = false;
  weights_here_ = 0;
  active_ = static_cast<std::size_t>(std::min<std::int64_t>(batch, std::ssize(lanes_)));
  for (std::size_t s = 0; s < stages_.size(); ++s) {
    const auto& stage = stages_[s];
    if (stage->twins) stage->twins->upload_weights(weights_needed_ ? &arrivals_[s] : nullptr);
    if (!stage->arrivals) continue;
    stage->idle->record(*stage->backend->queue());
    stage->arrivals->view().wait(*stage->idle);
  }
  for (std::size_t l = 0; l < active_; ++l) {
    const auto [first, count] = slice(l);
    lanes_[l]->begin(images.subspan(static_cast<std::size_t>(first * sample),
                                    static_cast<std::size_t>(count * sample)),
                     training, bound_);
    gradient_shares_[l] = 1.0F;
  }
  try {
    each_segment(false, [&](std::size_t lane, const Segment& segment) {
      if (!on_device()) await_weights(segment.first_parameter + segment.parameter_count);
      lanes_[lane]->forward(segment);
    });
  } catch (...) {  // of when_weights_needed(): the images may go once the caller has heard
    for (const auto& stage : stages_) stage->backend->wait();
    throw;
  }
  training_ = training;
}

std::span<const float> Graph::Impl::output() {
  if (!on_device()) return lanes_.front()->output();
  auto* host = output_on_host_.front().as<float>();
  const std::int64_t sample = nodes_.back().shape.size();
  for (std::size_t l = 0; l < active_; ++l) {
    const std::span<float> values = lanes_[l]->output();
    lanes_[l]->last_backend().download(values.data(), host + slice(l).first * sample,
                                       values.size_bytes());
  }
  for (std::size_t l = 0; l < active_; ++l) lanes_[l]->last_backend().wait();
  return {host, static_cast<std::size_t>(batch_ * sample)};
}

std::optional<Graph::Impl::DeviceOutput> Graph::Impl::device_output() const {
  if (!on_device() || active_ != 1) return std::nullopt;
  return DeviceOutput{lanes_.front()->output(), *lanes_.front()->last_backend().queue()};
}

// --- losses

void Graph::Impl::check_labels(std::span<const float> images,
                               std::span<const std::int32_t> labels) const {
  const std::int64_t batch = std::ssize(images) / nodes_.front().shape.size();
  if (!has_loss_ || std::ssize(labels) != batch) {
    fail("loss", "expected a graph with softmax_cross_entropy() and " + std::to_string(batch) +
                     " labels, got " + std::to_string(labels.size()));
  }
}

// Each lane's loss and gradient are means over its own samples that count.
void Graph::Impl::compute_loss(std::span<const std::int32_t> labels, bool with_gradient) {
  const std::int64_t classes = nodes_.back().shape.channels;
  const auto counted = [&](std::span<const std::int32_t> some) {
    return std::ranges::count_if(some, [&](auto label) { return label >= 0 && label < classes; });
  };
  const auto all = static_cast<double>(counted(labels));
  for (std::size_t l = 0; l < active_; ++l) {
    const auto [first, count] = slice(l);
    const auto mine =
        labels.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
    lanes_[l]->compute_loss(mine, with_gradient);
    if (active_ > 1 && all > 0.0)
      gradient_shares_[l] = static_cast<float>(static_cast<double>(counted(mine)) / all);
  }
}

Result Graph::Impl::loss() {
  if (active_ == 1) return lanes_.front()->loss();
  Result all;
  for (std::size_t l = 0; l < active_; ++l) {
    const Result mine = lanes_[l]->loss();
    all.loss += mine.loss * static_cast<double>(mine.samples);
    all.samples += mine.samples;
    all.correct += mine.correct;
  }
  all.loss /= static_cast<double>(std::max<std::int64_t>(all.samples, 1));
  return all;
}

void Graph::Impl::compute_loss_on_device(const CriterionSpec& criterion,
                                         std::span<const Target> targets) {
  const Shape& output = nodes_.back().shape;
  if (criterion.head.size() != output.size()) {
    fail("detection loss", "the head has " + std::to_string(criterion.head.size()) +
                               " values, the graph's output " + std::to_string(output.size()));
  }
  if (active_ == 1) return lanes_.front()->compute_detection_loss(criterion, targets);
  check_batch(batch_, criterion.max_batch);
  boxes_.resize(std::max(boxes_.size(), targets.size()));
  to_boxes(targets, batch_, criterion.head.classes, boxes_.data());
  for (std::size_t l = 0; l < active_; ++l) {
    const auto [first, count] = slice(l);
    lane_targets_.clear();
    for (Target target : targets) {
      if (target.image < first || target.image >= first + count) continue;
      target.image -= static_cast<std::int32_t>(first);
      lane_targets_.push_back(target);
    }
    lanes_[l]->compute_detection_loss(criterion, lane_targets_);
  }
}

// The total is a sum over images, as its gradient is; the parts are means.
DetectionLoss Graph::Impl::detection_loss() {
  if (active_ == 1) return lanes_.front()->detection_loss();
  DetectionLoss all;
  for (std::size_t l = 0; l < active_; ++l) {
    const DetectionLoss mine = lanes_[l]->detection_loss();
    const double share = static_cast<double>(slice(l).count) / static_cast<double>(batch_);
    all.box += share * mine.box;
    all.objectness += share * mine.objectness;
    all.category += share * mine.category;
    all.dfl += share * mine.dfl;
    all.total += mine.total;
    all.positives += mine.positives;
  }
  return all;
}

void Graph::Impl::set_output_gradient(std::span<const float> gradient) {
  const std::int64_t sample = nodes_.back().shape.size();
  if (!training_ || std::ssize(gradient) != batch_ * sample) {
    fail("backward", "expected to follow forward_training() with a gradient of " +
                         std::to_string(batch_ * sample) + " values, got " +
                         std::to_string(gradient.size()));
  }
  for (std::size_t l = 0; l < active_; ++l) {
    const std::span<float> to = lanes_[l]->output_gradient();
    lanes_[l]->last_backend().upload(gradient.data() + slice(l).first * sample, to.data(),
                                     to.size_bytes());
  }
}

// --- backward

Stage& Graph::Impl::home_of(const Segment& segment) {
  std::size_t s = 0;
  while (segment.first >= stages_[s]->last)
    ++s;  // where lanes have stages of their own it is the first's
  return *stages_[s];
}

// Parameters from here on have their gradients in the host's memory; `segment` has just been done.
std::size_t Graph::Impl::gradients_arrived_from(const Segment& segment) {
  if (!on_device()) return segment.first_parameter;
  std::size_t from = parameters_.size();
  for (std::size_t s = split_ ? stages_.size() : 1; s > 0; --s) {
    Stage& stage = *stages_[s - 1];
    from = stage.first_parameter + stage.twins->arrived_from();
    if (from > stage.first_parameter) break;
  }
  return from;
}

std::uint64_t Graph::Impl::ask_step_number() {
  if (!step_number_) return 0;
  try {
    return step_number_();
  } catch (...) {  // the images may go once the caller has heard
    for (const auto& stage : stages_) stage->backend->wait();
    throw;
  }
}

void Graph::Impl::backward(const GradientReady& ready) {
  const TraceSpan span("backward");
  std::size_t announced = parameters_.size();
  const auto announce = [&](std::size_t from) {
    while (announced > from) {
      --announced;
      if (ready) ready(announced);
    }
  };
  const std::uint64_t step = ask_step_number();
  const std::size_t homes = split_ ? stages_.size() : 1;
  for (std::size_t s = 0; on_device() && s < homes; ++s)
    stages_[s]->twins->begin_backward(split_ ? 0 : active_ - 1, step);
  for (std::size_t l = 0; l < active_; ++l) {
    const double share = static_cast<double>(slice(l).count) / static_cast<double>(batch_);
    lanes_[l]->begin_backward(
        loss_scale_, {.gradients = gradient_shares_[l], .averages = static_cast<float>(share)});
  }
  each_segment(true, [&](std::size_t lane, const Segment& segment) {
    lanes_[lane]->backward(segment);
    if (lane + 1 < active_) return;
    Stage& home = home_of(segment);
    if (home.twins) {
      home.twins->gradients_written(segment.first_parameter - home.first_parameter,
                                    segment.parameter_count);
    }
    announce(gradients_arrived_from(segment));
  });
  for (std::size_t s = homes; on_device() && s > 0; --s) {
    stages_[s - 1]->twins->await_gradients();
    announce(stages_[s - 1]->first_parameter);
  }
  announce(0);
  training_ = false;
}

}  // namespace ps::nn
