#include "data.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>
#include <vector>

#include <ps/error.h>

#include "base/random.h"
#include "examples/classify/network.h"

namespace psbench {
namespace {

constexpr std::uint32_t kHeldOut = 1000;
constexpr std::uint32_t kTrained = 20000;
constexpr std::uint64_t kPatternSeed = 11;
constexpr double kNoise = 90.0;        // grey levels of 255
constexpr double kContrast = 40.0;     // likewise
constexpr double kWrongLabels = 0.05;  // in the training and the held-out part
constexpr std::int64_t kHidden = 32;
constexpr auto kSide = static_cast<std::size_t>(classify::kImageSide);

using Pattern = std::array<double, classify::kPixels>;

// Noise of 7 x 7 cells.
Pattern pattern_of(std::uint64_t label) {
  ps::Random random(kPatternSeed, label);
  std::array<double, 16> cells{};
  for (double& cell : cells) cell = kContrast * random.normal();
  Pattern pattern{};
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    pattern[i] = 100.0 + cells[i / kSide / 7 * 4 + i % kSide / 7];
  }
  return pattern;
}

}  // namespace

std::string resolve_data(const std::string& folder) {
  std::error_code none;
  return std::filesystem::is_directory(folder, none) ? folder : kSynthetic;
}

classify::Dataset draw_images(std::uint32_t count, std::uint64_t seed) {
  std::vector<Pattern> patterns;
  for (std::uint64_t label = 0; label < classify::kClasses; ++label) {
    patterns.push_back(pattern_of(label));
  }
  ps::Random random(kPatternSeed + seed, 1U << 20U);
  classify::Dataset images;
  images.pixels.reserve(count * classify::kPixels);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t label = random.below(patterns.size());
    // Sums of four uniforms: near enough to normal, and quick.
    for (const double grey : patterns[label]) {
      const std::uint32_t bits = random.next_u32();
      const double sum = (bits & 255U) + (bits >> 8U & 255U) + (bits >> 16U & 255U) + (bits >> 24U);
      const double value = grey + kNoise * (sum - 510.0) / 147.8;
      images.pixels.push_back(static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0)));
    }
    const std::uint64_t shown = random.chance(kWrongLabels) ? random.below(10) : label;
    images.labels.push_back(static_cast<std::uint8_t>(shown));
  }
  return images;
}

Images load_images(const std::string& data) {
  if (data == kSynthetic) return {draw_images(kTrained, 0), draw_images(kHeldOut, 1)};
  return {classify::load_dataset(data, classify::Part::kTrain, kTrained),
          classify::load_dataset(data, classify::Part::kTest, kHeldOut)};
}

void write_images(const std::string& path, const Images& images) {
  std::ofstream file(path, std::ios::binary);
  for (const classify::Dataset* part : {&images.train, &images.held_out}) {
    const std::uint64_t count = part->size();
    file.write(reinterpret_cast<const char*>(&count), sizeof(count));
    file.write(reinterpret_cast<const char*>(part->pixels.data()),
               static_cast<std::streamsize>(part->pixels.size()));
    file.write(reinterpret_cast<const char*>(part->labels.data()),
               static_cast<std::streamsize>(part->labels.size()));
  }
  if (!file.flush()) throw ps::Error(ps::ErrorCode::kIo, "cannot write " + path);
}

Images read_images(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  Images images;
  for (classify::Dataset* part : {&images.train, &images.held_out}) {
    std::uint64_t count = 0;
    file.read(reinterpret_cast<char*>(&count), sizeof(count));
    if (!file || count > kTrained) {
      throw ps::Error(ps::ErrorCode::kIo, "cannot read the images of " + path);
    }
    part->pixels.resize(count * classify::kPixels);
    part->labels.resize(count);
    file.read(reinterpret_cast<char*>(part->pixels.data()),
              static_cast<std::streamsize>(part->pixels.size()));
    file.read(reinterpret_cast<char*>(part->labels.data()),
              static_cast<std::streamsize>(part->labels.size()));
  }
  if (!file) throw ps::Error(ps::ErrorCode::kIo, "cannot read the images of " + path);
  return images;
}

ps::nn::Graph build(const std::string& network) {
  if (network == "classify") return classify::build_network();
  if (network != "mlp") {
    throw ps::Error(ps::ErrorCode::kInvalidArgument,
                    "there is no network " + network + "; expected mlp or classify");
  }
  ps::nn::Graph graph(
      {.channels = 1, .height = classify::kImageSide, .width = classify::kImageSide});
  ps::nn::Value x = graph.relu(graph.linear(graph.input(), kHidden, "hidden"));
  graph.softmax_cross_entropy(graph.linear(x, classify::kClasses, "scores"));
  return graph;
}

}  // namespace psbench
