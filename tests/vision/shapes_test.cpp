#include <array>
#include <set>
#include <vector>

#include <ps/error.h>
#include <ps/vision/shapes.h>

#include "support/catch.h"

using namespace ps::vision;

TEST_CASE("shapes: a letterbox has the scale and padding of the table", "[vision]") {
  struct Row {
    ImageSize picture;
    int size, top, bottom, left, right;
    float scale;
  };
  const Row rows[] = {{{480, 640}, 640, 80, 80, 0, 0, 1},
                      {{427, 640}, 640, 106, 107, 0, 0, 1},
                      {{375, 500}, 640, 80, 80, 0, 0, 1.28F},
                      {{100, 50}, 160, 0, 0, 40, 40, 1.6F},
                      {{640, 427}, 640, 0, 0, 106, 107, 1}};
  for (const Row& row : rows) {
    const LetterboxFrame frame = letterbox_frame(row.picture, {row.size, row.size});
    CAPTURE(row.picture.height, row.picture.width);
    CHECK(frame.scale == Approx(row.scale));
    CHECK(frame.top == row.top);
    CHECK(row.size - frame.top - frame.inner.height == row.bottom);
    CHECK(frame.left == row.left);
    CHECK(row.size - frame.left - frame.inner.width == row.right);
  }
}

TEST_CASE("shapes: a box of the letterbox finds its place in the picture", "[vision]") {
  const LetterboxFrame frame = letterbox_frame({375, 500}, {640, 640});
  const Box box = to_source(frame, {128, 80 + 64, 256, 80 + 128});
  CHECK(box.x1 == Approx(100));
  CHECK(box.y1 == Approx(50));
  CHECK(box.x2 == Approx(200));
  CHECK(box.y2 == Approx(100));
  const Box clipped = to_source(frame, {-5, 10, 700, 640});
  CHECK(clipped.x1 == 0);
  CHECK(clipped.y1 == 0);
  CHECK(clipped.x2 == 500);
  CHECK(clipped.y2 == 375);
}

TEST_CASE("shapes: even a line of pixels keeps one row in a letterbox", "[vision]") {
  const LetterboxFrame frame = letterbox_frame({1, 10000}, {64, 64});
  CHECK(frame.inner == ImageSize{1, 64});
  CHECK_THROWS_AS(letterbox_frame({0, 10}, {64, 64}), ps::Error);
  CHECK_THROWS_AS(letterbox_frame({10, 10}, {64, 0}), ps::Error);
}

TEST_CASE("shapes: a rectangular batch holds each picture and no stride more", "[vision]") {
  const std::array<ImageSize, 2> flat{{{480, 640}, {300, 600}}};
  CHECK(rectangular_shape(flat, 640) == ImageSize{480, 640});
  const std::array<ImageSize, 2> mixed{{{480, 640}, {640, 481}}};
  CHECK(rectangular_shape(mixed, 640) == ImageSize{640, 640});
  const std::array<ImageSize, 1> tall{{{1000, 301}}};
  CHECK(rectangular_shape(tall, 320) == ImageSize{320, 96});       // 96.32 rounds to 96
  CHECK(rectangular_shape(tall, 330, 32) == ImageSize{352, 128});  // 99.33
  CHECK_THROWS_AS(rectangular_shape({}, 320), ps::Error);
}

TEST_CASE("shapes: the rectangular order goes from the widest to the tallest", "[vision]") {
  const std::array<ImageSize, 5> pictures{{{10, 10}, {30, 10}, {10, 30}, {20, 20}, {20, 30}}};
  CHECK(rectangular_order(pictures) == std::vector<std::uint32_t>{2, 4, 0, 3, 1});
}

TEST_CASE("shapes: multi-scale takes every stride from half to one and a half", "[vision]") {
  std::set<int> seen;
  for (std::uint64_t step = 0; step < 400; ++step) {
    const int size = multi_scale_size(128, 32, 7, step);
    CHECK(size == multi_scale_size(128, 32, 7, step));
    seen.insert(size);
  }
  CHECK(seen == std::set<int>{64, 96, 128, 160, 192});
  int differing = 0;
  for (std::uint64_t step = 0; step < 100; ++step) {
    differing += multi_scale_size(128, 32, 7, step) != multi_scale_size(128, 32, 8, step) ? 1 : 0;
  }
  CHECK(differing > 50);
  for (std::uint64_t step = 0; step < 50; ++step) CHECK(multi_scale_size(32, 32, 7, step) >= 32);
}

TEST_CASE("shapes: a batch is resized bilinearly with corners not aligned", "[vision]") {
  const std::vector<float> from{0, 1, 2, 3, /* second plane */ 10, 10, 20, 20};  // 2 x 2 each
  std::vector<float> to(2 * 4 * 4);
  resize_batch(from, {2, 2}, to, {4, 4});
  const float at[] = {0, 0.25F, 0.75F, 1};  // where the middle of a new pixel lies
  for (int y = 0; y < 4; ++y) {
    for (int x = 0; x < 4; ++x) {
      CHECK(to[static_cast<std::size_t>(4 * y + x)] == Approx(at[x] + 2 * at[y]).margin(1e-6));
      CHECK(to[static_cast<std::size_t>(16 + 4 * y + x)] == Approx(10 + 10 * at[y]));
    }
  }
  std::vector<float> smaller(2);
  resize_batch(from, {2, 2}, smaller, {1, 1});
  CHECK(smaller[0] == Approx(1.5));
  CHECK(smaller[1] == Approx(15));
  CHECK_THROWS_AS(resize_batch(from, {2, 2}, smaller, {2, 2}), ps::Error);
  CHECK_THROWS_AS(resize_batch(from, {3, 3}, smaller, {1, 1}), ps::Error);
}
