#include <algorithm>
#include <atomic>
#include <cmath>
#include <string>

#include <ps/nn/detection.h>

#include "nn/check.h"
#include "nn/criterion.h"

namespace ps::nn {
namespace {

constexpr const char* kCriterion = "detection loss";

void check_level(const DetectionHead& head, std::size_t index, const char* who) {
  const HeadLevel& level = head.levels[index];
  const std::string name = "level " + std::to_string(index);
  require(level.stride >= 1 && level.height >= 1 && level.width >= 1, who,
          name + " has a stride of " + std::to_string(level.stride) + " and " +
              std::to_string(level.height) + " x " + std::to_string(level.width) +
              " cells; all must be at least 1");
  // Cells are counted in 32 bits.
  require(level.height <= 32768 && level.width <= 32768, who,
          name + " has more than 32768 cells a side");
  require(level.anchors.empty() == head.anchor_free(), who,
          name + " and level 0 differ in having anchors; give anchors to all levels or to none");
  for (const Anchor& anchor : level.anchors) {
    require(std::isfinite(anchor.width) && std::isfinite(anchor.height) && anchor.width > 0.0F &&
                anchor.height > 0.0F,
            who,
            name + " has an anchor of " + std::to_string(anchor.width) + " x " +
                std::to_string(anchor.height) + " pixels; anchors must have an area");
  }
}

void require_at_least(float value, float least, const char* what) {
  require(std::isfinite(value) && value >= least, kCriterion,
          std::string(what) + " is " + std::to_string(value) + ", expected at least " +
              std::to_string(least));
}

void check_anchor_options(const DetectionHead& head, const DetectionLossOptions& options) {
  require_at_least(options.anchor_threshold, 1.0F, "anchor_threshold");
  const std::size_t levels = head.levels.size();
  require(options.balance.empty() ? levels <= 5 : options.balance.size() == levels, kCriterion,
          "balance has " + std::to_string(options.balance.size()) + " values for " +
              std::to_string(levels) + " levels; give one for each (none are needed up to 5)");
  for (const float weight : options.balance) require_at_least(weight, 0.0F, "balance");
}

void check_anchor_free_options(const DetectionLossOptions& options) {
  require(options.label_smoothing == 0.0F && options.focal_gamma == 0.0F &&
              options.category_weight == 1.0F && options.objectness_weight == 1.0F &&
              options.balance.empty(),
          kCriterion,
          "label_smoothing, focal_gamma, category_weight, objectness_weight and balance belong to "
          "heads with anchors; leave them at their defaults for an anchor-free one");
}

void check_loss_options(const DetectionHead& head, const DetectionLossOptions& options) {
  require_at_least(options.box, 0.0F, "the gain of box");
  require_at_least(options.objectness, 0.0F, "the gain of objectness");
  require_at_least(options.category, 0.0F, "the gain of category");
  require_at_least(options.dfl, 0.0F, "the gain of dfl");
  require_at_least(options.label_smoothing, 0.0F, "label_smoothing");
  require(options.label_smoothing <= 1.0F, kCriterion,
          "label_smoothing is " + std::to_string(options.label_smoothing) + ", expected at most 1");
  require_at_least(options.focal_gamma, 0.0F, "focal_gamma");
  require_at_least(options.category_weight, 0.0F, "category_weight");
  require_at_least(options.objectness_weight, 0.0F, "objectness_weight");
  head.anchor_free() ? check_anchor_free_options(options) : check_anchor_options(head, options);
}

// Centers computed in float may lie a rounding outside.
bool is_center(float x) {
  return x >= -1e-4F && x <= 1.0F + 1e-4F;
}

bool is_size(float x) {
  return x >= 0.0F && std::isfinite(x);
}

bool is_box(const Target& target) {
  return is_center(target.x) && is_center(target.y) && is_size(target.width) &&
         is_size(target.height);
}

[[noreturn]] void fail_target(const Target& target, std::size_t index, const std::string& wanted) {
  fail(kCriterion, "target " + std::to_string(index) + " is (image " +
                       std::to_string(target.image) + ", category " +
                       std::to_string(target.category) + ", box " + std::to_string(target.x) + " " +
                       std::to_string(target.y) + " " + std::to_string(target.width) + " " +
                       std::to_string(target.height) + "), expected " + wanted);
}

}  // namespace

void to_boxes(std::span<const Target> targets,
              std::int64_t batch,
              std::int64_t classes,
              kernels::TrueBox* boxes) {
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const Target& t = targets[i];
    if (t.image < 0 || t.image >= batch) fail_target(t, i, "an image of the batch");
    if (t.category < 0 || t.category >= classes) fail_target(t, i, "a class of the head");
    if (!is_box(t)) fail_target(t, i, "a center in [0, 1] and a size of at least 0");
    boxes[i] = {t.image, t.category, t.x, t.y, t.width, t.height};
  }
}

void check_batch(std::int64_t batch, std::int64_t max_batch) {
  if (batch >= 1 && batch <= max_batch) return;
  fail(kCriterion, "the batch is " + std::to_string(batch) +
                       ", expected 1 to max_batch = " + std::to_string(max_batch));
}

void check_criterion(const DetectionHead& head,
                     const DetectionLossOptions& options,
                     std::int64_t max_batch) {
  check_head(head, kCriterion);
  check_loss_options(head, options);
  require(max_batch >= 1, kCriterion,
          "max_batch is " + std::to_string(max_batch) + ", expected at least 1");
}

void check_head(const DetectionHead& head, const char* who) {
  require(head.classes >= 1, who,
          "the head has " + std::to_string(head.classes) + " classes, expected at least 1");
  require(!head.levels.empty(), who, "the head has no levels, expected at least one");
  for (std::size_t i = 0; i < head.levels.size(); ++i) check_level(head, i, who);
}

kernels::GridLevel grid_level(const DetectionHead& head, std::size_t level, std::int64_t batch) {
  const HeadLevel& from = head.levels[level];
  return {.batch = batch,
          .sample_floats = head.size(),
          .height = from.height,
          .width = from.width,
          .classes = head.classes,
          .anchors = static_cast<std::int64_t>(from.anchors.size())};
}

std::vector<float> anchors_in_cells(const HeadLevel& level) {
  std::vector<float> sizes;
  for (const Anchor& anchor : level.anchors) {
    sizes.push_back(anchor.width / static_cast<float>(level.stride));
    sizes.push_back(anchor.height / static_cast<float>(level.stride));
  }
  return sizes;
}

DetectionLossOptions default_loss_options(const DetectionHead& head) {
  DetectionLossOptions options;
  if (head.anchor_free()) options.box = 7.5F;
  return options;
}

DetectionLossOptions scaled_gains(DetectionLossOptions options,
                                  std::int64_t levels,
                                  std::int64_t classes,
                                  std::int64_t image_size) {
  require(levels >= 1 && classes >= 1 && image_size >= 1, "scaled_gains",
          "levels, classes and image_size are " + std::to_string(levels) + ", " +
              std::to_string(classes) + " and " + std::to_string(image_size) +
              "; all must be at least 1");
  const double by_levels = 3.0 / static_cast<double>(levels);
  const double side = static_cast<double>(image_size) / 640.0;
  options.box = static_cast<float>(double{options.box} * by_levels);
  options.category = static_cast<float>(double{options.category} *
                                        (static_cast<double>(classes) / 80.0) * by_levels);
  options.objectness = static_cast<float>(double{options.objectness} * side * side * by_levels);
  return options;
}

class DetectionCriterion::Impl {
 public:
  Impl(const DetectionHead& head, const DetectionLossOptions& options, std::int64_t max_batch)
      : spec_{.head = head, .options = options, .max_batch = max_batch, .id = next_id()},
        size_(head.size()) {
    check_criterion(head, options, max_batch);
    criterion_ = head.anchor_free() ? aligned_criterion(head, options, max_batch)
                                    : anchor_criterion(head, options, max_batch);
  }

  DetectionLoss run(std::span<const float> output,
                    std::int64_t batch,
                    std::span<const Target> targets,
                    std::span<float> gradient) {
    check_batch(batch, spec_.max_batch);
    const auto floats = static_cast<std::size_t>(batch * size_);
    if (output.size() != floats || (!gradient.empty() && gradient.size() != floats)) {
      fail(kCriterion, "output has " + std::to_string(output.size()) + " floats and gradient " +
                           std::to_string(gradient.size()) + ", expected " +
                           std::to_string(floats) + " = batch * head.size() (or no gradient)");
    }
    if (boxes_.size() < targets.size()) boxes_.resize(targets.size());
    to_boxes(targets, batch, spec_.head.classes, boxes_.data());
    return criterion_->run(output, batch, std::span(boxes_).first(targets.size()), gradient);
  }
  [[nodiscard]] const CriterionSpec& spec() const noexcept { return spec_; }

 private:
  static std::uint64_t next_id() {
    static std::atomic<std::uint64_t> last{0};
    return ++last;
  }

  const CriterionSpec spec_;
  std::int64_t size_;
  std::unique_ptr<Criterion> criterion_;
  std::vector<kernels::TrueBox> boxes_;
};

DetectionCriterion::DetectionCriterion(const DetectionHead& head,
                                       const DetectionLossOptions& options,
                                       std::int64_t max_batch)
    : impl_(std::make_unique<Impl>(head, options, max_batch)) {}
DetectionCriterion::DetectionCriterion(DetectionCriterion&&) noexcept = default;
DetectionCriterion& DetectionCriterion::operator=(DetectionCriterion&&) noexcept = default;
DetectionCriterion::~DetectionCriterion() = default;

DetectionLoss DetectionCriterion::run(std::span<const float> output,
                                      std::int64_t batch,
                                      std::span<const Target> targets,
                                      std::span<float> gradient) {
  return impl_->run(output, batch, targets, gradient);
}

const CriterionSpec& DetectionCriterion::spec() const noexcept {
  return impl_->spec();
}

}  // namespace ps::nn
