// Detection scores worked out the plain way, straight from their definitions and in quadratic time,
// to hold the real ones against; and random pictures to do so on.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ps/vision/metrics.h>

namespace ps::vision::reference {

struct Picture {
  std::int64_t number = 0;
  std::vector<nn::Detection> detections;
  std::vector<TruthBox> truth;
};

// Boxes that crowd each other, and scores of which many are equal.
std::vector<Picture> random_pictures(std::uint64_t seed, std::size_t count, std::int64_t classes);

// The area below the curve: the mean over `points` recalls, under the steps, as YOLOv5 takes it.
double area_at(std::span<const std::uint8_t> hits, std::int64_t truth, int points);
double area_all(std::span<const std::uint8_t> hits, std::int64_t truth);
double area_yolo(std::span<const std::uint8_t> hits, std::int64_t truth);

// The curves are left out.
DetectionReport report(const std::vector<Picture>& pictures, std::int64_t classes, ApKind kind);

}  // namespace ps::vision::reference
