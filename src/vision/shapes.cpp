#include <algorithm>
#include <cmath>
#include <numeric>
#include <opencv2/imgproc.hpp>
#include <string>

#include <ps/error.h>
#include <ps/vision/shapes.h>

#include "base/random.h"
#include "vision/canvas.h"

namespace ps::vision {

namespace {

std::string text(ImageSize size) {
  return std::to_string(size.height) + " x " + std::to_string(size.width);
}

int round_up(int value, int stride) {
  return (value + stride - 1) / stride * stride;
}

// "scal": keeps these numbers apart from others drawn from the same seed.
constexpr std::uint64_t kStream = 0x7363616C;

}  // namespace

void require_size(ImageSize size, const char* what) {
  if (size.height > 0 && size.width > 0) return;
  throw Error(ErrorCode::kInvalidArgument, std::string(what) +
                                               " is to have at least one pixel; it is " +
                                               text(size) + " (height x width)");
}

LetterboxFrame letterbox_frame(ImageSize picture, ImageSize size) {
  require_size(picture, "a picture to put into a letterbox");
  require_size(size, "a letterbox");
  const double scale = std::min(static_cast<double>(size.height) / picture.height,
                                static_cast<double>(size.width) / picture.width);
  // A very flat picture keeps at least one row.
  const auto scaled = [scale](int side, int limit) {
    return std::clamp(static_cast<int>(std::lrint(side * scale)), 1, limit);
  };
  LetterboxFrame frame;
  frame.scale = static_cast<float>(scale);
  frame.inner = {scaled(picture.height, size.height), scaled(picture.width, size.width)};
  frame.left = (size.width - frame.inner.width) / 2;
  frame.top = (size.height - frame.inner.height) / 2;
  frame.source = picture;
  return frame;
}

Box to_source(const LetterboxFrame& frame, const Box& box) {
  const auto back = [&frame](float value, int padding, int limit) {
    return std::clamp((value - static_cast<float>(padding)) / frame.scale, 0.0F,
                      static_cast<float>(limit));
  };
  return {
      back(box.x1, frame.left, frame.source.width), back(box.y1, frame.top, frame.source.height),
      back(box.x2, frame.left, frame.source.width), back(box.y2, frame.top, frame.source.height)};
}

std::vector<std::uint32_t> rectangular_order(std::span<const ImageSize> pictures) {
  for (const ImageSize& picture : pictures)
    require_size(picture, "a picture of a rectangular batch");
  std::vector<std::uint32_t> order(pictures.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [pictures](std::uint32_t a, std::uint32_t b) {
    return std::int64_t{pictures[a].height} * pictures[b].width <
           std::int64_t{pictures[b].height} * pictures[a].width;
  });
  return order;
}

ImageSize rectangular_shape(std::span<const ImageSize> pictures, int size, int stride) {
  if (pictures.empty() || size <= 0 || stride <= 0) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "a rectangular batch needs a picture, a positive size and a positive stride; it has " +
            std::to_string(pictures.size()) + " pictures, size " + std::to_string(size) +
            " and stride " + std::to_string(stride));
  }
  ImageSize shape;
  for (const ImageSize& picture : pictures) {
    const ImageSize inner = letterbox_frame(picture, {size, size}).inner;
    shape.height = std::max(shape.height, inner.height);
    shape.width = std::max(shape.width, inner.width);
  }
  return {round_up(shape.height, stride), round_up(shape.width, stride)};
}

int multi_scale_size(int size, int stride, std::uint64_t seed, std::uint64_t step) {
  if (size <= 0 || stride <= 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "multi-scale needs a positive size and stride; it has size " +
                    std::to_string(size) + " and stride " + std::to_string(stride));
  }
  const int low = size / 2;                   // int(.5 size)
  const int high = size + size / 2 + stride;  // int(1.5 size) + stride
  const std::array<std::uint32_t, 4> key = philox(seed, step, kStream);
  Random random(std::uint64_t{key[0]} << 32 | key[1]);
  const int drawn = low + static_cast<int>(random.below(static_cast<std::uint64_t>(high - low)));
  return std::max(drawn / stride, 1) * stride;
}

void resize_batch(std::span<const float> from,
                  ImageSize from_size,
                  std::span<float> to,
                  ImageSize to_size) {
  require_size(from_size, "a batch to resize");
  require_size(to_size, "a resized batch");
  const auto pixels = [](ImageSize size) {
    return static_cast<std::size_t>(size.height) * static_cast<std::size_t>(size.width);
  };
  const std::size_t planes = from.size() / pixels(from_size);
  if (planes * pixels(from_size) != from.size() || planes * pixels(to_size) != to.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                "a batch is resized from planes of " + text(from_size) + " to as many of " +
                    text(to_size) + "; given are " + std::to_string(from.size()) + " and " +
                    std::to_string(to.size()) + " values");
  }
  use_no_threads();
  for (std::size_t i = 0; i < planes; ++i) {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): cv::Mat knows no constant pixels
    auto* plane = const_cast<float*>(from.data() + i * pixels(from_size));
    const cv::Mat source(from_size.height, from_size.width, CV_32FC1, plane);
    cv::Mat target(to_size.height, to_size.width, CV_32FC1, to.data() + i * pixels(to_size));
    cv::resize(source, target, target.size(), 0, 0, cv::INTER_LINEAR);
  }
}

}  // namespace ps::vision
