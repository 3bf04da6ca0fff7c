#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include <ps/error.h>
#include <ps/vision/metrics.h>

#include "vision/matching.h"

namespace ps::vision {
namespace {

constexpr std::int64_t kMostClasses = 4096;
constexpr std::int64_t kMostImages = std::int64_t{1} << 53;  // what a double holds exactly

[[noreturn]] void misuse(const std::string& text) {
  throw Error(ErrorCode::kInvalidArgument, "detection scores: " + text);
}

}  // namespace

DetectionScores::DetectionScores(std::int64_t classes) : classes_(classes) {
  if (classes < 1 || classes > kMostClasses) {
    misuse("expected 1 to " + std::to_string(kMostClasses) + " classes, got " +
           std::to_string(classes));
  }
  const auto count = static_cast<std::size_t>(classes);
  truth_.resize(count);
  truth_images_.resize(count);
  confusion_.resize((count + 1) * (count + 1));
}

void DetectionScores::add(std::int64_t image,
                          std::span<const nn::Detection> detections,
                          std::span<const TruthBox> truth) {
  const auto check = [&](std::int32_t category, const char* what) {
    if (category >= 0 && category < classes_) return;
    misuse("image " + std::to_string(image) + " has a " + what + " of category " +
           std::to_string(category) + ", but there are " + std::to_string(classes_) + " classes");
  };
  for (const nn::Detection& detection : detections) check(detection.category, "detection");
  for (const TruthBox& box : truth) check(box.category, "true box");
  if (image < 0 || image >= kMostImages) {
    misuse("an image's number is 0 or more, got " + std::to_string(image));
  }
  if (!numbers_.insert(image).second) {
    misuse("image " + std::to_string(image) + " has been counted; give each image its own number");
  }

  std::vector<nn::Detection> sorted;
  sorted.reserve(detections.size());
  std::copy_if(detections.begin(), detections.end(), std::back_inserter(sorted),
               [](const nn::Detection& detection) { return std::isfinite(detection.score); });
  std::stable_sort(
      sorted.begin(), sorted.end(),
      [](const nn::Detection& a, const nn::Detection& b) { return a.score > b.score; });
  const std::vector<std::uint32_t> hits = match(sorted, truth);
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    scored_.push_back({image, sorted[i].score, sorted[i].category, hits[i]});
  }
  images_.push_back({image, static_cast<std::int64_t>(sorted.size())});
  confuse(sorted, truth, classes_, confusion_);

  std::vector<std::int32_t> categories;
  for (const TruthBox& box : truth) {
    ++truth_[static_cast<std::size_t>(box.category)];
    categories.push_back(box.category);
  }
  std::sort(categories.begin(), categories.end());
  categories.erase(std::unique(categories.begin(), categories.end()), categories.end());
  for (const std::int32_t category : categories) {
    ++truth_images_[static_cast<std::size_t>(category)];
  }
}

}  // namespace ps::vision
