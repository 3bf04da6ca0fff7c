// How well detections agree with true boxes: average precision as COCO takes it (and as YOLOv5
// does), precision and recall with their curves, and the confusion matrix. Workers score the images
// that they have, and one of them merges.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_set>
#include <vector>

#include <ps/nn/detection.h>

namespace ps::vision {

// A true box: corners in the unit of the detections, pixels of the image as a rule.
struct TruthBox {
  float x1 = 0;
  float y1 = 0;
  float x2 = 0;
  float y2 = 0;
  std::int32_t category = 0;
};

// How detections are matched with true boxes, class by class and for each of the ten least IoUs
// 0.50, 0.55, ... 0.95, and how the area below the curve of precision over recall is taken.
enum class ApKind {
  // pycocotools: a detection takes the best true box that no better-scored one has taken; the 100
  // best-scored of an image and class count; the mean over 101 recalls of the best precision at
  // that recall or more.
  kCoco,
  // What YOLOv5 prints: a detection whose best true box is taken is wrong; the area below straight
  // lines between the points. It flatters short curves (one of two found: 0.750, COCO says 0.505)
  // and ends at 0.995. For comparison with its results only.
  kYoloV5,
};

// The area below the curve of one class. hits: 1 for a right detection, 0 for a wrong one, best
// score first; truth: how many true boxes there are. 0 where there are none.
[[nodiscard]] double average_precision(std::span<const std::uint8_t> hits,
                                       std::int64_t truth,
                                       ApKind kind);

// Precision and recall as the least confidence rises, at an IoU of 0.5 or more. Rows are the
// classes that have true boxes, each [kPoints]; between two detections' scores lies a straight
// line.
struct ScoreCurves {
  static constexpr std::size_t kPoints = 1000;  // point i stands at i / (kPoints - 1)
  std::vector<std::int32_t> categories;         // of the rows
  std::vector<double> precision;                // [categories, kPoints] over the confidence
  std::vector<double> recall;                   // likewise
  std::vector<double> f1;                       // likewise
  std::vector<double> precision_at_recall;      // [categories, kPoints] over the recall
};

struct ClassScore {
  std::int64_t images = 0;  // that have a true box of the class
  std::int64_t truth = 0;   // true boxes; where it is 0, so is all that follows
  double precision = 0;     // at the report's confidence
  double recall = 0;
  double f1 = 0;
  double ap50 = 0;
  double ap50_95 = 0;
};

struct DetectionReport {
  std::int64_t images = 0;
  std::int64_t truth = 0;
  // Means over the classes that have true boxes.
  double map50 = 0;
  double map50_95 = 0;
  double precision = 0;  // at `confidence`
  double recall = 0;
  double f1 = 0;
  // Where the mean F1 curve, smoothed by a box of a tenth of its length, is highest.
  double confidence = 0;
  std::vector<ClassScore> classes;  // all
  ScoreCurves curves;
  // [classes + 1, classes + 1], row: what was said, column: what it is; the last is background.
  // Detections with a score above 0.25; pairs by falling IoU, above 0.45, whatever their classes.
  std::vector<std::int64_t> confusion;

  // What the best weights are chosen by: 0.1 map50 + 0.9 map50_95.
  [[nodiscard]] double fitness() const { return 0.1 * map50 + 0.9 * map50_95; }
};

// Collects images, of one thread. What report() says depends on the images, not on the order in
// which they came or on who scored them: detections of the same score stand in order of the image's
// number, then as they were given.
class DetectionScores {
 public:
  // Throws Error(kInvalidArgument) unless classes is from 1 to 4096.
  explicit DetectionScores(std::int64_t classes);

  // One image, known to all workers by the same number (0 or more), each counted once. Detections
  // in any order; one whose score is not finite is left out. Throws Error(kInvalidArgument) for a
  // category that is no class, or an image that has been counted, and has then changed nothing.
  void add(std::int64_t image,
           std::span<const nn::Detection> detections,
           std::span<const TruthBox> truth);

  // All that was collected, to be sent to another worker: two numbers a detection, two an image,
  // some for each class.
  [[nodiscard]] std::vector<double> pack() const;
  // Adds what another's pack() gave. Throws Error(kCorrupt) for anything else, for other classes
  // and for an image that is here as well, and has then changed nothing.
  void merge(std::span<const double> packed);

  [[nodiscard]] std::int64_t images() const { return static_cast<std::int64_t>(images_.size()); }
  [[nodiscard]] DetectionReport report(ApKind kind = ApKind::kCoco) const;

 private:
  friend class ScorePacking;
  friend class Reporter;
  struct Scored {
    std::int64_t image = 0;
    float score = 0;
    std::int32_t category = 0;
    std::uint32_t hits = 0;  // bits 0-9: right at the IoUs as COCO matches, 10-19: as YOLOv5 does,
                             // 20: among the image's 100 best of the class
  };
  struct ImageCount {
    std::int64_t image = 0;
    std::int64_t detections = 0;
  };

  std::int64_t classes_;
  std::vector<ImageCount> images_;
  std::unordered_set<std::int64_t> numbers_;  // of images_
  std::vector<Scored> scored_;                // image after image, as images_
  std::vector<std::int64_t> truth_;           // [classes] boxes
  std::vector<std::int64_t> truth_images_;    // [classes] images with one
  std::vector<std::int64_t> confusion_;       // [classes + 1, classes + 1]
};

}  // namespace ps::vision
