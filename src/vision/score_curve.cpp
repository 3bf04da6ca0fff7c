#include "vision/score_curve.h"

#include <algorithm>
#include <cstddef>

namespace ps::vision {
namespace {

constexpr int kRecalls = 101;

}  // namespace

double interpolate(double x, std::span<const double> xs, std::span<const double> ys, double below) {
  const auto after = std::upper_bound(xs.begin(), xs.end(), x);
  if (after == xs.begin()) return below;
  const auto i = static_cast<std::size_t>(after - xs.begin());
  if (i == xs.size()) return ys[i - 1];
  return ys[i - 1] + (ys[i] - ys[i - 1]) * (x - xs[i - 1]) / (xs[i] - xs[i - 1]);
}

ScoreCurve::ScoreCurve(std::span<const std::uint8_t> hits, std::int64_t truth, ApKind kind)
    : kind_(kind) {
  std::int64_t right = 0;
  for (std::size_t i = 0; i < hits.size(); ++i) {
    right += hits[i] != 0 ? 1 : 0;
    recall_.push_back(static_cast<double>(right) / static_cast<double>(truth));
    precision_.push_back(static_cast<double>(right) / static_cast<double>(i + 1));
  }
  envelope_recall_ = recall_;
  envelope_ = precision_;
  if (kind == ApKind::kYoloV5) {
    envelope_recall_.insert(envelope_recall_.begin(), 0.0);
    envelope_recall_.push_back(1.0);
    envelope_.insert(envelope_.begin(), 1.0);
    envelope_.push_back(0.0);
  }
  for (std::size_t i = envelope_.size(); i-- > 1;) {
    envelope_[i - 1] = std::max(envelope_[i - 1], envelope_[i]);
  }
}

double ScoreCurve::best_precision(double recall) const {
  if (kind_ == ApKind::kYoloV5) return interpolate(recall, envelope_recall_, envelope_, 1.0);
  const auto first = std::lower_bound(envelope_recall_.begin(), envelope_recall_.end(), recall);
  return first == envelope_recall_.end()
             ? 0.0
             : envelope_[static_cast<std::size_t>(first - envelope_recall_.begin())];
}

double ScoreCurve::average_precision() const {
  if (recall_.empty()) return 0;  // YOLOv5's end points alone would be worth a half
  double sum = 0;
  for (int i = 0; i < kRecalls; ++i) {
    // 0.01 * i as pycocotools rounds it: 0.35 becomes a little more than 35 of 100.
    const double value = best_precision(0.01 * i);
    const bool end = i == 0 || i == kRecalls - 1;
    sum += kind_ == ApKind::kYoloV5 && end ? value / 2 : value;
  }
  return sum / (kind_ == ApKind::kYoloV5 ? kRecalls - 1 : kRecalls);
}

double average_precision(std::span<const std::uint8_t> hits, std::int64_t truth, ApKind kind) {
  return truth > 0 ? ScoreCurve(hits, truth, kind).average_precision() : 0.0;
}

}  // namespace ps::vision
