// The curve of precision over recall of one class at one IoU, and what is read off it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ps/vision/metrics.h>

namespace ps::vision {

// The value at `x` of straight lines through points of rising `xs`; `below` before the first, the
// last value after the last. Where several points share an x, the last counts.
double interpolate(double x, std::span<const double> xs, std::span<const double> ys, double below);

class ScoreCurve {
 public:
  // hits: 1 for a right detection, best score first. truth > 0.
  ScoreCurve(std::span<const std::uint8_t> hits, std::int64_t truth, ApKind kind);

  [[nodiscard]] std::span<const double> recall() const { return recall_; }
  [[nodiscard]] std::span<const double> precision() const { return precision_; }
  // The best precision at that recall or more, in the kind's way between and behind the points.
  [[nodiscard]] double best_precision(double recall) const;
  [[nodiscard]] double average_precision() const;

 private:
  ApKind kind_;
  std::vector<double> recall_;           // [detections]
  std::vector<double> precision_;        // [detections]
  std::vector<double> envelope_recall_;  // YOLOv5's has a point more at either end
  std::vector<double> envelope_;
};

}  // namespace ps::vision
