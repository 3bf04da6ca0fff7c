// OpenCV's view of an Image: the same bytes, nothing copied. The view must not outlive the Image,
// and its channels are in the Image's order (red, green, blue), not OpenCV's.
#pragma once

#include <opencv2/core.hpp>

#include <ps/vision/image.h>

namespace ps::vision {

inline cv::Mat view(Image& image) {
  return {image.height, image.width, CV_8UC3, image.pixels.data()};
}

// To read from only: cv::Mat knows no constant pixels.
inline cv::Mat view(const Image& image) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): see above
  return {image.height, image.width, CV_8UC3, const_cast<std::uint8_t*>(image.pixels.data())};
}

}  // namespace ps::vision
