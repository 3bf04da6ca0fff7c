// What FM-Det's pictures are made of: garments and photographs, read from the files of Debian
// packages. How they are put together is fm_det_scene.h's.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include <ps/vision/dataset.h>

namespace ps::vision {

constexpr int kGarmentSide = 28;

// Fashion-MNIST's pictures, grouped by FM-Det's classes. Constant once made.
class Garments {
 public:
  // Those of `split` (kTest: the same as kVal), in 5 or 10 classes. Throws as open_fm_det().
  Garments(const std::string& share, Split split, int classes);

  [[nodiscard]] int classes() const { return static_cast<int>(members_.size()); }
  [[nodiscard]] std::size_t count(int category) const { return members(category).size(); }
  // [28, 28] grey values, 0 where there is no garment.
  [[nodiscard]] std::span<const std::uint8_t> pixels(int category, std::size_t member) const;

 private:
  [[nodiscard]] const std::vector<std::uint32_t>& members(int category) const {
    return members_[static_cast<std::size_t>(category)];
  }
  std::vector<std::uint8_t> pixels_;
  std::vector<std::vector<std::uint32_t>> members_;  // by class: which pictures
};

// The photographs of a split, each decoded by whoever needs it first. Any thread.
class Photos {
 public:
  // Kept so that the smaller side of each has at most twice `size`, but 512, pixels, with halvings
  // down to `size`. Throws Error{kUnavailable} when one of the files is not there.
  Photos(const std::string& share, Split split, int size);

  [[nodiscard]] std::size_t count() const { return photos_.size(); }
  // Photograph `index` and its halvings. Throws Error{kIo|kCorrupt} naming the file.
  [[nodiscard]] std::span<const Image> levels(std::size_t index) const;

 private:
  struct Photo {
    std::string path;
    std::once_flag once;
    std::vector<Image> levels;
  };
  int size_;
  mutable std::vector<Photo> photos_;
};

// The classes' names for 5 or 10 classes.
std::vector<std::string> fm_det_names(int classes);

}  // namespace ps::vision
