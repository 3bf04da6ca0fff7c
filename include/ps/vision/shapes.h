// The sizes that pictures and batches are brought to: letterboxes, rectangular batches,
// multi-scale.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ps::vision {

struct ImageSize {
  int height = 0;  // pixels
  int width = 0;
  friend bool operator==(const ImageSize&, const ImageSize&) = default;
};

// A box by its corners, in pixels of whatever it was found in; x1 <= x2, y1 <= y2.
struct Box {
  float x1 = 0;
  float y1 = 0;
  float x2 = 0;
  float y2 = 0;
};

// How a picture lies, scaled as a whole and centered, in a larger one.
struct LetterboxFrame {
  float scale = 1;  // a pixel of the picture becomes so many
  int left = 0;     // padding before it, pixels
  int top = 0;
  ImageSize inner;   // of the picture when scaled
  ImageSize source;  // of the picture before
};

// scale = min(size / picture); inner = picture * scale rounded to even; the left (upper) padding is
// the smaller half where they differ. Sizes are positive, or Error{kInvalidArgument}.
LetterboxFrame letterbox_frame(ImageSize picture, ImageSize size);

// A box in the letterbox as one in the picture: padding off, scaled back, clipped to the picture.
Box to_source(const LetterboxFrame& frame, const Box& box);

// --- Rectangular batches: pictures of like shape together waste less on padding.

// Picture numbers by height / width, widest first; equal ones keep their order.
std::vector<std::uint32_t> rectangular_order(std::span<const ImageSize> pictures);

// The smallest shape, in whole strides, that holds each of a batch's pictures when its longer side
// is `size` pixels. At least one picture, all positive, or Error{kInvalidArgument}.
ImageSize rectangular_shape(std::span<const ImageSize> pictures, int size, int stride = 32);

// --- Multi-scale training

// The side of a step's batch: randrange(int(.5 size), int(1.5 size) + stride) rounded down to whole
// strides, at least one. Depends on (seed, step) alone, so every worker of a step has the same.
int multi_scale_size(int size, int stride, std::uint64_t seed, std::uint64_t step);

// Bilinear, corners not aligned, edges repeated; targets as fractions stay true. Both are planes
// [any, height, width], e.g. a batch [n, 3, height, width]; Error{kInvalidArgument} if they do not
// have equally many. Any thread; starts none.
void resize_batch(std::span<const float> from,
                  ImageSize from_size,
                  std::span<float> to,
                  ImageSize to_size);

}  // namespace ps::vision
