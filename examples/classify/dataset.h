// Fashion-MNIST: 28 x 28 grey images of ten kinds of clothes, and the batches that a network reads.
// One thread or several: everything is const once loaded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace classify {

constexpr std::int64_t kImageSide = 28;
constexpr std::size_t kPixels = static_cast<std::size_t>(kImageSide * kImageSide);
constexpr std::int64_t kClasses = 10;

struct Dataset {
  std::vector<std::uint8_t> pixels;  // [size, 28, 28]
  std::vector<std::uint8_t> labels;  // [size], below kClasses

  [[nodiscard]] std::size_t size() const noexcept { return labels.size(); }
};

enum class Part { kTrain, kTest };

// The first `limit` samples (0: all) of the part, from its two files in `folder`. Throws ps::Error
// naming the file or the folder: kIo when it is not there or cannot be read, kCorrupt when it does
// not hold what Fashion-MNIST does.
Dataset load_dataset(const std::string& folder, Part part, std::size_t limit);

struct Batch {
  std::vector<float> images;         // [size, 1, 28, 28]: mean 0 and variance 1 over the data set
  std::vector<std::int32_t> labels;  // [size]

  [[nodiscard]] std::size_t size() const noexcept { return labels.size(); }
};

// Chance for augmentation: a sample's depends on these and its number alone, so that it is the
// same whichever worker reads it.
struct Augmentation {
  std::uint64_t seed = 0;
  std::uint32_t epoch = 0;
};

// The samples as they are. REQUIRES: indices below dataset.size().
Batch make_batch(const Dataset& dataset, std::span<const std::uint32_t> indices);
// The samples, each mirrored in one of two epochs on average. REQUIRES: likewise. (Shifts as well
// make four epochs a little worse: the network is small.)
Batch make_batch(const Dataset& dataset,
                 std::span<const std::uint32_t> indices,
                 const Augmentation& augmentation);

}  // namespace classify
