#include <algorithm>
#include <cmath>
#include <vector>

#include <ps/error.h>
#include <ps/vision/augment.h>

#include "support/catch.h"
#include "vision/canvas.h"
#include "vision/fake_dataset.h"
#include "vision/pixels.h"

using namespace ps::vision;

namespace {

Augmentation everything() {
  Augmentation options;
  options.degrees = 30;
  options.shear = 10;
  options.perspective = 0.001F;
  options.flipud = 0.5F;
  options.mosaic = 0.5F;
  options.mixup = 0.3F;
  options.cutmix = 0.5F;
  options.copy_paste = 0.5F;
  return options;
}

bool equal(const Sample& a, const Sample& b) {
  return a.image == b.image && a.labels == b.labels;
}

Canvas canvas_of(Sample& sample) {
  Canvas canvas;
  view(sample.image).copyTo(canvas.pixels);
  canvas.objects = to_objects(sample.labels, canvas.size(), 0, 0);
  return canvas;
}

}  // namespace

TEST_CASE("augment: a letterbox is the picture on gray", "[vision]") {
  const Letterbox box = letterbox(solid(100, 50, {200, 100, 0}), 160, 160);
  CHECK(box.left == 40);
  CHECK(box.top == 0);
  CHECK(box.image.height == 160);
  CHECK(pixel(box.image, 80, 39) == Color{114, 114, 114});
  CHECK(pixel(box.image, 80, 40) == Color{200, 100, 0});
  CHECK(pixel(box.image, 80, 119) == Color{200, 100, 0});
  CHECK(pixel(box.image, 80, 120) == Color{114, 114, 114});
  CHECK_THROWS_AS(letterbox(Image{}, 160, 160), ps::Error);
}

TEST_CASE("augment: far smaller pictures are means, so that fine stripes turn gray", "[vision]") {
  Image stripes = solid(64, 64, {0, 0, 0});
  for (std::size_t i = 0; i < stripes.pixels.size(); ++i) {
    stripes.pixels[i] = (i / 3) % 4 == 0 ? 200 : 0;  // every fourth column
  }
  const Letterbox box = letterbox(stripes, 16, 16);
  for (int x = 0; x < 16; ++x) CHECK(pixel(box.image, 7, x) == Color{50, 50, 50});
}

TEST_CASE("augment: a tensor is red, green and blue planes over 255", "[vision]") {
  const Image image{1, 2, {0, 51, 255, 102, 204, 1}};
  std::vector<float> chw(6);
  to_tensor(image, chw);
  CHECK(chw == std::vector<float>{0, 102 / 255.0F, 51 / 255.0F, 204 / 255.0F, 1, 1 / 255.0F});
  std::vector<float> small(5);
  CHECK_THROWS_AS(to_tensor(image, small), ps::Error);
}

TEST_CASE("augment: the same key gives the same bits, another epoch, seed or picture others",
          "[vision]") {
  FakeDataset data;
  add_noise(data, 6);
  const Augmentation options = everything();
  for (std::size_t i = 0; i < 6; ++i) {
    CAPTURE(i);
    const Sample first = augmented(data, {5, 2, i}, {64, 64}, options);
    CHECK(first.image.height == 64);
    CHECK(equal(first, augmented(data, {5, 2, i}, {64, 64}, options)));
    CHECK_FALSE(first.image == augmented(data, {5, 3, i}, {64, 64}, options).image);
    CHECK_FALSE(first.image == augmented(data, {6, 2, i}, {64, 64}, options).image);
    CHECK_FALSE(first.image == augmented(data, {5, 2, (i + 1) % 6}, {64, 64}, options).image);
  }
}

TEST_CASE("augment: boxes and outlines stay in the sample", "[vision]") {
  FakeDataset data;
  add_noise(data, 8);
  std::size_t labels = 0;
  const auto inside = [](float value) { return value >= -1e-6F && value <= 1 + 1e-6F; };
  for (std::uint32_t epoch = 0; epoch < 60; ++epoch) {
    const Sample sample = augmented(data, {1, epoch, epoch % 8}, {48, 64}, everything());
    for (const Label& label : sample.labels) {
      ++labels;
      CHECK(inside(label.x - label.width / 2));
      CHECK(inside(label.x + label.width / 2));
      CHECK(inside(label.y - label.height / 2));
      CHECK(inside(label.y + label.height / 2));
      CHECK(label.width > 0);
      CHECK(label.height > 0);
      for (const float value : label.polygon) CHECK(inside(value));
    }
  }
  CHECK(labels > 100);
}

TEST_CASE("augment: without options a sample is its letterboxed picture", "[vision]") {
  FakeDataset data;
  data.samples.push_back(rectangle(40, 80, {20, 10, 40, 30}, {255, 0, 0}, 3));
  const Sample sample = augmented(data, {1, 0, 0}, {80, 80}, Augmentation::none());
  CHECK(sample.image == letterbox(data.samples[0].image, 80, 80).image);
  REQUIRE(sample.labels.size() == 1);
  CHECK(sample.labels[0].category == 3);
  CHECK(sample.labels[0].x == Approx(30 / 80.0F));
  CHECK(sample.labels[0].y == Approx((20 + 20) / 80.0F));
  CHECK(sample.labels[0].height == Approx(20 / 80.0F));
}

TEST_CASE("augment: a rectangle's pixels lie where its box says, however it is moved", "[vision]") {
  FakeDataset data;
  data.samples.push_back(rectangle(50, 60, {15, 10, 40, 35}, {250, 250, 250}, 0));
  Augmentation options = Augmentation::none();
  options.translate = 0.1F;
  options.scale = 0.4F;
  options.flipud = options.fliplr = 0.5F;
  for (std::uint32_t epoch = 0; epoch < 30; ++epoch) {
    CAPTURE(epoch);
    const Sample sample = augmented(data, {3, epoch, 0}, {96, 64}, options);
    REQUIRE(sample.labels.size() == 1);
    const Box box = to_objects(sample.labels, {96, 64}, 0, 0)[0].box;
    for (int y = 0; y < 96; ++y) {
      for (int x = 0; x < 64; ++x) {
        const float from_edge = std::min(
            {static_cast<float>(x) + 0.5F - box.x1, box.x2 - static_cast<float>(x) - 0.5F,
             static_cast<float>(y) + 0.5F - box.y1, box.y2 - static_cast<float>(y) - 0.5F});
        const int red = pixel(sample.image, y, x)[0];
        if (from_edge > 2.3F) REQUIRE(red >= 245);
        if (from_edge < -2.3F) REQUIRE(red <= 120);  // the background, or gray 114
      }
    }
  }
}

TEST_CASE("augment: an enlarged rectangle lies around its box's middle, to a part of a pixel",
          "[vision]") {
  Sample sample{solid(40, 40, {0, 0, 0}), {}};
  Canvas from = canvas_of(sample);
  from.pixels(cv::Rect(12, 20, 5, 3)).setTo(cv::Scalar(255, 255, 255));
  from.objects = {{0, {12, 20, 17, 23}, {}}};
  View view;
  view.scale = 3;
  view.translate_x = 0.7;
  Canvas to;
  SECTION("without perspective") {}
  SECTION("with hardly any") {
    view.perspective_x = 1e-9;
  }
  change_view(view, from, {80, 80}, to);
  REQUIRE(to.objects.size() == 1);
  double sum = 0;
  double x_sum = 0;
  double y_sum = 0;
  for (int y = 0; y < 80; ++y) {
    for (int x = 0; x < 80; ++x) {
      const double value = to.pixels.at<cv::Vec3b>(y, x)[0];
      sum += value;
      x_sum += value * (x + 0.5);
      y_sum += value * (y + 0.5);
    }
  }
  const Box box = to.objects[0].box;
  CHECK(sum / 255 == Approx(area(box)).epsilon(0.01));
  CHECK(x_sum / sum == Approx((box.x1 + box.x2) / 2).margin(0.05));
  CHECK(y_sum / sum == Approx((box.y1 + box.y2) / 2).margin(0.05));
}

TEST_CASE("augment: one stage's option does not change what the others draw", "[vision]") {
  FakeDataset data;
  add_noise(data, 4);
  Augmentation options;
  options.fliplr = 0;
  Augmentation flipped = options;
  flipped.fliplr = 1;
  const Sample a = augmented(data, {1, 0, 1}, {64, 64}, options);
  const Sample b = augmented(data, {1, 0, 1}, {64, 64}, flipped);
  REQUIRE(a.labels.size() == b.labels.size());
  REQUIRE_FALSE(a.labels.empty());
  CHECK(a.labels[0].x == Approx(1 - b.labels[0].x));
  for (int y = 0; y < 64; ++y) {
    for (int x = 0; x < 64; ++x) REQUIRE(pixel(a.image, y, x) == pixel(b.image, y, 63 - x));
  }
}

TEST_CASE("augment: the last epochs' options mix no pictures and keep the rest", "[vision]") {
  const Augmentation options = everything().without_mixing();
  CHECK(options.mosaic == 0);
  CHECK(options.mixup == 0);
  CHECK(options.cutmix == 0);
  CHECK(options.copy_paste == 0);
  CHECK(options.degrees == 30);
  CHECK(options.fliplr == 0.5F);
}

TEST_CASE("augment: hue turns, saturation and value are cut off, and no gain changes nothing",
          "[vision]") {
  Sample sample{solid(1, 3, {0, 0, 0}), {}};
  sample.image.pixels = {0, 255, 0, 0, 0, 255, 200, 200, 200};  // green, blue, light gray
  Canvas canvas = canvas_of(sample);
  recolor({1.5, 1, 0.5}, canvas.pixels);
  CHECK(canvas.pixels.at<cv::Vec3b>(0, 0) == cv::Vec3b(0, 127, 127));  // 60 * 1.5 = 90: cyan
  CHECK(canvas.pixels.at<cv::Vec3b>(0, 1) == cv::Vec3b(127, 0, 0));    // 120 * 1.5 = 180 = 0: red
  CHECK(canvas.pixels.at<cv::Vec3b>(0, 2) == cv::Vec3b(100, 100, 100));
  canvas = canvas_of(sample);
  recolor({1, 0, 2}, canvas.pixels);
  CHECK(canvas.pixels.at<cv::Vec3b>(0, 0) == cv::Vec3b(255, 255, 255));

  FakeDataset data;
  add_noise(data, 1);
  Augmentation options = Augmentation::none();
  const Sample plain = augmented(data, {9, 0, 0}, {64, 64}, options);
  options.hsv_v = 0.5F;
  CHECK_FALSE(plain.image == augmented(data, {9, 0, 0}, {64, 64}, options).image);
  CHECK(plain.image == letterbox(data.samples[0].image, 64, 64).image);
}

TEST_CASE("augment: flips twice are the identity, once a mirror", "[vision]") {
  FakeDataset data;
  add_noise(data, 1);
  Canvas canvas = canvas_of(data.samples[0]);
  const Canvas before = canvas_of(data.samples[0]);
  for (const auto flip : {flip_vertically, flip_horizontally}) {
    flip(canvas);
    CHECK(cv::norm(canvas.pixels, before.pixels, cv::NORM_INF) > 0);
    CHECK(canvas.objects[1].polygon != before.objects[1].polygon);
    flip(canvas);
    CHECK(cv::norm(canvas.pixels, before.pixels, cv::NORM_INF) == 0);
    for (std::size_t i = 0; i < canvas.objects.size(); ++i) {
      CHECK(canvas.objects[i].box.x1 == Approx(before.objects[i].box.x1));
      CHECK(canvas.objects[i].box.y2 == Approx(before.objects[i].box.y2));
    }
  }
  flip_horizontally(canvas);
  const auto width = static_cast<float>(canvas.pixels.cols);
  CHECK(canvas.objects[0].box.x1 == Approx(width - before.objects[0].box.x2));
  CHECK(canvas.objects[0].box.y1 == Approx(before.objects[0].box.y1));
}

TEST_CASE("augment: a picture that cannot be read becomes gray and is told", "[vision]") {
  FakeDataset data;
  add_noise(data, 3);
  data.unreadable = {1};
  std::vector<std::string> faults;
  const Augmentation options = Augmentation::none();
  const Sample sample = augmented(data, {1, 0, 1}, {32, 32}, options, &faults);
  CHECK(sample.image == solid(32, 32, {114, 114, 114}));
  CHECK(sample.labels.empty());
  CHECK(faults == std::vector<std::string>{"fake 1: damaged"});
  CHECK_THROWS_AS(augmented(data, {1, 0, 1}, {32, 32}, options), ps::Error);
  data.code = ps::ErrorCode::kInternal;
  CHECK_THROWS_AS(augmented(data, {1, 0, 1}, {32, 32}, options, &faults), ps::Error);
  data.unreadable.clear();
  data.samples[2].image.pixels.pop_back();  // claims more pixels than it has
  faults.clear();
  augmented(data, {1, 0, 2}, {32, 32}, options, &faults);
  CHECK(faults.size() == 1);
}

TEST_CASE("augment: options out of range, sizes and pictures that are not there are refused",
          "[vision]") {
  FakeDataset data;
  add_noise(data, 1);
  const auto refused = [](float Augmentation::*member, float value, const char* text) {
    Augmentation options;
    options.*member = value;
    CHECK_THROWS_WITH(check(options), Catch::Contains(text));
  };
  refused(&Augmentation::scale, 1, "scale is to be from 0 to below 1");
  refused(&Augmentation::fliplr, 1.5F, "fliplr is to be from 0 to 1; it is 1.5");
  refused(&Augmentation::perspective, 0.01F, "perspective is to be from 0 to 0.001");
  refused(&Augmentation::degrees, -1, "degrees is to be from 0 to 180");
  refused(&Augmentation::mosaic, std::nanf(""), "mosaic");
  CHECK_NOTHROW(check(Augmentation{}));
  CHECK_THROWS_AS(augmented(data, {1, 0, 1}, {32, 32}, {}), ps::Error);
  CHECK_THROWS_AS(augmented(data, {1, 0, 0}, {32, 0}, {}), ps::Error);
}
