#include "inference.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include <ps/vision/shapes.h>

namespace detect {
namespace {

constexpr int kLargestStride = 32;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

int scaled_side(int side, double scale) {
  const double exact = side * scale / kLargestStride;
  return std::max(1, static_cast<int>(std::ceil(exact))) * kLargestStride;
}

void mirror(std::span<float> images, int width) {
  for (std::size_t row = 0; row < images.size(); row += static_cast<std::size_t>(width)) {
    std::ranges::reverse(images.subspan(row, static_cast<std::size_t>(width)));
  }
}

}  // namespace

ps::nn::NmsOptions nms_options(const InferenceOptions& options) {
  return {.confidence = options.confidence,
          .iou = options.iou,
          .max_detections = options.max_detections,
          .agnostic = options.agnostic,
          .classes = options.classes};
}

ps::nn::Detection in_source(const ps::vision::LetterboxFrame& frame, const ps::nn::Detection& box) {
  const ps::vision::Box source = ps::vision::to_source(frame, {box.x1, box.y1, box.x2, box.y2});
  return {source.x1, source.y1, source.x2, source.y2, box.score, box.category};
}

Inference::Inference(std::vector<Network*> networks, ps::nn::NmsOptions options, bool augment)
    : networks_(std::move(networks)),
      options_(std::move(options)),
      views_(augment ? std::vector<View>{{1.0, false}, {0.83, true}, {0.67, false}}
                     : std::vector<View>{{1.0, false}}) {}

std::span<const std::vector<ps::nn::Detection>> Inference::run(std::span<const float> images,
                                                               std::int64_t n,
                                                               ps::vision::ImageSize size) {
  if (networks_.size() == 1 && views_.size() == 1) return find(images, size);
  const auto start = Clock::now();
  candidates_.resize(static_cast<std::size_t>(n));
  boxes_.resize(static_cast<std::size_t>(n));
  for (std::vector<float>& each : candidates_) each.clear();
  for (Network* network : networks_) {
    for (const View& view : views_) pass(*network, images, n, size, view);
  }
  network_seconds_ += seconds_since(start);
  const auto middle = Clock::now();
  const ps::nn::DetectionHead& head = networks_.front()->at(size).head();
  for (std::size_t i = 0; i < boxes_.size(); ++i) {
    boxes_[i] = ps::nn::suppress(candidates_[i], head.classes, !head.anchor_free(), options_);
  }
  nms_seconds_ += seconds_since(middle);
  return boxes_;
}

std::span<const std::vector<ps::nn::Detection>> Inference::find(std::span<const float> images,
                                                                ps::vision::ImageSize size) {
  const auto start = Clock::now();
  ps::nn::Detector& detector = networks_.front()->at(size);
  finder_ =
      &finders_.try_emplace(&detector, detector.graph(), detector.head(), options_).first->second;
  finder_->forward(images);
  network_seconds_ += seconds_since(start);
  const auto middle = Clock::now();
  const auto boxes = finder_->boxes();
  nms_seconds_ += seconds_since(middle);
  return boxes;
}

ps::nn::DetectionLoss Inference::loss(ps::nn::DetectionCriterion& criterion,
                                      std::span<const ps::nn::Target> targets) {
  if (finder_ != nullptr) return finder_->loss(criterion, targets);
  return criterion.run(output_, std::ssize(boxes_), targets, {});
}

void Inference::pass(Network& network,
                     std::span<const float> images,
                     std::int64_t n,
                     ps::vision::ImageSize size,
                     const View& view) {
  ps::vision::ImageSize used = size;
  if (view.scale != 1.0) {
    used = {scaled_side(size.height, view.scale), scaled_side(size.width, view.scale)};
    scaled_.resize(static_cast<std::size_t>(n * 3 * used.height * used.width));
    ps::vision::resize_batch(images, size, scaled_, used);
    images = scaled_;
  }
  if (view.mirrored) mirror(scaled_, used.width);
  ps::nn::Detector& detector = network.at(used);
  const ps::nn::DetectionHead& head = detector.head();
  const std::span<const float> output = detector.graph().forward(images);
  if (&network == networks_.front() && view.scale == 1.0) output_ = output;
  rows_.resize(static_cast<std::size_t>(n * head.candidates() * head.row_floats()));
  ps::nn::decode(head, output, n, rows_);
  const auto x_scale = static_cast<float>(size.width) / static_cast<float>(used.width);
  const auto y_scale = static_cast<float>(size.height) / static_cast<float>(used.height);
  const auto row = static_cast<std::size_t>(head.row_floats());
  const std::size_t per_image = static_cast<std::size_t>(head.candidates()) * row;
  for (std::size_t i = 0; i < rows_.size(); i += row) {
    if (view.mirrored) rows_[i] = static_cast<float>(used.width) - rows_[i];
    rows_[i] *= x_scale;
    rows_[i + 1] *= y_scale;
    rows_[i + 2] *= x_scale;
    rows_[i + 3] *= y_scale;
  }
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    const auto first = rows_.begin() + static_cast<std::ptrdiff_t>(i * per_image);
    candidates_[i].insert(candidates_[i].end(), first,
                          first + static_cast<std::ptrdiff_t>(per_image));
  }
}

}  // namespace detect
