// Loading checks everything once, so that training checks nothing.
#include "dataset.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include <ps/error.h>

#include "idx.h"

namespace classify {
namespace {

// Of the pixels of the 60,000 training images, on the scale from 0 to 1.
constexpr float kMean = 0.2860F;
constexpr float kDeviation = 0.3530F;

[[noreturn]] void corrupt(const std::string& path, const std::string& what) {
  throw ps::Error(ps::ErrorCode::kCorrupt, path + ": " + what);
}

void check_folder(const std::string& folder) {
  std::error_code error;
  if (std::filesystem::is_directory(folder, error)) return;
  throw ps::Error(ps::ErrorCode::kIo,
                  "there is no folder " + folder +
                      ": name the one with Fashion-MNIST's four .gz files by --data (Debian's "
                      "package dataset-fashion-mnist puts them into "
                      "/usr/share/datasets/fashion-mnist)");
}

void check_images(const std::string& path, const Idx& images) {
  constexpr auto kSide = static_cast<std::uint32_t>(kImageSide);
  if (images.shape.size() == 3 && images.shape[1] == kSide && images.shape[2] == kSide) return;
  std::string shape;
  for (const std::uint32_t dimension : images.shape) {
    shape += (shape.empty() ? "" : " x ") + std::to_string(dimension);
  }
  corrupt(path, "expected images of 28 x 28, got " + shape);
}

void check_labels(const std::string& path, const Idx& labels) {
  if (labels.shape.size() != 1) {
    corrupt(path, "expected a list of labels, got " + std::to_string(labels.shape.size()) +
                      " dimensions (is this the file of images?)");
  }
  const auto bad = std::find_if(labels.values.begin(), labels.values.end(),
                                [](std::uint8_t label) { return label >= kClasses; });
  if (bad == labels.values.end()) return;
  corrupt(path, "label " + std::to_string(bad - labels.values.begin()) + " is " +
                    std::to_string(*bad) + "; expected 0 to " + std::to_string(kClasses - 1));
}

// splitmix64: 64 well-mixed bits of any 64.
std::uint64_t mix(std::uint64_t bits) {
  bits += 0x9e3779b97f4a7c15U;
  bits = (bits ^ bits >> 30U) * 0xbf58476d1ce4e5b9U;
  bits = (bits ^ bits >> 27U) * 0x94d049bb133111ebU;
  return bits ^ bits >> 31U;
}

bool is_mirrored(const Augmentation& augmentation, std::uint32_t sample) {
  return mix(mix(augmentation.seed) ^ (std::uint64_t{augmentation.epoch} << 32U | sample)) >> 63U;
}

constexpr std::array<float, 256> make_scale() {
  std::array<float, 256> scale{};
  for (std::size_t i = 0; i < scale.size(); ++i) {
    scale[i] = (static_cast<float>(i) / 255.0F - kMean) / kDeviation;
  }
  return scale;
}
constexpr std::array<float, 256> kScale = make_scale();

void draw(std::span<const std::uint8_t> pixels, bool mirrored, std::span<float> image) {
  constexpr auto kSide = static_cast<std::size_t>(kImageSide);
  for (std::size_t row = 0; row < kPixels; row += kSide) {
    for (std::size_t x = 0; x < kSide; ++x) {
      image[row + x] = kScale[pixels[row + (mirrored ? kSide - 1 - x : x)]];
    }
  }
}

template <class IsMirrored>
Batch make(const Dataset& dataset,
           std::span<const std::uint32_t> indices,
           const IsMirrored& mirrored) {
  Batch batch;
  batch.images.resize(indices.size() * kPixels);
  batch.labels.reserve(indices.size());
  const std::span<const std::uint8_t> pixels = dataset.pixels;
  std::span<float> images = batch.images;
  for (const std::uint32_t index : indices) {
    draw(pixels.subspan(index * kPixels, kPixels), mirrored(index), images.first(kPixels));
    images = images.subspan(kPixels);
    batch.labels.push_back(dataset.labels[index]);
  }
  return batch;
}

}  // namespace

Dataset load_dataset(const std::string& folder, Part part, std::size_t limit) {
  check_folder(folder);
  const std::string prefix = folder + (part == Part::kTrain ? "/train-" : "/t10k-");
  const std::string images_path = prefix + "images-idx3-ubyte.gz";
  const std::string labels_path = prefix + "labels-idx1-ubyte.gz";
  Idx images = read_idx(images_path);
  Idx labels = read_idx(labels_path);
  check_images(images_path, images);
  check_labels(labels_path, labels);
  if (images.shape[0] != labels.shape[0]) {
    corrupt(labels_path, std::to_string(labels.shape[0]) + " labels for the " +
                             std::to_string(images.shape[0]) + " images of " + images_path);
  }
  Dataset dataset{std::move(images.values), std::move(labels.values)};
  if (limit != 0 && limit < dataset.size()) {
    dataset.pixels.resize(limit * kPixels);
    dataset.labels.resize(limit);
  }
  return dataset;
}

Batch make_batch(const Dataset& dataset, std::span<const std::uint32_t> indices) {
  return make(dataset, indices, [](std::uint32_t) { return false; });
}

Batch make_batch(const Dataset& dataset,
                 std::span<const std::uint32_t> indices,
                 const Augmentation& augmentation) {
  return make(dataset, indices,
              [&](std::uint32_t index) { return is_mirrored(augmentation, index); });
}

}  // namespace classify
