#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <ps/error.h>
#include <ps/vision/draw.h>

#include "support/catch.h"

namespace {

using ps::nn::Detection;
using ps::vision::boxes_of;
using ps::vision::class_color;
using ps::vision::Color;
using ps::vision::draw_boxes;
using ps::vision::DrawnBox;
using ps::vision::from_tensor;
using ps::vision::Image;
using ps::vision::Label;
using ps::vision::make_image;
using ps::vision::mosaic;
using ps::vision::text_color;
using ps::vision::Tile;

Image filled(int height, int width, std::uint8_t value) {
  Image image = make_image(height, width);
  std::fill(image.pixels.begin(), image.pixels.end(), value);
  return image;
}

Color at(const Image& image, int x, int y) {
  const auto i = static_cast<std::size_t>((y * image.width + x) * 3);
  return {image.pixels[i], image.pixels[i + 1], image.pixels[i + 2]};
}

// The contrast of WCAG 2: (lighter + 0.05) / (darker + 0.05).
double contrast(Color a, Color b) {
  const auto luminance = [](Color color) {
    const auto linear = [](std::uint8_t value) {
      const double share = value / 255.0;
      return share <= 0.04045 ? share / 12.92 : std::pow((share + 0.055) / 1.055, 2.4);
    };
    return 0.2126 * linear(color.red) + 0.7152 * linear(color.green) + 0.0722 * linear(color.blue);
  };
  const auto [dark, light] = std::minmax({luminance(a), luminance(b)});
  return (light + 0.05) / (dark + 0.05);
}

}  // namespace

TEST_CASE("draw: twenty classes have colors of their own, with text that can be read", "[unit]") {
  std::set<std::tuple<int, int, int>> colors;
  for (std::int32_t category = 0; category < 20; ++category) {
    CAPTURE(category);
    const Color color = class_color(category);
    colors.insert({color.red, color.green, color.blue});
    CHECK(contrast(color, text_color(color)) > 4.0);
    CHECK(class_color(category + 20) == color);
  }
  CHECK(colors.size() == 20);
  (void)class_color(-1);
}

TEST_CASE("draw: a box is drawn where it is, its caption beside it", "[unit]") {
  Image image = filled(200, 300, 10);
  const std::vector<DrawnBox> boxes = {{50, 60, 250, 160, 3, ""}};
  draw_boxes(image, boxes);
  const Color color = class_color(3);
  CHECK(at(image, 150, 60) == color);
  CHECK(at(image, 150, 160) == color);
  CHECK(at(image, 50, 100) == color);
  CHECK(at(image, 250, 100) == color);
  CHECK(at(image, 150, 100) == Color{10, 10, 10});
  CHECK(at(image, 55, 55) == Color{10, 10, 10});
  Image captioned = filled(200, 300, 10);
  const std::vector<DrawnBox> named = {{50, 60, 250, 160, 3, "dress 0.9"}};
  draw_boxes(captioned, named);
  CHECK(at(captioned, 51, 55) == color);  // above the corner, beside the letters
  const auto letters = [&](Color text) {
    int count = 0;
    for (int y = 40; y < 60; ++y) {
      for (int x = 50; x < 150; ++x) count += at(captioned, x, y) == text ? 1 : 0;
    }
    return count;
  };
  CHECK(letters(text_color(color)) > 5);
}

TEST_CASE("draw: boxes that leave the picture, or are no numbers, do no harm", "[unit]") {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinite = std::numeric_limits<float>::infinity();
  Image image = filled(40, 60, 10);
  const Image before = image;
  const std::vector<DrawnBox> bad = {{kNan, 0, 10, 10, 0, "a"}, {0, 0, kInfinite, 10, 0, "a"}};
  draw_boxes(image, bad);
  CHECK(image == before);
  const std::vector<DrawnBox> outside = {{-1e30F, -1e30F, 1e30F, 1e30F, -5, "a very long caption"},
                                         {-20, -20, 30, 30, 1,
                                          "Stra\xC3\x9F"
                                          "e \xF0\x9F\x98\x80\xFF"},
                                         {50, 35, 500, 500, 2, "cut off"}};
  draw_boxes(image, outside);
  CHECK_FALSE(image == before);
  image.pixels.pop_back();
  CHECK_THROWS_AS(draw_boxes(image, outside), ps::Error);
}

TEST_CASE("draw: labels and detections become boxes with captions", "[unit]") {
  const std::vector<std::string> names = {"shoe", "bag"};
  const std::vector<Label> labels = {{1, 0.5F, 0.25F, 0.5F, 0.5F, {}}, {7, 0, 0, 0, 0, {}}};
  const std::vector<DrawnBox> boxes = boxes_of(labels, names, 200, 100);
  REQUIRE(boxes.size() == 2);
  CHECK(boxes[0].x1 == 50);
  CHECK(boxes[0].y1 == 0);
  CHECK(boxes[0].x2 == 150);
  CHECK(boxes[0].y2 == 50);
  CHECK(boxes[0].caption == "bag");
  CHECK(boxes[1].caption == "7");
  const std::vector<Detection> detections = {{0, 0, 1, 1, 0.94F, 0},
                                             {0, 0, 1, 1, 0.25F, 0},
                                             {0, 0, 1, 1, std::nanf(""), 0},
                                             {0, 0, 1, 1, 0.26F, 1}};
  const std::vector<DrawnBox> shown = boxes_of(detections, names);
  REQUIRE(shown.size() == 2);
  CHECK(shown[0].caption == "bag 0.3");
  CHECK(shown[1].caption == "shoe 0.9");  // the best lies on top
}

TEST_CASE("draw: a mosaic has its pictures in order, enlarged or made smaller", "[unit]") {
  std::vector<Tile> tiles;
  tiles.reserve(5);
  for (int i = 0; i < 5; ++i) {
    tiles.push_back({filled(128, 128, static_cast<std::uint8_t>(40 * i)), {}, ""});
  }
  tiles[4].image = filled(64, 128, 200);
  const Image small = mosaic(tiles);
  CHECK(small.width == 3 * 384 + 4);  // three times as large
  CHECK(small.height == 2 * 384 + 2);
  CHECK(at(small, 10, 10) == Color{0, 0, 0});
  CHECK(at(small, 386 + 10, 10) == Color{40, 40, 40});
  CHECK(at(small, 10, 386 + 10) == Color{120, 120, 120});
  CHECK(at(small, 386 + 192, 386 + 10) == Color{114, 114, 114});  // a wide picture in a square
  CHECK(at(small, 386 + 192, 386 + 192) == Color{200, 200, 200});
  CHECK(at(small, 385, 10) == Color{255, 255, 255});

  const std::vector<Tile> large(20, {filled(100, 1000, 7), {}, ""});
  const Image wide = mosaic(large);
  CHECK(wide.width <= 1920);
  CHECK(wide.width > 1900);
  CHECK(wide.height < 300);
  CHECK_THROWS_AS(mosaic({}), ps::Error);
  CHECK_THROWS_AS(mosaic(std::vector<Tile>(1)), ps::Error);
}

TEST_CASE("draw: boxes and titles of a mosaic move with their pictures", "[unit]") {
  const std::vector<Tile> tiles = {{filled(100, 100, 10), {{25, 25, 75, 75, 2, ""}}, ""},
                                   {filled(100, 100, 10), {}, std::string(500, 'x') + ".jpg"}};
  const Image image = mosaic(tiles);
  REQUIRE(image.width == 802);
  CHECK(at(image, 100, 200) == class_color(2));
  CHECK(at(image, 300, 200) == class_color(2));
  CHECK(at(image, 200, 200) == Color{10, 10, 10});
  CHECK(at(image, 403, 399) != Color{10, 10, 10});  // below the title
  CHECK(at(image, 3, 399) == Color{10, 10, 10});
}

TEST_CASE("draw: a network's input becomes a picture again", "[unit]") {
  const std::vector<float> chw = {0, 1, 0.5F, 2, -1, std::nanf("")};  // two pixels
  const Image image = from_tensor(chw, 1, 2);
  CHECK(image.pixels == std::vector<std::uint8_t>{0, 128, 0, 255, 255, 0});
  CHECK_THROWS_AS(from_tensor(chw, 2, 2), ps::Error);
  CHECK_THROWS_AS(from_tensor(chw, -1, 2), ps::Error);
}
