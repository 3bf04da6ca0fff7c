// Which detections of one image are right: pairs them with its true boxes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ps/vision/metrics.h>

namespace ps::vision {

inline constexpr std::size_t kIous = 10;
// The least IoU of step i: 0.5, 0.55, ... 0.95.
constexpr double iou_threshold(std::size_t i) {
  return 0.5 + 0.05 * static_cast<double>(i);
}

inline constexpr unsigned kYoloShift = 10;             // bits 0-9 are COCO's hits, 10-19 YOLOv5's
inline constexpr std::uint32_t kAmongBest = 1U << 20;  // of the 100 of its class that COCO counts
inline constexpr unsigned kHitBits = 21;

// Intersection over union; 0 for boxes without area or with sides that are no numbers.
double iou(const nn::Detection& detection, const TruthBox& truth);

// The hits of each detection, as DetectionScores keeps them. REQUIRES: detections best first.
std::vector<std::uint32_t> match(std::span<const nn::Detection> detections,
                                 std::span<const TruthBox> truth);

// Adds the image to a confusion matrix of [classes + 1, classes + 1].
void confuse(std::span<const nn::Detection> detections,
             std::span<const TruthBox> truth,
             std::int64_t classes,
             std::span<std::int64_t> matrix);

}  // namespace ps::vision
