#include "vision/matching.h"

#include <algorithm>
#include <tuple>

namespace ps::vision {
namespace {

constexpr std::size_t kMostOfClass = 100;
constexpr float kConfusionScore = 0.25F;
constexpr double kConfusionIou = 0.45;
constexpr std::size_t kNone = static_cast<std::size_t>(-1);

// One class of one image: its detections and true boxes as indices, and their IoUs.
struct Group {
  std::vector<std::size_t> detections;
  std::vector<std::size_t> truth;
  std::vector<double> ious;  // [detections, truth]

  [[nodiscard]] double at(std::size_t detection, std::size_t box) const {
    return ious[detection * truth.size() + box];
  }
};

Group group_of(std::int32_t category,
               std::span<const nn::Detection> detections,
               std::span<const TruthBox> truth) {
  Group group;
  for (std::size_t i = 0; i < detections.size(); ++i) {
    if (detections[i].category == category) group.detections.push_back(i);
  }
  for (std::size_t i = 0; i < truth.size(); ++i) {
    if (truth[i].category == category) group.truth.push_back(i);
  }
  for (const std::size_t detection : group.detections) {
    for (const std::size_t box : group.truth) {
      group.ious.push_back(iou(detections[detection], truth[box]));
    }
  }
  return group;
}

// Of several true boxes that fit equally well COCO takes the last.
void match_coco(const Group& group, std::span<std::uint32_t> hits) {
  const std::size_t count = std::min(group.detections.size(), kMostOfClass);
  std::vector<char> taken(group.truth.size());
  for (std::size_t step = 0; step < kIous; ++step) {
    std::fill(taken.begin(), taken.end(), char{0});
    for (std::size_t i = 0; i < count; ++i) {
      double best = iou_threshold(step);
      std::size_t found = kNone;
      for (std::size_t box = 0; box < group.truth.size(); ++box) {
        if (taken[box] != 0 || !(group.at(i, box) >= best)) continue;
        best = group.at(i, box);
        found = box;
      }
      if (found == kNone) continue;
      taken[found] = 1;
      hits[group.detections[i]] |= 1U << step;
    }
  }
  for (std::size_t i = 0; i < count; ++i) hits[group.detections[i]] |= kAmongBest;
}

void match_yolo(const Group& group, std::span<std::uint32_t> hits) {
  std::vector<std::uint32_t> taken(group.truth.size());  // bit i: at step i
  for (std::size_t i = 0; i < group.detections.size(); ++i) {
    std::size_t best = 0;
    for (std::size_t box = 1; box < group.truth.size(); ++box) {
      if (group.at(i, box) > group.at(i, best)) best = box;
    }
    for (std::size_t step = 0; step < kIous; ++step) {
      const std::uint32_t bit = 1U << step;
      if (group.at(i, best) < iou_threshold(step) || (taken[best] & bit) != 0) continue;
      taken[best] |= bit;
      hits[group.detections[i]] |= bit << kYoloShift;
    }
  }
}

}  // namespace

double iou(const nn::Detection& detection, const TruthBox& truth) {
  const double width = double{std::min(detection.x2, truth.x2)} - std::max(detection.x1, truth.x1);
  const double height = double{std::min(detection.y2, truth.y2)} - std::max(detection.y1, truth.y1);
  if (!(width > 0 && height > 0)) return 0;
  const double common = width * height;
  const double area = (double{detection.x2} - detection.x1) * (double{detection.y2} - detection.y1);
  const double true_area = (double{truth.x2} - truth.x1) * (double{truth.y2} - truth.y1);
  const double ratio = common / (area + true_area - common);
  return ratio > 0 ? ratio : 0;
}

std::vector<std::uint32_t> match(std::span<const nn::Detection> detections,
                                 std::span<const TruthBox> truth) {
  std::vector<std::uint32_t> hits(detections.size());
  std::vector<std::int32_t> categories;
  categories.reserve(detections.size());
  for (const nn::Detection& detection : detections) categories.push_back(detection.category);
  std::sort(categories.begin(), categories.end());
  categories.erase(std::unique(categories.begin(), categories.end()), categories.end());
  for (const std::int32_t category : categories) {
    const Group group = group_of(category, detections, truth);
    match_coco(group, hits);
    if (!group.truth.empty()) match_yolo(group, hits);
  }
  return hits;
}

void confuse(std::span<const nn::Detection> detections,
             std::span<const TruthBox> truth,
             std::int64_t classes,
             std::span<std::int64_t> matrix) {
  struct Pair {
    double iou = 0;
    std::size_t detection = 0;
    std::size_t box = 0;
  };
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i < detections.size(); ++i) {
    if (!(detections[i].score > kConfusionScore)) continue;
    for (std::size_t box = 0; box < truth.size(); ++box) {
      const double value = iou(detections[i], truth[box]);
      if (value > kConfusionIou) pairs.push_back({value, i, box});
    }
  }
  std::sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) {
    return std::tuple(-a.iou, a.detection, a.box) < std::tuple(-b.iou, b.detection, b.box);
  });
  std::vector<char> right(detections.size());
  std::vector<char> found(truth.size());
  const auto count = [&](std::int64_t said, std::int64_t is) {
    ++matrix[static_cast<std::size_t>(said * (classes + 1) + is)];
  };
  for (const Pair& pair : pairs) {
    if (right[pair.detection] != 0 || found[pair.box] != 0) continue;
    right[pair.detection] = 1;
    found[pair.box] = 1;
    count(detections[pair.detection].category, truth[pair.box].category);
  }
  for (std::size_t i = 0; i < detections.size(); ++i) {
    if (detections[i].score > kConfusionScore && right[i] == 0) {
      count(detections[i].category, classes);
    }
  }
  for (std::size_t box = 0; box < truth.size(); ++box) {
    if (found[box] == 0) count(classes, truth[box].category);
  }
}

}  // namespace ps::vision
