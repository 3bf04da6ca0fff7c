// A picture under work with its objects, and the steps that change both. The steps reuse the memory
// of the canvases they are given; none starts a thread.
#pragma once

#include <array>
#include <opencv2/core.hpp>
#include <vector>

#include <ps/vision/augment.h>

#include "base/random.h"
#include "vision/geometry.h"

namespace ps::vision {

inline constexpr std::uint8_t kGray = 114;  // of everything no picture covers

struct Canvas {
  cv::Mat pixels;  // 8-bit, red green blue
  std::vector<Object> objects;
  [[nodiscard]] ImageSize size() const { return {pixels.rows, pixels.cols}; }
};

// OpenCV does its work in the calling thread, here and everywhere in the process: loaders have
// threads of their own, and more would only get into each other's way.
void use_no_threads();

// Error{kInvalidArgument} that names `what` unless both sides are positive.
void require_size(ImageSize size, const char* what);

// Bilinear; the mean of the covered pixels where it shrinks to less than half.
void resize(const cv::Mat& from, ImageSize size, cv::Mat& to);

// The sample's picture letterboxed into `size`, and its labels with it.
LetterboxFrame place(const Sample& sample, ImageSize size, Canvas& canvas);

// Four pictures, each scaled into `size`, around a common point (x, y) of a canvas of twice `size`:
// to its upper left, upper right, lower left and lower right, cropped by the canvas.
struct MosaicCenter {
  int x = 0;
  int y = 0;
};
void mosaic(const std::array<Sample, 4>& samples,
            ImageSize size,
            MosaicCenter center,
            Canvas& canvas);

// Mirrors objects that have a polygon, each with the probability, to the other side of the picture
// where they hide less than .30 of every object there.
void copy_paste(Random& random, float probability, Canvas& canvas);

// `from` seen through the view; the result has `size`. `from` loses its objects.
void change_view(const View& view, Canvas& from, ImageSize size, Canvas& to);

// share * canvas + (1 - share) * other; the objects of both.
void mix(double share, const Canvas& other, Canvas& canvas);

// Pixels of the canvas; x2 and y2 are beyond it.
struct Cut {
  int x1 = 0;
  int y1 = 0;
  int x2 = 0;
  int y2 = 0;
};
// A part for cut(), drawn as augmented() says; an empty one if each of the three touches an object.
Cut draw_cut(Random& random, const Canvas& canvas);
// Replaces a part by the other canvas', with those of its objects that have a tenth inside.
void paste_cut(const Cut& cut, const Canvas& other, Canvas& canvas);

// Multiplies hue (modulo its range), saturation and value.
void recolor(const std::array<double, 3>& gains, cv::Mat& pixels);

void flip_vertically(Canvas& canvas);
void flip_horizontally(Canvas& canvas);

// A share from Beta(n, n), as a quotient of sums of exponentials.
double symmetric_beta(Random& random, int n);

// [height, width, 3] bytes -> [3, height, width] / 255
void to_planes(const cv::Mat& pixels, std::span<float> chw);

}  // namespace ps::vision
