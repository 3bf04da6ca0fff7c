// A data set in memory whose pictures a test can foresee, or cannot read.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <ps/error.h>
#include <ps/vision/dataset.h>
#include <ps/vision/shapes.h>

namespace ps::vision {

using Color = std::array<std::uint8_t, 3>;

inline Color pixel(const Image& image, int y, int x) {
  const auto at = 3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(image.width) +
                       static_cast<std::size_t>(x));
  return {image.pixels[at], image.pixels[at + 1], image.pixels[at + 2]};
}

inline Image solid(int height, int width, const Color& color) {
  Image image{height, width, {}};
  for (int i = 0; i < height * width; ++i) {
    image.pixels.insert(image.pixels.end(), color.begin(), color.end());
  }
  return image;
}

// A picture of one color but for a rectangle, its only object, in another.
inline Sample rectangle(int height, int width, const Box& box, const Color& color, int category) {
  Sample sample{solid(height, width, {10, 20, 30}), {}};
  for (int y = static_cast<int>(box.y1); y < static_cast<int>(box.y2); ++y) {
    for (int x = static_cast<int>(box.x1); x < static_cast<int>(box.x2); ++x) {
      std::copy(color.begin(), color.end(), sample.image.pixels.begin() + 3 * (y * width + x));
    }
  }
  const auto w = static_cast<float>(width);
  const auto h = static_cast<float>(height);
  sample.labels.push_back({category,
                           (box.x1 + box.x2) / 2 / w,
                           (box.y1 + box.y2) / 2 / h,
                           (box.x2 - box.x1) / w,
                           (box.y2 - box.y1) / h,
                           {}});
  return sample;
}

// Gives the label an outline: the box itself.
inline void outline(Label& label) {
  const float x1 = label.x - label.width / 2;
  const float y1 = label.y - label.height / 2;
  const float x2 = label.x + label.width / 2;
  const float y2 = label.y + label.height / 2;
  label.polygon = {x1, y1, x2, y1, x2, y2, x1, y2};
}

class FakeDataset : public Dataset {
 public:
  std::vector<Sample> samples;
  std::set<std::size_t> unreadable;  // these throw `code`
  ErrorCode code = ErrorCode::kCorrupt;

  [[nodiscard]] std::size_t size() const override { return samples.size(); }
  [[nodiscard]] const std::vector<std::string>& names() const override { return names_; }
  [[nodiscard]] Sample load(std::size_t index) const override {
    if (unreadable.count(index) > 0) throw Error(code, source(index) + ": damaged");
    return samples.at(index);
  }
  [[nodiscard]] std::span<const Label> labels(std::size_t index) const override {
    return samples.at(index).labels;
  }
  [[nodiscard]] std::string source(std::size_t index) const override {
    return "fake " + std::to_string(index);
  }

 private:
  std::vector<std::string> names_{"a", "b", "c", "d"};
};

// Pictures of noise in several shapes, each with two objects, one of them with an outline.
inline void add_noise(FakeDataset& data, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    const int height = 40 + static_cast<int>(i * 7 % 30);
    const int width = 40 + static_cast<int>(i * 11 % 50);
    Image image = solid(height, width, {0, 0, 0});
    std::uint32_t state = static_cast<std::uint32_t>(i) + 1;
    for (std::uint8_t& value : image.pixels) {
      state = state * 1664525U + 1013904223U;
      value = static_cast<std::uint8_t>(state >> 24);
    }
    const int category = static_cast<int>(i % 4);
    data.samples.push_back(
        {std::move(image),
         {{category, 0.3F, 0.4F, 0.4F, 0.5F, {}}, {category, 0.7F, 0.6F, 0.5F, 0.6F, {}}}});
    outline(data.samples.back().labels[1]);
  }
}

}  // namespace ps::vision
