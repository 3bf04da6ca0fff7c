// Pictures from and to files: OpenCV's decoders behind a check of what the file claims.
#include <algorithm>
#include <cstring>
#include <exception>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include <ps/error.h>
#include <ps/vision/image.h>

#include "vision/bytes.h"
#include "vision/picture_file.h"
#include "vision/pixels.h"

namespace ps::vision {
namespace {

constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 30;

// A loop of our own, since OpenCV's conversion starts threads for it.
void swap_red_and_blue(const cv::Mat& from, Image& to) {
  const auto row_bytes = static_cast<std::size_t>(to.width) * 3;
  for (int row = 0; row < to.height; ++row) {
    const std::uint8_t* source = from.ptr<std::uint8_t>(row);
    std::uint8_t* target = to.pixels.data() + static_cast<std::size_t>(row) * row_bytes;
    for (std::size_t i = 0; i < row_bytes; i += 3) {
      target[i] = source[i + 2];
      target[i + 1] = source[i + 1];
      target[i + 2] = source[i];
    }
  }
}

}  // namespace

Image make_image(int height, int width) {
  if (height < 0 || width < 0 || std::int64_t{height} * width > kMaxImagePixels) {
    throw Error(ErrorCode::kInvalidArgument,
                "a picture of " + std::to_string(width) + "x" + std::to_string(height) +
                    " pixels; at most " + std::to_string(kMaxImagePixels) + " in all are possible");
  }
  Image image{height, width, {}};
  image.pixels.resize(static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3);
  return image;
}

Image read_image(const std::string& path) {
  const std::vector<std::uint8_t> bytes = read_file(path, kMaxFileBytes);
  MemoryBytes file(bytes);
  std::string why;
  if (!probe_picture(file, &why)) throw Error(ErrorCode::kCorrupt, path + ": " + why);
  cv::Mat decoded;
  try {
    decoded = cv::imdecode(bytes, cv::IMREAD_COLOR);
  } catch (const cv::Exception& error) {
    throw Error(ErrorCode::kCorrupt, path + ": cannot be decoded: " + error.err);
  }
  if (decoded.empty() || decoded.type() != CV_8UC3) {
    throw Error(ErrorCode::kCorrupt, path + ": cannot be decoded");
  }
  Image image = make_image(decoded.rows, decoded.cols);
  swap_red_and_blue(decoded, image);
  return image;
}

void write_image(const std::string& path, const Image& image) {
  const auto expected = static_cast<std::int64_t>(image.pixels.size());
  if (image.height <= 0 || image.width <= 0 ||
      std::int64_t{image.height} * image.width * 3 != expected) {
    throw Error(ErrorCode::kInvalidArgument, "cannot write " + path + ": a picture of " +
                                                 std::to_string(image.width) + "x" +
                                                 std::to_string(image.height) + " pixels with " +
                                                 std::to_string(expected) + " bytes");
  }
  Image swapped = make_image(image.height, image.width);
  swap_red_and_blue(view(image), swapped);
  std::vector<std::uint8_t> bytes;
  try {
    const std::size_t dot = std::min(path.rfind('.'), path.size());
    if (!is_picture_name(path) ||
        !cv::imencode(path.substr(dot), view(swapped), bytes, {cv::IMWRITE_JPEG_QUALITY, 95})) {
      throw Error(ErrorCode::kInvalidArgument,
                  "cannot write " + path +
                      ": expected a name that ends in .jpg, .png, .bmp, .tif or " + ".webp");
    }
  } catch (const cv::Exception& error) {
    throw Error(ErrorCode::kInvalidArgument, "cannot write " + path + ": " + error.err);
  }
  if (!replace_file(path, bytes)) {
    throw Error(ErrorCode::kIo, "cannot write " + path + ": " + std::strerror(errno));
  }
}

}  // namespace ps::vision
