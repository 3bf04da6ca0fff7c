// Boxes with captions on pictures, and many pictures as one: what a batch or its predictions look
// like. Curves and statistics are plots.h's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ps/nn/detection.h>
#include <ps/vision/image.h>

namespace ps::vision {

struct Color {
  std::uint8_t red = 0;
  std::uint8_t green = 0;
  std::uint8_t blue = 0;

  bool operator==(const Color&) const = default;
};

// The color of a class: the first twenty differ, then they come again. Plots use the same.
[[nodiscard]] Color class_color(std::int32_t category) noexcept;
// Black or white, whichever can be read on it.
[[nodiscard]] Color text_color(Color background) noexcept;

// A box to be drawn: corners in pixels of the picture, which it may leave.
struct DrawnBox {
  float x1 = 0;
  float y1 = 0;
  float x2 = 0;
  float y2 = 0;
  std::int32_t category = 0;
  std::string caption;  // may be empty; characters beyond ASCII are drawn as '?'
};

// The labels of a picture of width x height pixels, named by their class. A category without a name
// is called by its number.
[[nodiscard]] std::vector<DrawnBox> boxes_of(std::span<const Label> labels,
                                             std::span<const std::string> names,
                                             int width,
                                             int height);
// Detections with a score above `least_score`, the best drawn last: "name 0.9".
[[nodiscard]] std::vector<DrawnBox> boxes_of(std::span<const nn::Detection> detections,
                                             std::span<const std::string> names,
                                             float least_score = 0.25F);

// Draws the boxes in order, then their captions. Lines and captions grow with the picture. Boxes
// whose corners are not finite are left out. Throws Error(kInvalidArgument) for an image whose
// pixels are not height * width * 3.
void draw_boxes(Image& image, std::span<const DrawnBox> boxes);

// A picture of a mosaic.
struct Tile {
  Image image;
  std::vector<DrawnBox> boxes;  // in pixels of the image
  std::string title;            // in its corner; where too long, its end
};

inline constexpr std::size_t kMostTiles = 16;

// Up to kMostTiles pictures in a grid as square as can be, with their boxes: small pictures are
// enlarged so that captions can be read, large ones made smaller so that no side of the mosaic is
// above 1920. Further tiles are left out. Throws Error(kInvalidArgument) for no tiles, an empty
// image or a wrong number of pixels.
[[nodiscard]] Image mosaic(std::span<const Tile> tiles);

// A network's input [3, height, width], red green blue from 0 to 1, as a picture. Throws
// Error(kInvalidArgument) for another number of values.
[[nodiscard]] Image from_tensor(std::span<const float> chw, int height, int width);

}  // namespace ps::vision
