#include "vision/geometry.h"

#include <cmath>
#include <vector>

#include <ps/vision/augment.h>

#include "support/catch.h"

using namespace ps::vision;

namespace {

View golden_view() {
  View view;
  view.degrees = 10;
  view.scale = 1.1;
  view.translate_x = 0.55;
  view.translate_y = 0.45;
  return view;
}

}  // namespace

TEST_CASE("geometry: a view's matrix and the box through it are those worked out", "[vision]") {
  const cv::Matx33d matrix = view_matrix(golden_view(), {64, 64}, {64, 64});
  const double rows[2][3] = {{1.083289, .191013, -5.577649}, {-.191013, 1.083289, .247183}};
  for (int y = 0; y < 2; ++y) {
    for (int x = 0; x < 3; ++x) CHECK(matrix(y, x) == Approx(rows[y][x]).margin(1e-6));
  }
  const Box box = moved(matrix, Box{20, 20, 40, 30});
  CHECK(box.x1 == Approx(19.9084F));
  CHECK(box.y1 == Approx(14.2724F));
  CHECK(box.x2 == Approx(43.4843F));
  CHECK(box.y2 == Approx(28.9256F));
}

TEST_CASE("geometry: shear, perspective and two sizes come in their order", "[vision]") {
  View view;
  view.shear_x = 45;  // x += y
  const Box sheared = moved(view_matrix(view, {10, 10}, {10, 10}), Box{4, 7, 6, 8});
  CHECK(sheared.x1 == Approx(6));
  CHECK(sheared.x2 == Approx(9));
  CHECK(sheared.y1 == Approx(7));
  view = {};
  view.perspective_x = 0.1;
  // Around the middle of 20 x 20: (5, 5) lies at (10 + -5 / .5, ...) of the output 20 x 20.
  const std::vector<float> corner{5, 5};
  const std::vector<float> seen = moved(view_matrix(view, {20, 20}, {20, 20}), corner);
  REQUIRE(seen.size() == 2);
  CHECK(seen[0] == Approx(0).margin(1e-5));
  CHECK(seen[1] == Approx(0).margin(1e-5));
  view = {};  // a mosaic's middle becomes the output's
  const std::vector<float> middle{20, 20};
  CHECK(moved(view_matrix(view, {40, 40}, {20, 20}), middle) == std::vector<float>{10, 10});
}

TEST_CASE("geometry: what comes to lie behind the viewer is not seen", "[vision]") {
  View view;
  view.perspective_x = -0.1;
  const cv::Matx33d matrix = view_matrix(view, {100, 100}, {100, 100});
  std::vector<Object> objects{{0, {70, 40, 90, 60}, {}},
                              {1, {40, 40, 60, 60}, {}},
                              {2, {70, 40, 90, 60}, {70, 40, 90, 40, 90, 60}}};
  move_objects(matrix, 1, {100, 100}, objects);
  CHECK(objects.empty());  // the middle one's right edge is at depth 0
  std::vector<Object> left{{3, {40, 40, 55, 60}, {}}};
  move_objects(matrix, 1, {100, 100}, left);
  CHECK(left.size() == 1);
}

TEST_CASE("geometry: the rules for keeping a box", "[vision]") {
  const Box before{0, 0, 20, 20};
  CHECK(worth_keeping(before, {0, 0, 10, 10}, 1, 0.1));
  CHECK_FALSE(worth_keeping(before, {0, 0, 2, 20}, 1, 0.1));  // not over 2 pixels
  CHECK_FALSE(worth_keeping(before, {0, 0, 4, 10}, 1, 0.1));  // a tenth of the area
  CHECK(worth_keeping(before, {0, 0, 4.1F, 10}, 1, 0.1));
  CHECK_FALSE(worth_keeping(before, {0, 0, 4.1F, 10}, 1.1, 0.1));  // of the scaled area
  CHECK(worth_keeping(before, {0, 0, 4, 10}, 1, 0.01));
  CHECK_FALSE(worth_keeping({0, 0, 400, 4}, {0, 0, 300, 3}, 1, 0.1));  // 100 times as long
  CHECK_FALSE(worth_keeping(before, {5, 5, 4, 9}, 1, 0.1));
}

TEST_CASE("geometry: an outline gives a tighter box than corners", "[vision]") {
  View view;
  view.degrees = 45;
  const std::vector<float> diamond{50, 30, 70, 50, 50, 70, 30, 50};
  std::vector<Object> objects{{0, {30, 30, 70, 70}, diamond}, {1, {30, 30, 70, 70}, {}}};
  move_objects(view_matrix(view, {100, 100}, {100, 100}), 1, {100, 100}, objects);
  REQUIRE(objects.size() == 2);
  const auto half = static_cast<float>(std::sqrt(200));
  CHECK(objects[0].box.x1 == Approx(50 - half));
  CHECK(objects[0].box.y2 == Approx(50 + half));
  CHECK(objects[1].box.x1 == Approx(50 - 2 * half));
}

TEST_CASE("geometry: a polygon is clipped to a box", "[vision]") {
  const std::vector<float> triangle{-10, 0, 10, 0, 0, 10};
  const std::vector<float> inside = clipped(triangle, {0, 0, 4, 8});
  const Box box = bounds(inside);
  CHECK(box.x1 == 0);
  CHECK(box.x2 == 4);
  CHECK(box.y1 == 0);
  CHECK(box.y2 == 8);
  // Where x = 4 leaves the slope, it is at y = 6.
  bool corner = false;
  for (std::size_t i = 0; i + 1 < inside.size(); i += 2) {
    corner = corner || (inside[i] == 4 && inside[i + 1] == Approx(6));
  }
  CHECK(corner);
  CHECK(clipped(triangle, {20, 20, 30, 30}).empty());
  CHECK(clipped({}, {0, 0, 1, 1}).empty());
}

TEST_CASE("geometry: labels survive the way to pixels and back", "[vision]") {
  const std::vector<Label> labels{
      {2, 0.5F, 0.25F, 0.5F, 0.25F, {0.25F, 0.125F, 0.75F, 0.125F, 0.5F, 0.375F}}};
  std::vector<Object> objects = to_objects(labels, {64, 128}, 0, 0);
  REQUIRE(objects.size() == 1);
  CHECK(objects[0].box.x1 == 32);
  CHECK(objects[0].box.y2 == 24);
  const std::vector<Label> back = to_labels(objects, {64, 128});
  REQUIRE(back.size() == 1);
  CHECK(back == labels);
  objects[0].box = {130, 0, 140, 10};
  CHECK(to_labels(objects, {64, 128}).empty());
}
