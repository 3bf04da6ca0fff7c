// Training samples: a data set's pictures, mixed, moved and recolored, with their labels.
//
// Everything drawn depends on (seed, epoch, sample number) alone, through counters, so any number
// of threads and processes sees the same epoch. Each stage has numbers of its own: switching one on
// changes no other's. The stages, and what each draws, in order:
//   mosaic       chance(mosaic); center x, y ~ U(half, three halves of the size); three pictures
//   copy_paste   for each object with a polygon: chance(copy_paste)
//   view         perspective x, y; degrees; scale; shear x, y; translation x, y
//   mixup        chance(mixup); the other picture; share ~ Beta(32, 32)
//   cutmix       chance(cutmix); three times: share ~ Beta(1, 1), center x, y; the other picture
//   color        gains of hue, saturation, value
//   flips        chance(flipud), chance(fliplr)
// mixup's and cutmix's other picture passes through mosaic, copy_paste and view with its own
// numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ps/vision/dataset.h>
#include <ps/vision/image.h>
#include <ps/vision/shapes.h>

namespace ps::vision {

// Names and meanings of the users' hyper-parameter files.
struct Augmentation {
  float hsv_h = 0.015F;  // gain 1 + U(-1, 1) * hsv_h, [0, 1]
  float hsv_s = 0.7F;
  float hsv_v = 0.4F;
  float degrees = 0;       // +-, [0, 180]
  float translate = 0.1F;  // +- of the size, [0, 1]
  float scale = 0.5F;      // U(1 - scale, 1 + scale), [0, 1)
  float shear = 0;         // +- degrees, [0, 90)
  float perspective = 0;   // +-, [0, 0.001]
  float flipud = 0;        // from here on probabilities
  float fliplr = 0.5F;
  float mosaic = 1;
  float mixup = 0;
  float cutmix = 0;
  float copy_paste = 0;  // of each object that has a polygon

  // Nothing is drawn: a sample is its letterboxed picture, as validation wants it.
  static Augmentation none();
  // The same without what mixes pictures (mosaic, mixup, cutmix, copy_paste): for the last epochs.
  [[nodiscard]] Augmentation without_mixing() const;
};

// Error{kInvalidArgument} that names the first value out of its range.
void check(const Augmentation& options);

// --- Parts

struct Letterbox : LetterboxFrame {
  Image image;
};

// The picture scaled into height x width, the rest gray 114. Bilinear; where it shrinks to less
// than half, each pixel is the mean of those it covers.
Letterbox letterbox(const Image& image, int height, int width);

// image [height, width, 3] bytes -> chw [3, height, width], value / 255. Error{kInvalidArgument}
// unless chw has just that many.
void to_tensor(const Image& image, std::span<float> chw);

// --- The whole

struct SampleKey {
  std::uint64_t seed = 0;
  std::uint32_t epoch = 0;
  std::size_t index = 0;  // of the data set's pictures
};

// One sample of size.height x size.width. Boxes are clipped to it; dropped are those that a change
// of view leaves not over 2 pixels a side, 100 times as long as wide, or with at most a tenth of
// their area (a hundredth where a polygon tells the object's shape).
//
// A picture that cannot be read (kIo, kCorrupt) becomes plain gray without labels and its Error's
// text is appended to `faults`; without `faults` the Error is thrown. Any thread; starts none.
// Error{kInvalidArgument}: options out of range, a size that is not positive, no such picture.
Sample augmented(const Dataset& data,
                 const SampleKey& key,
                 ImageSize size,
                 const Augmentation& options,
                 std::vector<std::string>* faults = nullptr);

}  // namespace ps::vision
