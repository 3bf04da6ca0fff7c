#include "vision/text.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <opencv2/imgproc.hpp>

namespace ps::vision {
namespace {

constexpr int kFont = cv::FONT_HERSHEY_SIMPLEX;
constexpr double kCapital = 21.0;  // height of a capital letter at scale 1
constexpr int kFine = 4;           // drawn so many times larger

int margin(int height) {
  return std::max(2, static_cast<int>(std::lround(height * 0.4)));
}

int stroke(int height) {
  return std::max(1, static_cast<int>(std::lround(height * kFine * 0.13)));
}

std::uint8_t blend(std::uint8_t below, std::uint8_t above, double share) {
  return static_cast<std::uint8_t>(std::lround(below + (above - below) * share));
}

// How much of each pixel the letters cover, 0 to 255.
cv::Mat letters(const std::string& text, int height, cv::Size size) {
  cv::Mat fine(size * kFine, CV_8UC1, cv::Scalar(0));
  const cv::Point origin(margin(height) * kFine, (size.height - margin(height)) * kFine);
  cv::putText(fine, text, origin, kFont, height * kFine / kCapital, cv::Scalar(255), stroke(height),
              cv::LINE_AA);
  cv::Mat cover;
  cv::resize(fine, cover, size, 0, 0, cv::INTER_AREA);
  return cover;
}

}  // namespace

std::string plain_text(const std::string& text) {
  std::string plain;
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    if (byte >= 0x20 && byte < 0x7F) {
      plain += letter;
    } else if ((byte & 0xC0U) != 0x80U) {  // but not each byte of a longer character
      plain += '?';
    }
  }
  return plain;
}

cv::Size text_size(const std::string& text, int height) {
  int below = 0;
  const cv::Size letters =
      cv::getTextSize(text, kFont, height * kFine / kCapital, stroke(height), &below);
  return {letters.width / kFine + 1 + 2 * margin(height), height + 2 * margin(height)};
}

void draw_text(cv::Mat& picture,
               const std::string& text,
               cv::Point corner,
               const TextStyle& style) {
  if (text.empty()) return;
  const cv::Size size = text_size(text, style.height);
  const cv::Mat cover = letters(text, style.height, size);
  const cv::Rect seen = cv::Rect(corner, size) & cv::Rect({0, 0}, picture.size());
  for (int y = seen.y; y < seen.y + seen.height; ++y) {
    for (int x = seen.x; x < seen.x + seen.width; ++x) {
      auto& pixel = picture.at<cv::Vec3b>(y, x);
      const double letter = cover.at<std::uint8_t>(y - corner.y, x - corner.x) / 255.0;
      const auto mix = [&](int channel, std::uint8_t behind, std::uint8_t front) {
        pixel[channel] = blend(blend(pixel[channel], behind, style.cover), front, letter);
      };
      mix(0, style.background.red, style.color.red);
      mix(1, style.background.green, style.color.green);
      mix(2, style.background.blue, style.color.blue);
    }
  }
}

}  // namespace ps::vision
