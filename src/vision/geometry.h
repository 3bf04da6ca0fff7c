// Objects in pixels: how a change of view moves their boxes and outlines. Knows no pictures.
#pragma once

#include <cstdint>
#include <opencv2/core/matx.hpp>
#include <span>
#include <vector>

#include <ps/vision/augment.h>

#include "base/random.h"

namespace ps::vision {

// An object on a canvas, in its pixels. The polygon (x, y pairs) is empty where there is none.
struct Object {
  std::int32_t category = 0;
  Box box;
  std::vector<float> polygon;
};

// A change of view: what the canvas goes through, in the order of the members.
struct View {
  double perspective_x = 0;
  double perspective_y = 0;
  double degrees = 0;
  double scale = 1;
  double shear_x = 0;  // degrees
  double shear_y = 0;
  double translate_x = 0.5;  // where the canvas' middle comes to lie, as a part of the output
  double translate_y = 0.5;
};

// True where `draw_view` gives the plain View whatever it draws.
bool view_is_fixed(const Augmentation& options);
View draw_view(Random& random, const Augmentation& options);
// Input to output pixels: translation * shear * (rotation and scale) * perspective * (minus the
// input's middle).
cv::Matx33d view_matrix(const View& view, ImageSize input, ImageSize output);

float area(const Box& box);  // 0 for an empty one
Box intersection(const Box& a, const Box& b);
// The smallest box around x, y pairs; an empty one around none.
Box bounds(std::span<const float> polygon);
// The part of a polygon inside a box; edges along the box may be added.
std::vector<float> clipped(std::span<const float> polygon, const Box& box);

// The polygon's points through the matrix; empty if one comes to lie behind the viewer.
std::vector<float> moved(const cv::Matx33d& matrix, std::span<const float> polygon);
// The box around the four moved corners; an empty one if a corner comes to lie behind the viewer.
Box moved(const cv::Matx33d& matrix, const Box& box);

// What the rules of augmented() say about an object that was `before`, is `after` and would have
// scale^2 times its area if it were whole.
bool worth_keeping(const Box& before, const Box& after, double scale, double least_part);

// All objects through the matrix and clipped to the output; what is not worth keeping is removed.
void move_objects(const cv::Matx33d& matrix,
                  double scale,
                  ImageSize output,
                  std::vector<Object>& objects);

// Labels as fractions <-> objects in pixels of a picture of `size` whose corner lies at (x, y).
std::vector<Object> to_objects(std::span<const Label> labels, ImageSize size, float x, float y);
// An empty polygon stays one; boxes and polygons are clipped to `size` first.
std::vector<Label> to_labels(std::span<const Object> objects, ImageSize size);

}  // namespace ps::vision
