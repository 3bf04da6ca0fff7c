// DetectionScores as numbers and back: [kVersion, classes, images, cells], truth [classes],
// truth_images [classes], cells of the confusion matrix that are not 0 as (index, count), then each
// image as (number, detections) and its detections as (score, category << kHitBits | hits).
#include <cmath>
#include <string>

#include <ps/error.h>

#include "vision/matching.h"

namespace ps::vision {
namespace {

constexpr double kVersion = 1;
constexpr double kExact = 9007199254740992.0;  // 2^53: above it a double skips whole numbers

[[noreturn]] void corrupt(const std::string& text) {
  throw Error(ErrorCode::kCorrupt, "detection scores of another worker: " + text +
                                       "; all workers must run the same program and classes");
}

// Reads numbers one by one; what does not fit is an Error.
class Cursor {
 public:
  explicit Cursor(std::span<const double> packed) : packed_(packed) {}

  [[nodiscard]] std::size_t left() const { return packed_.size() - position_; }

  double number() {
    if (left() == 0) corrupt("they end early");
    return packed_[position_++];
  }

  // A whole number from 0 to limit - 1.
  std::int64_t whole(double limit, const char* what) {
    const double value = number();
    if (!(value >= 0 && value < limit && std::floor(value) == value)) {
      corrupt(std::string(what) + " is " + std::to_string(value));
    }
    return static_cast<std::int64_t>(value);
  }

 private:
  std::span<const double> packed_;
  std::size_t position_ = 0;
};

}  // namespace

// Has the rights of DetectionScores.
class ScorePacking {
 public:
  static std::vector<double> pack(const DetectionScores& scores);
  static DetectionScores unpack(std::span<const double> packed, std::int64_t classes);
  static void join(DetectionScores& scores, const DetectionScores& other);

 private:
  static void read_image(Cursor& cursor, DetectionScores& scores);
};

std::vector<double> ScorePacking::pack(const DetectionScores& scores) {
  std::vector<double> packed;
  packed.reserve(4 + 2 * (scores.truth_.size() + scores.images_.size() + scores.scored_.size()));
  const auto put = [&](std::int64_t value) { packed.push_back(static_cast<double>(value)); };
  packed.push_back(kVersion);
  put(scores.classes_);
  put(scores.images());
  put(0);  // the cells, once they are counted
  for (const std::int64_t count : scores.truth_) put(count);
  for (const std::int64_t count : scores.truth_images_) put(count);
  double cells = 0;
  for (std::size_t i = 0; i < scores.confusion_.size(); ++i) {
    if (scores.confusion_[i] == 0) continue;
    put(static_cast<std::int64_t>(i));
    put(scores.confusion_[i]);
    ++cells;
  }
  packed[3] = cells;
  std::size_t next = 0;
  for (const DetectionScores::ImageCount& image : scores.images_) {
    put(image.image);
    put(image.detections);
    for (std::int64_t i = 0; i < image.detections; ++i, ++next) {
      const DetectionScores::Scored& scored = scores.scored_[next];
      packed.push_back(double{scored.score});
      put((std::int64_t{scored.category} << kHitBits) | scored.hits);
    }
  }
  return packed;
}

void ScorePacking::read_image(Cursor& cursor, DetectionScores& scores) {
  DetectionScores::ImageCount image;
  image.image = cursor.whole(kExact, "an image's number");
  image.detections =
      cursor.whole(static_cast<double>(cursor.left() / 2 + 1), "an image's number of detections");
  if (!scores.numbers_.insert(image.image).second) {
    corrupt("image " + std::to_string(image.image) + " comes twice");
  }
  scores.images_.push_back(image);
  const auto limit = static_cast<double>(scores.classes_ << kHitBits);
  for (std::int64_t i = 0; i < image.detections; ++i) {
    DetectionScores::Scored scored;
    scored.image = image.image;
    scored.score = static_cast<float>(cursor.number());
    if (!std::isfinite(scored.score)) corrupt("a score is not finite");
    const std::int64_t code = cursor.whole(limit, "a detection's code");
    scored.category = static_cast<std::int32_t>(code >> kHitBits);
    scored.hits = static_cast<std::uint32_t>(code & ((std::int64_t{1} << kHitBits) - 1));
    scores.scored_.push_back(scored);
  }
}

DetectionScores ScorePacking::unpack(std::span<const double> packed, std::int64_t classes) {
  Cursor cursor(packed);
  const double version = cursor.number();
  if (version != kVersion) {
    corrupt("expected version " + std::to_string(kVersion) + ", got " + std::to_string(version));
  }
  const std::int64_t theirs = cursor.whole(kExact, "the number of classes");
  if (theirs != classes) {
    corrupt("expected " + std::to_string(classes) + " classes, got " + std::to_string(theirs));
  }
  const std::int64_t images = cursor.whole(kExact, "the number of images");
  DetectionScores scores(classes);
  const auto most_cells = static_cast<double>(scores.confusion_.size() + 1);
  const std::int64_t cells = cursor.whole(most_cells, "the number of cells");
  for (std::int64_t& count : scores.truth_) count = cursor.whole(kExact, "a count of boxes");
  for (std::int64_t& count : scores.truth_images_)
    count = cursor.whole(kExact, "a count of images");
  for (std::int64_t i = 0; i < cells; ++i) {
    const std::int64_t cell =
        cursor.whole(static_cast<double>(scores.confusion_.size()), "a cell's index");
    scores.confusion_[static_cast<std::size_t>(cell)] = cursor.whole(kExact, "a cell's count");
  }
  for (std::int64_t i = 0; i < images; ++i) read_image(cursor, scores);
  if (cursor.left() != 0) corrupt(std::to_string(cursor.left()) + " numbers are left over");
  return scores;
}

void ScorePacking::join(DetectionScores& scores, const DetectionScores& other) {
  for (const DetectionScores::ImageCount& image : other.images_) {
    if (scores.numbers_.contains(image.image)) {
      corrupt("image " + std::to_string(image.image) + " was scored here as well");
    }
  }
  scores.numbers_.insert(other.numbers_.begin(), other.numbers_.end());
  scores.images_.insert(scores.images_.end(), other.images_.begin(), other.images_.end());
  scores.scored_.insert(scores.scored_.end(), other.scored_.begin(), other.scored_.end());
  const auto add = [](std::vector<std::int64_t>& to, const std::vector<std::int64_t>& from) {
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
  };
  add(scores.truth_, other.truth_);
  add(scores.truth_images_, other.truth_images_);
  add(scores.confusion_, other.confusion_);
}

std::vector<double> DetectionScores::pack() const {
  return ScorePacking::pack(*this);
}

void DetectionScores::merge(std::span<const double> packed) {
  ScorePacking::join(*this, ScorePacking::unpack(packed, classes_));
}

}  // namespace ps::vision
