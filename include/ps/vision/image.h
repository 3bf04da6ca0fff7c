// 8-bit colour pictures in memory and in files, and the objects marked in them. Not what is done
// with pictures (augment.h) nor sets of them (dataset.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ps::vision {

// A picture: pixels is [height, width, 3], rows from the top, red green blue, interleaved, so it
// has height * width * 3 bytes.
struct Image {
  int height = 0;
  int width = 0;
  std::vector<std::uint8_t> pixels;

  bool operator==(const Image&) const = default;
};

// A black picture. Throws Error{kInvalidArgument} for sides below 0 or more than kMaxImagePixels.
Image make_image(int height, int width);

// No picture may have more pixels: a small file can claim any number, and memory is taken for them.
constexpr std::int64_t kMaxImagePixels = std::int64_t{1} << 28;

// The picture in a file (JPEG, PNG, BMP, TIFF, WebP), turned as its EXIF data say; grey ones get
// three equal channels, alpha and more than 8 bits are dropped. Any thread. Throws Error naming the
// file: kIo when it cannot be read; kCorrupt when it is no picture, is truncated, or claims more
// than kMaxImagePixels.
Image read_image(const std::string& path);

// Writes (over) a file in the format that its name's ending says; JPEG with quality 95. Any thread.
// Throws Error: kInvalidArgument for an empty picture or an unknown ending, kIo when it cannot be
// written.
void write_image(const std::string& path, const Image& image);

// One object of a picture: its box's center and size as fractions of the picture's sides, and its
// outline where the data have one (x, y pairs, fractions; empty otherwise).
struct Label {
  std::int32_t category = 0;
  float x = 0;
  float y = 0;
  float width = 0;
  float height = 0;
  std::vector<float> polygon;

  bool operator==(const Label&) const = default;
};

}  // namespace ps::vision
