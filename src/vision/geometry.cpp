#include "vision/geometry.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ps::vision {

namespace {

double radians(double degrees) {
  return degrees * std::numbers::pi / 180.0;
}

struct Point {
  double x;
  double y;
};

// How near the viewer's plane (depth 0) a point may come; beyond, its image is of no use.
constexpr double kLeastDepth = 0.05;

bool project(const cv::Matx33d& m, double x, double y, Point& result) {
  const double depth = m(2, 0) * x + m(2, 1) * y + m(2, 2);
  if (!(depth >= kLeastDepth)) return false;
  result = {(m(0, 0) * x + m(0, 1) * y + m(0, 2)) / depth,
            (m(1, 0) * x + m(1, 1) * y + m(1, 2)) / depth};
  return true;
}

// The part of `from` where sign * (coordinate - limit) <= 0, by Sutherland and Hodgman's rule.
void clip_half(std::span<const float> from,
               std::size_t axis,
               float limit,
               float sign,
               std::vector<float>& to) {
  to.clear();
  const std::size_t n = from.size() / 2;
  for (std::size_t i = 0; i < n; ++i) {
    const float* a = &from[2 * i];
    const float* b = &from[2 * ((i + 1) % n)];
    const float outside_a = sign * (a[axis] - limit);
    const float outside_b = sign * (b[axis] - limit);
    if (outside_a <= 0) to.insert(to.end(), {a[0], a[1]});
    if ((outside_a < 0 && outside_b > 0) || (outside_a > 0 && outside_b < 0)) {
      const float part = outside_a / (outside_a - outside_b);
      float crossing[2] = {a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1])};
      crossing[axis] = limit;
      to.insert(to.end(), {crossing[0], crossing[1]});
    }
  }
}

Box whole(ImageSize size) {
  return {0, 0, static_cast<float>(size.width), static_cast<float>(size.height)};
}

}  // namespace

bool view_is_fixed(const Augmentation& options) {
  return options.perspective == 0 && options.degrees == 0 && options.scale == 0 &&
         options.shear == 0 && options.translate == 0;
}

View draw_view(Random& random, const Augmentation& options) {
  const auto around = [&random](double middle, double by) {
    return random.uniform(middle - by, middle + by);
  };
  View view;
  view.perspective_x = around(0, options.perspective);
  view.perspective_y = around(0, options.perspective);
  view.degrees = around(0, options.degrees);
  view.scale = around(1, options.scale);
  view.shear_x = around(0, options.shear);
  view.shear_y = around(0, options.shear);
  view.translate_x = around(0.5, options.translate);
  view.translate_y = around(0.5, options.translate);
  return view;
}

cv::Matx33d view_matrix(const View& view, ImageSize input, ImageSize output) {
  const double cosine = view.scale * std::cos(radians(view.degrees));
  const double sine = view.scale * std::sin(radians(view.degrees));
  const cv::Matx33d center(1, 0, -input.width / 2.0, 0, 1, -input.height / 2.0, 0, 0, 1);
  const cv::Matx33d perspective(1, 0, 0, 0, 1, 0, view.perspective_x, view.perspective_y, 1);
  const cv::Matx33d rotation(cosine, sine, 0, -sine, cosine, 0, 0, 0, 1);
  const cv::Matx33d shear(1, std::tan(radians(view.shear_x)), 0, std::tan(radians(view.shear_y)), 1,
                          0, 0, 0, 1);
  const cv::Matx33d translation(1, 0, view.translate_x * output.width, 0, 1,
                                view.translate_y * output.height, 0, 0, 1);
  return translation * shear * rotation * perspective * center;
}

float area(const Box& box) {
  return std::max(0.0F, box.x2 - box.x1) * std::max(0.0F, box.y2 - box.y1);
}

Box intersection(const Box& a, const Box& b) {
  return {std::max(a.x1, b.x1), std::max(a.y1, b.y1), std::min(a.x2, b.x2), std::min(a.y2, b.y2)};
}

Box bounds(std::span<const float> polygon) {
  if (polygon.size() < 2) return {};
  Box box{polygon[0], polygon[1], polygon[0], polygon[1]};
  for (std::size_t i = 2; i + 1 < polygon.size(); i += 2) {
    box.x1 = std::min(box.x1, polygon[i]);
    box.y1 = std::min(box.y1, polygon[i + 1]);
    box.x2 = std::max(box.x2, polygon[i]);
    box.y2 = std::max(box.y2, polygon[i + 1]);
  }
  return box;
}

std::vector<float> clipped(std::span<const float> polygon, const Box& box) {
  std::vector<float> a(polygon.begin(), polygon.end());
  std::vector<float> b;
  clip_half(a, 0, box.x1, -1, b);
  clip_half(b, 0, box.x2, 1, a);
  clip_half(a, 1, box.y1, -1, b);
  clip_half(b, 1, box.y2, 1, a);
  return a;
}

std::vector<float> moved(const cv::Matx33d& matrix, std::span<const float> polygon) {
  std::vector<float> result;
  result.reserve(polygon.size());
  for (std::size_t i = 0; i + 1 < polygon.size(); i += 2) {
    Point point{};
    if (!project(matrix, polygon[i], polygon[i + 1], point)) return {};
    result.push_back(static_cast<float>(point.x));
    result.push_back(static_cast<float>(point.y));
  }
  return result;
}

Box moved(const cv::Matx33d& matrix, const Box& box) {
  const float corners[] = {box.x1, box.y1, box.x2, box.y1, box.x2, box.y2, box.x1, box.y2};
  return bounds(moved(matrix, corners));
}

bool worth_keeping(const Box& before, const Box& after, double scale, double least_part) {
  const double width = double{after.x2} - after.x1;
  const double height = double{after.y2} - after.y1;
  if (!(width > 2 && height > 2)) return false;
  if (!(std::max(width / height, height / width) < 100)) return false;
  return width * height > least_part * scale * scale * area(before);
}

void move_objects(const cv::Matx33d& matrix,
                  double scale,
                  ImageSize output,
                  std::vector<Object>& objects) {
  std::erase_if(objects, [&](Object& object) {
    const Box before = object.box;
    const bool outlined = !object.polygon.empty();
    if (outlined) {
      object.polygon = clipped(moved(matrix, object.polygon), whole(output));
      object.box = bounds(object.polygon);
    } else {
      object.box = intersection(moved(matrix, before), whole(output));
    }
    return !worth_keeping(before, object.box, scale, outlined ? 0.01 : 0.10);
  });
}

std::vector<Object> to_objects(std::span<const Label> labels, ImageSize size, float x, float y) {
  const auto width = static_cast<float>(size.width);
  const auto height = static_cast<float>(size.height);
  std::vector<Object> objects;
  objects.reserve(labels.size());
  for (const Label& label : labels) {
    const Box box{
        x + (label.x - label.width / 2) * width, y + (label.y - label.height / 2) * height,
        x + (label.x + label.width / 2) * width, y + (label.y + label.height / 2) * height};
    Object object{label.category, box, {}};
    object.polygon.reserve(label.polygon.size());
    for (std::size_t i = 0; i + 1 < label.polygon.size(); i += 2) {
      object.polygon.push_back(x + label.polygon[i] * width);
      object.polygon.push_back(y + label.polygon[i + 1] * height);
    }
    objects.push_back(std::move(object));
  }
  return objects;
}

std::vector<Label> to_labels(std::span<const Object> objects, ImageSize size) {
  const auto width = static_cast<float>(size.width);
  const auto height = static_cast<float>(size.height);
  std::vector<Label> labels;
  labels.reserve(objects.size());
  for (const Object& object : objects) {
    const Box box = intersection(object.box, whole(size));
    if (!(area(box) > 0)) continue;
    Label label{object.category,
                (box.x1 + box.x2) / 2 / width,
                (box.y1 + box.y2) / 2 / height,
                (box.x2 - box.x1) / width,
                (box.y2 - box.y1) / height,
                clipped(object.polygon, whole(size))};
    for (std::size_t i = 0; i + 1 < label.polygon.size(); i += 2) {
      label.polygon[i] /= width;
      label.polygon[i + 1] /= height;
    }
    labels.push_back(std::move(label));
  }
  return labels;
}

}  // namespace ps::vision
