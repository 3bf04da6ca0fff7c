// Small text on pictures: OpenCV's strokes, drawn large and made smaller, so that they are smooth.
#pragma once

#include <opencv2/core.hpp>
#include <string>

#include <ps/vision/draw.h>

namespace ps::vision {

// One '?' for each character that the strokes do not have.
std::string plain_text(const std::string& text);

struct TextStyle {
  int height = 10;  // of a capital letter, pixels
  Color color;
  Color background;
  double cover = 1.0;  // how much of what lies behind the background covers
};

// The sides of `text` with the background around it.
cv::Size text_size(const std::string& text, int height);

// Draws `text` (plain) with its background's upper left corner at `corner`; what lies beyond the
// picture is cut off.
void draw_text(cv::Mat& picture, const std::string& text, cv::Point corner, const TextStyle& style);

}  // namespace ps::vision
