#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <opencv2/imgproc.hpp>
#include <utility>

#include <ps/error.h>
#include <ps/vision/draw.h>

#include "vision/pixels.h"
#include "vision/text.h"

namespace ps::vision {
namespace {

constexpr int kMostSide = 1920;  // of a mosaic
constexpr int kLeastTile = 320;  // below it a tile is enlarged
constexpr int kGap = 2;          // between tiles
constexpr std::uint8_t kPadding = 114;

// Dark enough for lines on white plots, far enough from each other to be told apart.
constexpr std::array<Color, 20> kColors = {{
    {31, 119, 180}, {255, 127, 14},  {44, 160, 44},  {148, 103, 189}, {214, 39, 40},
    {23, 190, 207}, {227, 119, 194}, {188, 189, 34}, {140, 86, 75},   {64, 224, 120},
    {90, 70, 220},  {255, 187, 60},  {0, 128, 128},  {200, 60, 130},  {120, 200, 255},
    {128, 128, 0},  {255, 130, 130}, {70, 90, 120},  {170, 110, 255}, {110, 110, 110},
}};

[[noreturn]] void misuse(const std::string& text) {
  throw Error(ErrorCode::kInvalidArgument, "draw: " + text);
}

void check(const Image& image) {
  const auto expected = static_cast<std::size_t>(std::max(image.height, 0)) *
                        static_cast<std::size_t>(std::max(image.width, 0)) * 3;
  if (image.height < 1 || image.width < 1 || image.pixels.size() != expected) {
    misuse("expected a picture with " + std::to_string(expected) + " bytes of pixels for " +
           std::to_string(image.width) + "x" + std::to_string(image.height) + ", got " +
           std::to_string(image.pixels.size()));
  }
}

std::string name_of(std::int32_t category, std::span<const std::string> names) {
  const auto i = static_cast<std::size_t>(category);
  return category >= 0 && i < names.size() ? names[i] : std::to_string(category);
}

// Sides of text and lines on a picture.
struct Scale {
  int text = 8;
  int line = 1;
};

Scale scale_of(const cv::Mat& picture) {
  const double side = (picture.rows + picture.cols) / 2.0;
  return {std::max(8, static_cast<int>(std::lround(side * 0.0155))),
          std::max(2, static_cast<int>(std::lround(side * 0.0035)))};
}

// Far enough outside, and still a number that lines can be drawn to.
int pixel(float value) {
  return static_cast<int>(std::lround(std::clamp(value, -10'000.0F, 40'000.0F)));
}

bool drawable(const DrawnBox& box) {
  return std::isfinite(box.x1 + box.y1 + box.x2 + box.y2);
}

void draw_lines(cv::Mat& picture, const DrawnBox& box, const Scale& scale) {
  const Color color = class_color(box.category);
  cv::rectangle(picture, {pixel(box.x1), pixel(box.y1)}, {pixel(box.x2), pixel(box.y2)},
                cv::Scalar(color.red, color.green, color.blue), scale.line, cv::LINE_AA);
}

// Above the box, or just in it where there is no room; and not beyond the sides.
void draw_caption(cv::Mat& picture, const DrawnBox& box, const Scale& scale) {
  const std::string caption = plain_text(box.caption);
  if (caption.empty()) return;
  const Color color = class_color(box.category);
  const cv::Size size = text_size(caption, scale.text);
  const int left = pixel(box.x1) - (scale.line + 1) / 2;
  const int above = pixel(box.y1) - size.height;
  const cv::Point corner(std::max(std::min(left, picture.cols - size.width), 0),
                         above >= 0 ? above : std::max(pixel(box.y1), 0));
  draw_text(picture, caption, corner, {scale.text, text_color(color), color, 1.0});
}

// Captions last, so that no line runs through them.
void draw_boxes(cv::Mat& picture, std::span<const DrawnBox> boxes) {
  const Scale scale = scale_of(picture);
  for (const DrawnBox& box : boxes) {
    if (drawable(box)) draw_lines(picture, box, scale);
  }
  for (const DrawnBox& box : boxes) {
    if (drawable(box)) draw_caption(picture, box, scale);
  }
}

// The end of `title` that fits into the width.
std::string fitting(const std::string& title, int height, int width) {
  if (text_size(title, height).width <= width) return title;
  for (std::size_t begin = 1; begin < title.size(); ++begin) {
    std::string end = "..." + title.substr(begin);
    if (text_size(end, height).width <= width) return end;
  }
  return "";
}

struct Grid {
  int columns = 1;
  int rows = 1;
  cv::Size tile;  // pixels, without the gap
};

Grid grid_of(std::span<const Tile> tiles) {
  Grid grid;
  const auto count = static_cast<int>(tiles.size());
  while (grid.columns * grid.columns < count) ++grid.columns;
  grid.rows = (count + grid.columns - 1) / grid.columns;
  cv::Size largest(1, 1);
  for (const Tile& tile : tiles) {
    check(tile.image);
    largest.width = std::max(largest.width, tile.image.width);
    largest.height = std::max(largest.height, tile.image.height);
  }
  const int side = std::max(largest.width, largest.height);
  const double wanted = side >= kLeastTile ? 1 : (kLeastTile + side - 1) / side;  // whole numbers
  const auto room = [](int tiles_in_row, int pixels) {
    return (kMostSide - kGap * (tiles_in_row - 1)) / (1.0 * tiles_in_row * pixels);
  };
  const double factor =
      std::min({wanted, room(grid.columns, largest.width), room(grid.rows, largest.height)});
  grid.tile = {std::max(1, static_cast<int>(largest.width * factor)),
               std::max(1, static_cast<int>(largest.height * factor))};
  return grid;
}

void draw_tile(cv::Mat& place, const Tile& tile) {
  const double factor =
      std::min(1.0 * place.cols / tile.image.width, 1.0 * place.rows / tile.image.height);
  const cv::Size size(std::clamp(cvRound(tile.image.width * factor), 1, place.cols),
                      std::clamp(cvRound(tile.image.height * factor), 1, place.rows));
  cv::Mat scaled;
  cv::resize(view(tile.image), scaled, size, 0, 0, factor < 1 ? cv::INTER_AREA : cv::INTER_CUBIC);
  std::vector<DrawnBox> boxes = tile.boxes;
  const auto x = static_cast<float>(1.0 * size.width / tile.image.width);
  const auto y = static_cast<float>(1.0 * size.height / tile.image.height);
  for (DrawnBox& box : boxes) {
    box.x1 *= x;
    box.y1 *= y;
    box.x2 *= x;
    box.y2 *= y;
  }
  draw_boxes(scaled, boxes);
  scaled.copyTo(place(cv::Rect((place.cols - size.width) / 2, (place.rows - size.height) / 2,
                               size.width, size.height)));
  const int height = scale_of(place).text;
  const std::string title = fitting(plain_text(tile.title), height, place.cols);
  const int top = place.rows - text_size(title, height).height;
  draw_text(place, title, {0, top}, {height, {255, 255, 255}, {0, 0, 0}, 0.55});
}

}  // namespace

Color class_color(std::int32_t category) noexcept {
  return kColors[static_cast<std::uint32_t>(category) % kColors.size()];
}

Color text_color(Color background) noexcept {
  // Rec. 709's luminance of what the eye sees linearly, roughly squared.
  const auto linear = [](std::uint8_t value) { return value / 255.0 * value / 255.0; };
  const double luminance = 0.2126 * linear(background.red) + 0.7152 * linear(background.green) +
                           0.0722 * linear(background.blue);
  return luminance > 0.25 ? Color{0, 0, 0} : Color{255, 255, 255};
}

std::vector<DrawnBox> boxes_of(std::span<const Label> labels,
                               std::span<const std::string> names,
                               int width,
                               int height) {
  std::vector<DrawnBox> boxes;
  boxes.reserve(labels.size());
  const auto x = static_cast<float>(width);
  const auto y = static_cast<float>(height);
  for (const Label& label : labels) {
    boxes.push_back({(label.x - label.width / 2) * x, (label.y - label.height / 2) * y,
                     (label.x + label.width / 2) * x, (label.y + label.height / 2) * y,
                     label.category, name_of(label.category, names)});
  }
  return boxes;
}

std::vector<DrawnBox> boxes_of(std::span<const nn::Detection> detections,
                               std::span<const std::string> names,
                               float least_score) {
  std::vector<nn::Detection> shown;
  for (const nn::Detection& detection : detections) {
    if (detection.score > least_score) shown.push_back(detection);
  }
  std::stable_sort(shown.begin(), shown.end(), [](const nn::Detection& a, const nn::Detection& b) {
    return a.score < b.score;
  });
  std::vector<DrawnBox> boxes;
  boxes.reserve(shown.size());
  for (const nn::Detection& detection : shown) {
    std::array<char, 32> score{};
    std::snprintf(score.data(), score.size(), " %.1f", double{detection.score});
    boxes.push_back({detection.x1, detection.y1, detection.x2, detection.y2, detection.category,
                     name_of(detection.category, names) + score.data()});
  }
  return boxes;
}

void draw_boxes(Image& image, std::span<const DrawnBox> boxes) {
  check(image);
  cv::Mat picture = view(image);
  draw_boxes(picture, boxes);
}

Image mosaic(std::span<const Tile> tiles) {
  if (tiles.empty()) misuse("expected at least one picture for a mosaic, got none");
  tiles = tiles.first(std::min(tiles.size(), kMostTiles));
  const Grid grid = grid_of(tiles);
  Image image = make_image(grid.rows * (grid.tile.height + kGap) - kGap,
                           grid.columns * (grid.tile.width + kGap) - kGap);
  cv::Mat canvas = view(image);
  canvas.setTo(cv::Scalar::all(255));
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    const auto column = static_cast<int>(i) % grid.columns;
    const auto row = static_cast<int>(i) / grid.columns;
    cv::Mat place =
        canvas(cv::Rect(column * (grid.tile.width + kGap), row * (grid.tile.height + kGap),
                        grid.tile.width, grid.tile.height));
    place.setTo(cv::Scalar::all(kPadding));
    draw_tile(place, tiles[i]);
  }
  return image;
}

Image from_tensor(std::span<const float> chw, int height, int width) {
  Image image = make_image(height, width);
  if (chw.size() != image.pixels.size()) {
    misuse("expected " + std::to_string(image.pixels.size()) + " values for a picture of " +
           std::to_string(width) + "x" + std::to_string(height) + ", got " +
           std::to_string(chw.size()));
  }
  const std::size_t plane = chw.size() / 3;
  for (std::size_t i = 0; i < chw.size(); ++i) {
    const float value = std::clamp(chw[i % 3 * plane + i / 3] * 255, 0.0F, 255.0F);
    image.pixels[i] = value > 0 ? static_cast<std::uint8_t>(std::lround(value)) : std::uint8_t{0};
  }
  return image;
}

}  // namespace ps::vision
