// Batches for a detector, loaded and augmented ahead of their use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ps/nn/detection.h>
#include <ps/vision/augment.h>
#include <ps/vision/dataset.h>
#include <ps/vision/shapes.h>

namespace ps::vision {

// What the next batch shall be.
struct BatchOrder {
  std::vector<std::size_t> indices;  // of the data set's pictures; at least one
  std::uint32_t epoch = 0;           // changes what is drawn
  std::uint64_t step = 0;            // handed on unread
  ImageSize size;                    // samples are made so large
  ImageSize scaled = {0, 0};         // and then resized to this (multi-scale); 0: they are not
  Augmentation augmentation;         // may change from order to order, as for the last epochs
};

// A batch of n samples, in the order of its indices.
struct DetectionBatch {
  std::vector<float> images;  // [n, 3, size.height, size.width], red green blue, [0, 1]
  ImageSize size;
  std::vector<nn::Target> targets;  // by image, then as the sample has them
  std::vector<std::size_t> indices;
  std::uint32_t epoch = 0;
  std::uint64_t step = 0;
  // How each picture lies in its sample of the order's `size`, as long as nothing moves it: without
  // mosaic and change of view.
  std::vector<LetterboxFrame> frames;
  std::vector<std::string> faults;  // pictures that could not be read; gray stands in for them
};

struct LoaderOptions {
  std::uint64_t seed = 0;
  int workers = 2;  // threads; 0: next() does the work itself
  int ahead = 2;    // batches being made or ready while one is in use, at least 1
};

// Delivers batches in the order in which they were ordered, the same whatever `workers` and
// `ahead`. The memory of ahead + 1 batches is used in turn; it grows to the largest batch and
// stays.
class BatchLoader {
 public:
  // The next order; nothing at the end. May wait. Called by one of the loader's threads at a time
  // (with workers 0 by next()'s); what it throws, next() throws after the batches before it.
  using Source = std::function<std::optional<BatchOrder>()>;

  // `data` outlives the loader. Error{kInvalidArgument}: options out of range.
  BatchLoader(const Dataset& data, const LoaderOptions& options, Source source);
  // Stops at the samples being made; waits for the source if it is being asked.
  ~BatchLoader();
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  // The next batch, until next() is called again or the loader ends; nullptr at the end. Throws
  // what making it threw, and again whenever it is called after that. One thread calls it.
  const DetectionBatch* next();

  // What next() took in all: with workers, the time spent waiting for data.
  [[nodiscard]] double seconds_waited() const;
  // Pictures replaced by gray in the batches delivered; one counts as often as it was met.
  [[nodiscard]] std::uint64_t replaced() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ps::vision
