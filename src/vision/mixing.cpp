// Two pictures in one: objects pasted, pictures blended, parts exchanged.
#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "vision/canvas.h"

namespace ps::vision {

namespace {

constexpr double kMayHide = 0.30;    // less than this part of another object
constexpr double kTakenFrom = 0.10;  // with at least this part inside a cut
constexpr int kTries = 3;            // to place a cut

Box mirrored(const Box& box, float width) {
  return {width - box.x2, box.y1, width - box.x1, box.y2};
}

bool hides(const Box& box, std::span<const Object> objects) {
  return std::any_of(objects.begin(), objects.end(), [&box](const Object& object) {
    return area(intersection(box, object.box)) >= kMayHide * area(object.box);
  });
}

// The pixels of `from` under the object's polygon, mirrored onto `to`.
void paste_mirrored(const cv::Mat& from, const Object& object, cv::Mat& to) {
  const Box box = bounds(object.polygon);
  const cv::Point corner(static_cast<int>(std::floor(box.x1)),
                         static_cast<int>(std::floor(box.y1)));
  const cv::Point end(static_cast<int>(std::ceil(box.x2)), static_cast<int>(std::ceil(box.y2)));
  const cv::Rect area_from = cv::Rect(corner, end) & cv::Rect(0, 0, from.cols, from.rows);
  if (area_from.empty()) return;
  // fillPoly takes points with 4 bits behind the point, whose middle of the first pixel is 0.
  constexpr int kBits = 4;
  std::vector<cv::Point> points;
  for (std::size_t i = 0; i + 1 < object.polygon.size(); i += 2) {
    const auto fixed = [](float value, int origin) {
      return static_cast<int>(
          std::lrint((value - static_cast<float>(origin) - 0.5F) * (1 << kBits)));
    };
    points.emplace_back(fixed(object.polygon[i], area_from.x),
                        fixed(object.polygon[i + 1], area_from.y));
  }
  cv::Mat mask = cv::Mat::zeros(area_from.size(), CV_8UC1);
  cv::fillPoly(mask, std::vector<std::vector<cv::Point>>{points}, cv::Scalar(255), cv::LINE_8,
               kBits);
  cv::Mat pixels;
  cv::flip(mask, mask, 1);
  cv::flip(from(area_from), pixels, 1);
  const cv::Rect area_to(from.cols - area_from.x - area_from.width, area_from.y, area_from.width,
                         area_from.height);
  pixels.copyTo(to(area_to), mask);
}

// An integer side range [low, high) around `center`, clipped to [0, limit).
std::pair<int, int> side(double center, double length, int limit) {
  const auto at = [limit](double value) {
    return std::clamp(static_cast<int>(std::lrint(value)), 0, limit);
  };
  return {at(center - length / 2), at(center + length / 2)};
}

}  // namespace

void copy_paste(Random& random, float probability, Canvas& canvas) {
  cv::Mat before;  // pasted objects are not pasted again
  const std::size_t n = canvas.objects.size();
  for (std::size_t i = 0; i < n; ++i) {
    if (canvas.objects[i].polygon.empty() || !random.chance(probability)) continue;
    Object copy = canvas.objects[i];
    const auto width = static_cast<float>(canvas.pixels.cols);
    copy.box = mirrored(copy.box, width);
    if (hides(copy.box, canvas.objects)) continue;
    if (before.empty()) before = canvas.pixels.clone();
    paste_mirrored(before, canvas.objects[i], canvas.pixels);
    for (std::size_t k = 0; k < copy.polygon.size(); k += 2)
      copy.polygon[k] = width - copy.polygon[k];
    canvas.objects.push_back(std::move(copy));
  }
}

double symmetric_beta(Random& random, int n) {
  const auto gamma = [&random, n] {
    double sum = 0;
    for (int i = 0; i < n; ++i) sum -= std::log1p(-random.uniform());
    return sum;
  };
  const double a = gamma();
  const double b = gamma();
  return a + b > 0 ? a / (a + b) : 0.5;
}

void mix(double share, const Canvas& other, Canvas& canvas) {
  cv::addWeighted(canvas.pixels, share, other.pixels, 1 - share, 0, canvas.pixels);
  canvas.objects.insert(canvas.objects.end(), other.objects.begin(), other.objects.end());
}

Cut draw_cut(Random& random, const Canvas& canvas) {
  const ImageSize size = canvas.size();
  Cut chosen;
  for (int i = 0; i < kTries; ++i) {
    const double length = std::sqrt(1 - random.uniform());  // Beta(1, 1) is uniform
    const auto [x1, x2] = side(random.uniform() * size.width, length * size.width, size.width);
    const auto [y1, y2] = side(random.uniform() * size.height, length * size.height, size.height);
    const Box box{static_cast<float>(x1), static_cast<float>(y1), static_cast<float>(x2),
                  static_cast<float>(y2)};
    const bool free = std::none_of(
        canvas.objects.begin(), canvas.objects.end(),
        [&box](const Object& object) { return area(intersection(box, object.box)) > 0; });
    // All three are drawn in any case, so that what follows does not depend on the first's luck.
    if (free && area(box) > 0 && chosen.x2 == chosen.x1) chosen = {x1, y1, x2, y2};
  }
  return chosen;
}

void paste_cut(const Cut& cut, const Canvas& other, Canvas& canvas) {
  if (cut.x1 >= cut.x2 || cut.y1 >= cut.y2) return;
  const cv::Rect rect(cut.x1, cut.y1, cut.x2 - cut.x1, cut.y2 - cut.y1);
  other.pixels(rect).copyTo(canvas.pixels(rect));
  const Box box{static_cast<float>(cut.x1), static_cast<float>(cut.y1), static_cast<float>(cut.x2),
                static_cast<float>(cut.y2)};
  for (const Object& object : other.objects) {
    const Box inside = intersection(object.box, box);
    if (!(area(inside) > 0 && area(inside) >= kTakenFrom * area(object.box))) continue;
    canvas.objects.push_back({object.category, inside, clipped(object.polygon, box)});
  }
}

}  // namespace ps::vision
