// From collected images to the report.
#include <algorithm>
#include <numeric>

#include "vision/matching.h"
#include "vision/score_curve.h"

namespace ps::vision {
namespace {

constexpr std::size_t kPoints = ScoreCurves::kPoints;
constexpr std::size_t kSmooth = kPoints / 10 + 1;  // odd, so that the box has a middle

double point(std::size_t i) {
  return static_cast<double>(i) / static_cast<double>(kPoints - 1);
}

// The place of the largest value of `curve` after a box of kSmooth points went over it; beyond its
// ends it goes on as it is there.
std::size_t highest(std::span<const double> curve) {
  constexpr auto kHalf = static_cast<std::ptrdiff_t>(kSmooth / 2);
  const auto last = static_cast<std::ptrdiff_t>(curve.size()) - 1;
  double best = -1;
  std::size_t found = 0;
  for (std::ptrdiff_t i = 0; i <= last; ++i) {
    double sum = 0;
    for (std::ptrdiff_t j = i - kHalf; j <= i + kHalf; ++j) {
      sum += curve[static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(j, 0, last))];
    }
    if (sum <= best) continue;
    best = sum;
    found = static_cast<std::size_t>(i);
  }
  return found;
}

}  // namespace

// Has the rights of DetectionScores.
class Reporter {
 public:
  Reporter(const DetectionScores& scores, ApKind kind) : scores_(scores), kind_(kind) {}
  DetectionReport report() const;

 private:
  // [classes] indices of scored_, best first.
  std::vector<std::vector<std::size_t>> by_class() const;
  std::vector<std::uint8_t> hits(std::span<const std::size_t> order, std::size_t step) const;
  void add_class(std::size_t category,
                 std::span<const std::size_t> order,
                 DetectionReport& report) const;
  void add_curves(const ScoreCurve& curve,
                  std::span<const std::size_t> order,
                  ScoreCurves& curves) const;

  const DetectionScores& scores_;
  ApKind kind_;
};

std::vector<std::vector<std::size_t>> Reporter::by_class() const {
  std::vector<std::vector<std::size_t>> classes(scores_.truth_.size());
  for (std::size_t i = 0; i < scores_.scored_.size(); ++i) {
    const DetectionScores::Scored& scored = scores_.scored_[i];
    if (kind_ == ApKind::kCoco && (scored.hits & kAmongBest) == 0) continue;
    classes[static_cast<std::size_t>(scored.category)].push_back(i);
  }
  for (std::vector<std::size_t>& order : classes) {
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      const DetectionScores::Scored& one = scores_.scored_[a];
      const DetectionScores::Scored& other = scores_.scored_[b];
      if (one.score != other.score) return one.score > other.score;
      if (one.image != other.image) return one.image < other.image;
      return a < b;
    });
  }
  return classes;
}

std::vector<std::uint8_t> Reporter::hits(std::span<const std::size_t> order,
                                         std::size_t step) const {
  const std::size_t bit = step + (kind_ == ApKind::kYoloV5 ? kYoloShift : 0U);
  std::vector<std::uint8_t> result;
  result.reserve(order.size());
  for (const std::size_t i : order) {
    result.push_back(static_cast<std::uint8_t>((scores_.scored_[i].hits >> bit) & 1U));
  }
  return result;
}

void Reporter::add_curves(const ScoreCurve& curve,
                          std::span<const std::size_t> order,
                          ScoreCurves& curves) const {
  std::vector<double> falling;  // minus the scores, which rise
  falling.reserve(order.size());
  for (const std::size_t i : order) falling.push_back(-double{scores_.scored_[i].score});
  for (std::size_t i = 0; i < kPoints; ++i) {
    double precision = 0;
    double recall = 0;
    if (!order.empty()) {
      precision = interpolate(-point(i), falling, curve.precision(), 1.0);
      recall = interpolate(-point(i), falling, curve.recall(), 0.0);
    }
    const double sum = precision + recall;
    curves.precision.push_back(precision);
    curves.recall.push_back(recall);
    curves.f1.push_back(sum > 0 ? 2 * precision * recall / sum : 0.0);
    curves.precision_at_recall.push_back(order.empty() ? 0.0 : curve.best_precision(point(i)));
  }
}

void Reporter::add_class(std::size_t category,
                         std::span<const std::size_t> order,
                         DetectionReport& report) const {
  ClassScore& score = report.classes[category];
  for (std::size_t step = 0; step < kIous; ++step) {
    const ScoreCurve curve(hits(order, step), score.truth, kind_);
    const double area = curve.average_precision();
    score.ap50_95 += area / static_cast<double>(kIous);
    if (step != 0) continue;
    score.ap50 = area;
    report.curves.categories.push_back(static_cast<std::int32_t>(category));
    add_curves(curve, order, report.curves);
  }
}

DetectionReport Reporter::report() const {
  DetectionReport report;
  report.images = scores_.images();
  report.truth = std::accumulate(scores_.truth_.begin(), scores_.truth_.end(), std::int64_t{0});
  report.confusion = scores_.confusion_;
  report.classes.resize(scores_.truth_.size());
  const std::vector<std::vector<std::size_t>> classes = by_class();
  for (std::size_t i = 0; i < classes.size(); ++i) {
    report.classes[i].images = scores_.truth_images_[i];
    report.classes[i].truth = scores_.truth_[i];
    if (scores_.truth_[i] > 0) add_class(i, classes[i], report);
  }
  const std::size_t rows = report.curves.categories.size();
  if (rows == 0) return report;

  std::vector<double> mean(kPoints);
  for (std::size_t i = 0; i < report.curves.f1.size(); ++i) {
    mean[i % kPoints] += report.curves.f1[i] / static_cast<double>(rows);
  }
  const std::size_t best = highest(mean);
  report.confidence = point(best);
  const double share = 1.0 / static_cast<double>(rows);
  for (std::size_t row = 0; row < rows; ++row) {
    ClassScore& score = report.classes[static_cast<std::size_t>(report.curves.categories[row])];
    score.precision = report.curves.precision[row * kPoints + best];
    score.recall = report.curves.recall[row * kPoints + best];
    score.f1 = report.curves.f1[row * kPoints + best];
    report.precision += score.precision * share;
    report.recall += score.recall * share;
    report.f1 += score.f1 * share;
    report.map50 += score.ap50 * share;
    report.map50_95 += score.ap50_95 * share;
  }
  return report;
}

DetectionReport DetectionScores::report(ApKind kind) const {
  return Reporter(*this, kind).report();
}

}  // namespace ps::vision
