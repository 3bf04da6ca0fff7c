#include "nn/suppress.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "kernels/nms.h"
#include "nn/check.h"

namespace ps::nn {
namespace {

constexpr const char* kWho = "suppress";

// A row and one of its classes.
struct Candidate {
  std::int64_t row;
  std::int32_t category;
  float score;
};

// What is above the confidence, in the order of rows, then classes.
class Candidates {
 public:
  Candidates(std::span<const float> rows,
             std::int64_t classes,
             bool has_objectness,
             const NmsOptions& options)
      : rows_(rows.data()),
        classes_(classes),
        has_objectness_(has_objectness),
        row_floats_(classes + (has_objectness ? 5 : 4)),
        confidence_(options.confidence),
        multi_label_(options.multi_label),
        wanted_(static_cast<std::size_t>(classes), options.classes.empty()) {
    for (const std::int32_t category : options.classes) {
      wanted_[static_cast<std::size_t>(category)] = true;
    }
    const auto count = static_cast<std::int64_t>(rows.size()) / row_floats_;
    for (std::int64_t row = 0; row < count; ++row) look_at(row);
  }

  // By score, the `most` best; equals in their order.
  [[nodiscard]] std::vector<Candidate> best(std::int64_t most) const {
    // One number each, so that sorting is quick: the score's bits upside down, then the place.
    std::vector<std::uint64_t> keys(found_.size());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const std::uint64_t worse = ~std::bit_cast<std::uint32_t>(found_[i].score);
      keys[i] = (worse << 32U) | i;
    }
    if (static_cast<std::size_t>(most) < keys.size()) {
      std::nth_element(keys.begin(), keys.begin() + most, keys.end());
      keys.resize(static_cast<std::size_t>(most));
    }
    std::sort(keys.begin(), keys.end());
    std::vector<Candidate> sorted;
    sorted.reserve(keys.size());
    for (const std::uint64_t key : keys) sorted.push_back(found_[key & 0xFFFFFFFFU]);
    return sorted;
  }

  [[nodiscard]] Detection detection(const Candidate& from) const {
    const float* row = rows_ + from.row * row_floats_;
    return {.x1 = row[0] - row[2] / 2.0F,
            .y1 = row[1] - row[3] / 2.0F,
            .x2 = row[0] + row[2] / 2.0F,
            .y2 = row[1] + row[3] / 2.0F,
            .score = from.score,
            .category = from.category};
  }

 private:
  void look_at(std::int64_t index) {
    const float* row = rows_ + index * row_floats_;
    const float objectness = has_objectness_ ? row[4] : 1.0F;
    if (!(objectness > confidence_)) return;
    const float* probabilities = row + (has_objectness_ ? 5 : 4);
    std::int32_t best = -1;
    float best_score = confidence_;
    for (std::int32_t i = 0; i < classes_; ++i) {
      const float score = objectness * probabilities[i];
      if (!(score > (multi_label_ ? confidence_ : best_score))) continue;
      if (multi_label_) add(index, i, score);
      best = i;
      best_score = score;
    }
    if (!multi_label_ && best >= 0) add(index, best, best_score);
  }

  void add(std::int64_t index, std::int32_t category, float score) {
    if (!wanted_[static_cast<std::size_t>(category)]) return;
    const float* row = rows_ + index * row_floats_;
    if (std::isfinite(row[0]) && std::isfinite(row[1]) && std::isfinite(row[2]) &&
        std::isfinite(row[3]) && std::isfinite(score)) {
      found_.push_back({index, category, score});
    }
  }

  const float* rows_;
  std::int64_t classes_;
  bool has_objectness_;
  std::int64_t row_floats_;
  float confidence_;
  bool multi_label_;
  std::vector<bool> wanted_;
  std::vector<Candidate> found_;
};

}  // namespace

void check_nms_options(const NmsOptions& options, std::int64_t classes) {
  // Scores are compared as the bits of numbers that are not negative.
  require(options.confidence >= 0.0F && options.confidence <= 1.0F, kWho,
          "confidence is " + std::to_string(options.confidence) + ", expected 0 to 1");
  require(options.iou >= 0.0F && options.iou <= 1.0F, kWho,
          "iou is " + std::to_string(options.iou) + ", expected 0 to 1");
  require(options.max_detections >= 0 && options.max_candidates >= 0, kWho,
          "max_detections and max_candidates are " + std::to_string(options.max_detections) +
              " and " + std::to_string(options.max_candidates) + ", expected at least 0");
  for (const std::int32_t category : options.classes) {
    require(
        category >= 0 && category < classes, kWho,
        "classes names " + std::to_string(category) + ", but there are " + std::to_string(classes));
  }
}

std::vector<Detection> suppress(std::span<const float> rows,
                                std::int64_t classes,
                                bool has_objectness,
                                const NmsOptions& options) {
  require(classes >= 1, kWho,
          "there are " + std::to_string(classes) + " classes, expected at least 1");
  check_nms_options(options, classes);
  const auto row_floats = static_cast<std::size_t>(classes + (has_objectness ? 5 : 4));
  require(rows.size() % row_floats == 0, kWho,
          "rows has " + std::to_string(rows.size()) + " floats, expected a multiple of " +
              std::to_string(row_floats));
  const Candidates candidates(rows, classes, has_objectness, options);
  const std::vector<Candidate> sorted = candidates.best(options.max_candidates);
  const std::size_t count = sorted.size();
  std::vector<float> corners(4 * count);
  std::vector<std::int32_t> categories(count);
  for (std::size_t i = 0; i < count; ++i) {
    const Detection box = candidates.detection(sorted[i]);
    corners[i] = box.x1;
    corners[count + i] = box.y1;
    corners[2 * count + i] = box.x2;
    corners[3 * count + i] = box.y2;
    categories[i] = box.category;
  }
  const std::size_t most = std::min(count, static_cast<std::size_t>(options.max_detections));
  std::vector<std::int32_t> kept(most);
  std::vector<float> workspace(static_cast<std::size_t>(kernels::kNmsFloats) * most);
  const kernels::CornerBoxes boxes{.count = static_cast<std::int64_t>(count),
                                   .x1 = corners.data(),
                                   .y1 = corners.data() + count,
                                   .x2 = corners.data() + 2 * count,
                                   .y2 = corners.data() + 3 * count,
                                   .categories = options.agnostic ? nullptr : categories.data()};
  kept.resize(static_cast<std::size_t>(
      kernels::nms(kernels::best_isa())
          .keep(boxes, options.iou, options.max_detections, kept.data(), workspace.data())));
  std::vector<Detection> detections;
  detections.reserve(kept.size());
  for (const std::int32_t i : kept) {
    detections.push_back(candidates.detection(sorted[static_cast<std::size_t>(i)]));
  }
  return detections;
}

}  // namespace ps::nn
