#include <array>
#include <vector>

#include <ps/vision/augment.h>

#include "support/catch.h"
#include "vision/canvas.h"
#include "vision/fake_dataset.h"

using namespace ps::vision;

namespace {

constexpr std::array<Color, 4> kColors{{{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {255, 255, 0}}};

Color at(const Canvas& canvas, int y, int x) {
  const auto& value = canvas.pixels.at<cv::Vec3b>(y, x);
  return {value[0], value[1], value[2]};
}

// A canvas of one color with objects of category 0.
Canvas plain(ImageSize size, const Color& color, const std::vector<Box>& boxes) {
  Canvas canvas;
  canvas.pixels =
      cv::Mat(size.height, size.width, CV_8UC3, cv::Scalar(color[0], color[1], color[2]));
  for (const Box& box : boxes) canvas.objects.push_back({0, box, {}});
  return canvas;
}

void add_outlined(Canvas& canvas, const Box& box, const Color& color) {
  canvas
      .pixels(cv::Rect(cv::Point(static_cast<int>(box.x1), static_cast<int>(box.y1)),
                       cv::Point(static_cast<int>(box.x2), static_cast<int>(box.y2))))
      .setTo(cv::Scalar(color[0], color[1], color[2]));
  canvas.objects.push_back(
      {1, box, {box.x1, box.y1, box.x2, box.y1, box.x2, box.y2, box.x1, box.y2}});
}

}  // namespace

TEST_CASE("mixing: a mosaic puts each tile where its box says", "[vision]") {
  std::array<Sample, 4> tiles;
  for (std::size_t i = 0; i < 4; ++i) {
    // Of several shapes; the first needs no scaling.
    const int height = i == 0 ? 32 : 20 + 10 * static_cast<int>(i);
    tiles[i] = {solid(height, 32, kColors[i]), {{static_cast<int>(i), 0.5F, 0.5F, 1, 1, {}}}};
    outline(tiles[i].labels[0]);
  }
  for (const MosaicCenter center :
       {MosaicCenter{32, 32}, MosaicCenter{16, 48}, MosaicCenter{47, 17}}) {
    CAPTURE(center.x, center.y);
    Canvas canvas;
    mosaic(tiles, {32, 32}, center, canvas);
    REQUIRE(canvas.size() == ImageSize{64, 64});
    REQUIRE(canvas.objects.size() == 4);
    std::size_t covered = 0;
    for (int y = 0; y < 64; ++y) {
      for (int x = 0; x < 64; ++x) {
        Color expected{114, 114, 114};
        for (const Object& object : canvas.objects) {
          const auto px = static_cast<float>(x);
          const auto py = static_cast<float>(y);
          if (px >= object.box.x1 && px < object.box.x2 && py >= object.box.y1 &&
              py < object.box.y2) {
            expected = kColors[static_cast<std::size_t>(object.category)];
            ++covered;
          }
        }
        REQUIRE(at(canvas, y, x) == expected);
      }
    }
    CHECK(covered > 1500);
    const Box first = canvas.objects[0].box;  // its lower right corner at the center
    CHECK(first.x2 == static_cast<float>(center.x));
    CHECK(first.y2 == static_cast<float>(center.y));
    CHECK(bounds(canvas.objects[0].polygon).x2 == first.x2);
  }
}

TEST_CASE("mixing: a mosaic drops what its edge cuts off", "[vision]") {
  std::array<Sample, 4> tiles;
  for (Sample& tile : tiles) tile = {solid(32, 32, kColors[0]), {{0, 0.1F, 0.1F, 0.1F, 0.1F, {}}}};
  Canvas canvas;
  mosaic(tiles, {32, 32}, {16, 16}, canvas);
  CHECK(canvas.objects.size() == 1);  // the upper left corner of the tile at the lower right
}

TEST_CASE("mixing: a whole mosaic sample's boxes are filled with their colors", "[vision]") {
  FakeDataset data;
  for (int i = 0; i < 4; ++i) {
    data.samples.push_back(
        rectangle(40 + i, 50, {10, 8, 35, 30}, kColors[static_cast<std::size_t>(i)], i));
  }
  Augmentation options = Augmentation::none();
  options.mosaic = 1;
  std::size_t seen = 0;
  for (std::uint32_t epoch = 0; epoch < 20; ++epoch) {
    const Sample sample = augmented(data, {2, epoch, epoch % 4}, {64, 64}, options);
    for (const Object& object : to_objects(sample.labels, {64, 64}, 0, 0)) {
      for (int y = static_cast<int>(object.box.y1) + 2; y < static_cast<int>(object.box.y2) - 2;
           ++y) {
        for (int x = static_cast<int>(object.box.x1) + 2; x < static_cast<int>(object.box.x2) - 2;
             ++x) {
          ++seen;
          REQUIRE(pixel(sample.image, y, x) == kColors[static_cast<std::size_t>(object.category)]);
        }
      }
    }
  }
  CHECK(seen > 5000);
}

TEST_CASE("mixing: mixup blends pixels and keeps the labels of both", "[vision]") {
  Canvas a = plain({4, 4}, {100, 0, 200}, {{0, 0, 2, 2}});
  const Canvas b = plain({4, 4}, {200, 40, 0}, {{1, 1, 3, 3}, {0, 0, 4, 4}});
  mix(0.75, b, a);
  CHECK(at(a, 2, 2) == Color{125, 10, 150});
  CHECK(a.objects.size() == 3);
}

TEST_CASE("mixing: shares have the mean and spread of Beta(32, 32)", "[vision]") {
  ps::Random random(4);
  double sum = 0;
  double squares = 0;
  constexpr int kDraws = 4000;
  for (int i = 0; i < kDraws; ++i) {
    const double share = symmetric_beta(random, 32);
    CHECK((share > 0 && share < 1));
    sum += share;
    squares += (share - 0.5) * (share - 0.5);
  }
  CHECK(sum / kDraws == Approx(0.5).margin(0.005));
  CHECK(squares / kDraws == Approx(1.0 / (4 * 65)).epsilon(0.1));
}

TEST_CASE("mixing: a cut takes objects with a tenth of their area inside", "[vision]") {
  Canvas canvas = plain({100, 100}, kColors[0], {});
  Canvas other = plain({100, 100}, kColors[1],
                       {{0, 0, 20, 10},      // a tenth: 2 of 20 columns inside
                        {0, 20, 19, 30},     // less: 1 of 19
                        {30, 30, 40, 40},    // all
                        {90, 90, 99, 99}});  // nothing
  paste_cut({18, 0, 60, 60}, other, canvas);
  CHECK(at(canvas, 0, 17) == kColors[0]);
  CHECK(at(canvas, 0, 18) == kColors[1]);
  CHECK(at(canvas, 59, 59) == kColors[1]);
  CHECK(at(canvas, 60, 59) == kColors[0]);
  REQUIRE(canvas.objects.size() == 2);
  CHECK(canvas.objects[0].box.x1 == 18);
  CHECK(canvas.objects[0].box.x2 == 20);
  CHECK(canvas.objects[1].box.x1 == 30);
}

TEST_CASE("mixing: a cut touches no object, lies inside and can fail", "[vision]") {
  const Canvas free = plain({100, 60}, kColors[0], {{20, 40, 40, 60}});
  int found = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    ps::Random random(seed);
    const Cut cut = draw_cut(random, free);
    if (cut.x1 >= cut.x2) continue;
    ++found;
    REQUIRE(cut.x1 >= 0);
    REQUIRE(cut.y1 >= 0);
    REQUIRE(cut.x2 <= 60);
    REQUIRE(cut.y2 <= 100);
    REQUIRE(cut.y1 < cut.y2);
    const Box box{static_cast<float>(cut.x1), static_cast<float>(cut.y1),
                  static_cast<float>(cut.x2), static_cast<float>(cut.y2)};
    REQUIRE(area(intersection(box, free.objects[0].box)) == 0);
  }
  CHECK(found > 50);
  CHECK(found < 200);
  const Canvas full = plain({100, 60}, kColors[0], {{0, 0, 60, 100}});
  ps::Random random(1);
  const Cut none = draw_cut(random, full);
  CHECK(none.x1 == none.x2);
}

TEST_CASE("mixing: copy-paste mirrors an object to where it hides little", "[vision]") {
  Canvas canvas = plain({40, 100}, {0, 0, 0}, {});
  add_outlined(canvas, {10, 10, 30, 20}, kColors[0]);
  SECTION("to a free place") {
    ps::Random random(1);
    copy_paste(random, 1, canvas);
    REQUIRE(canvas.objects.size() == 2);
    const Object& copy = canvas.objects[1];
    CHECK(copy.category == 1);
    CHECK(copy.box.x1 == 70);
    CHECK(copy.box.x2 == 90);
    CHECK(bounds(copy.polygon).x1 == 70);
    for (int y = 0; y < 40; ++y) {
      for (int x = 50; x < 100; ++x) {
        const bool inside = x >= 70 && x < 90 && y >= 10 && y < 20;
        REQUIRE(at(canvas, y, x) == (inside ? kColors[0] : Color{0, 0, 0}));
      }
    }
  }
  SECTION("hiding less than three tenths of another") {
    canvas.objects.push_back({0, {85, 10, 105, 20}, {}});  // a quarter
    ps::Random random(1);
    copy_paste(random, 1, canvas);
    CHECK(canvas.objects.size() == 3);
  }
  SECTION("but not onto another") {
    canvas.objects.push_back({0, {84, 10, 104, 20}, {}});  // three tenths: 6 of 20 columns
    const cv::Mat before = canvas.pixels.clone();
    ps::Random random(1);
    copy_paste(random, 1, canvas);
    CHECK(canvas.objects.size() == 2);
    CHECK(cv::norm(before, canvas.pixels, cv::NORM_INF) == 0);
  }
  SECTION("only objects with an outline") {
    canvas.objects[0].polygon.clear();
    ps::Random random(1);
    copy_paste(random, 1, canvas);
    CHECK(canvas.objects.size() == 1);
  }
}

TEST_CASE("mixing: copy-paste takes an outline's pixels and no others", "[vision]") {
  Canvas canvas = plain({40, 100}, {7, 7, 7}, {});
  add_outlined(canvas, {10, 10, 30, 30}, kColors[0]);
  canvas.objects[0].polygon = {10, 10, 30, 10, 10, 30};  // the upper left half
  ps::Random random(1);
  copy_paste(random, 1, canvas);
  CHECK(at(canvas, 12, 87) == kColors[0]);  // mirrored: the upper right half
  CHECK(at(canvas, 27, 72) == Color{7, 7, 7});
  CHECK(canvas.objects.size() == 2);
}
