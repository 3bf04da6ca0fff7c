#include <optional>
#include <string>
#include <utility>

#include <ps/nn/box_finder.h>

#include "nn/check.h"
#include "nn/criterion.h"
#include "nn/device_criterion.h"
#include "nn/device_suppressor.h"
#include "nn/graph_impl.h"
#include "nn/suppress.h"

namespace ps::nn {
namespace {

constexpr const char* kWho = "box finder";

}  // namespace

class BoxFinder::Impl {
 public:
  Impl(Graph& graph, const DetectionHead& head, const NmsOptions& options)
      : graph_(&graph), head_(head), options_(options) {
    check_head(head, kWho);
    check_nms_options(options, head.classes);
  }

  void forward(std::span<const float> images) {
    boxes_.clear();
    graph().forward(images, false);
    if (const auto output = graph().device_output()) {
      check_size(output->values.size());
      output->stream.synchronize();
    } else {
      output_ = graph().output();
      check_size(output_.size());
    }
    boxes_.resize(static_cast<std::size_t>(graph().batch()));
  }

  std::span<const std::vector<Detection>> boxes() {
    require_pass();
    const auto output = graph().device_output();
    if (output && !asked_) {
      suppressor_ = device_suppressor(head_, options_, output->stream);
      asked_ = true;
    }
    if (output && suppressor_) {
      suppressor_->run(output->values.data(), boxes_);
    } else {
      on_host(output ? graph().output() : output_);
    }
    return boxes_;
  }

  DetectionLoss loss(DetectionCriterion& criterion,
                     const CriterionSpec& spec,
                     std::span<const Target> targets) {
    require_pass();
    const auto output = graph().device_output();
    if (!output) return criterion.run(output_, std::ssize(boxes_), targets, {});
    if (spec.head.size() != head_.size()) {
      fail(kWho, "the criterion's head has " + std::to_string(spec.head.size()) +
                     " values, the graph's output " + std::to_string(head_.size()));
    }
    if (criterion_id_ != spec.id) {
      criterion_ = device_criterion(spec.head, spec.options, spec.max_batch, output->stream);
      criterion_id_ = spec.id;
    }
    criterion_->run(output->values.data(), std::ssize(boxes_), targets, nullptr);
    return criterion_->loss();
  }

 private:
  [[nodiscard]] Graph::Impl& graph() const { return *graph_->impl_; }

  void check_size(std::size_t floats) const {
    const std::int64_t expected = graph().batch() * head_.size();
    if (std::cmp_equal(floats, expected)) return;
    fail(kWho, "the graph's output has " + std::to_string(floats) + " values, expected " +
                   std::to_string(expected) + " of this head");
  }
  void require_pass() const {
    if (boxes_.empty()) fail(kWho, "call forward() first");
  }

  void on_host(std::span<const float> output) {
    const auto sample = static_cast<std::size_t>(head_.size());
    rows_.resize(static_cast<std::size_t>(head_.candidates() * head_.row_floats()));
    for (std::size_t i = 0; i < boxes_.size(); ++i) {
      decode(head_, output.subspan(i * sample, sample), 1, rows_);
      boxes_[i] = suppress(rows_, head_.classes, !head_.anchor_free(), options_);
    }
  }

  Graph* graph_;
  DetectionHead head_;
  NmsOptions options_;
  std::span<const float> output_;              // on the CPU
  std::vector<std::vector<Detection>> boxes_;  // of the last pass, empty before one
  std::vector<float> rows_;

  bool asked_ = false;
  std::unique_ptr<DeviceSuppressor> suppressor_;
  std::unique_ptr<DeviceCriterion> criterion_;  // of the DetectionCriterion used last
  std::uint64_t criterion_id_ = 0;
};

BoxFinder::BoxFinder(Graph& graph, const DetectionHead& head, const NmsOptions& options)
    : impl_(std::make_unique<Impl>(graph, head, options)) {}
BoxFinder::BoxFinder(BoxFinder&&) noexcept = default;
BoxFinder& BoxFinder::operator=(BoxFinder&&) noexcept = default;
BoxFinder::~BoxFinder() = default;

void BoxFinder::forward(std::span<const float> images) {
  impl_->forward(images);
}

std::span<const std::vector<Detection>> BoxFinder::boxes() {
  return impl_->boxes();
}

DetectionLoss BoxFinder::loss(DetectionCriterion& criterion, std::span<const Target> targets) {
  return impl_->loss(criterion, criterion.spec(), targets);
}

}  // namespace ps::nn
