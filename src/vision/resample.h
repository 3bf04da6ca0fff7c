// Shrinking and stretching in integers, so that the pixels are the same on every machine: OpenCV's
// results depend on the instruction set. Fit for data that are generated, not a replacement
// elsewhere.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ps/vision/image.h>

namespace ps::vision {

// `image` with its smaller side reduced to `side` (never enlarged) and its shape kept: each new
// pixel is the exact average of the area that it covers, rounded half up.
Image shrunk(Image image, int side);

// `image` and its halves, each of them the 2x2 averages of the one before, down to a smaller side
// of no less than `side`.
std::vector<Image> halvings(Image image, int side);

struct Square {  // of the first of `levels`, in its pixels
  int left = 0;
  int top = 0;
  int side = 0;
};
// The square as a size x size picture, bilinear (8 bits of weight) from the halving that is at
// least as fine; mirrored left to right when asked for.
Image crop(std::span<const Image> levels, const Square& square, int size, bool mirrored);

// [from, from] grey values as [to, to], bilinear.
std::vector<std::uint8_t> stretched(std::span<const std::uint8_t> values, int from, int to);

}  // namespace ps::vision
