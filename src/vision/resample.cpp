// Positions are in 1/65536 of a pixel, weights in 1/256; sums fit 64 bits with room to spare.
#include "vision/resample.h"

#include <algorithm>
#include <utility>

namespace ps::vision {
namespace {

constexpr std::size_t kChannels = 3;

// The share of source pixels in a target pixel, in units of 1 / (sizes' product): exact.
struct Cover {
  int first = 0;
  std::vector<std::uint32_t> weights;
};

std::vector<Cover> covers(int from, int to) {
  std::vector<Cover> result(static_cast<std::size_t>(to));
  for (std::int64_t i = 0; i < to; ++i) {
    const std::int64_t begin = i * from;
    const std::int64_t end = begin + from;
    Cover& cover = result[static_cast<std::size_t>(i)];
    cover.first = static_cast<int>(begin / to);
    for (std::int64_t pixel = cover.first; pixel * to < end; ++pixel) {
      const std::int64_t overlap = std::min(end, (pixel + 1) * to) - std::max(begin, pixel * to);
      cover.weights.push_back(static_cast<std::uint32_t>(overlap));
    }
  }
  return result;
}

const std::uint8_t* row_of(const Image& image, int row) {
  return image.pixels.data() +
         static_cast<std::size_t>(row) * static_cast<std::size_t>(image.width) * kChannels;
}

// Where a target pixel lies between two source pixels.
struct Tap {
  std::size_t first = 0;
  std::size_t second = 0;
  std::uint32_t weight = 0;  // of the second, of 256
};

// Taps for `to` pixels over [begin, begin + length) of a line of `size`, in 1/65536 of a pixel.
std::vector<Tap> taps(std::int64_t begin, std::int64_t length, int to, int size) {
  std::vector<Tap> result(static_cast<std::size_t>(to));
  for (std::int64_t i = 0; i < to; ++i) {
    const std::int64_t center = begin + (2 * i + 1) * length / (2 * std::int64_t{to}) - 32768;
    const std::int64_t position =
        std::clamp<std::int64_t>(center, 0, (std::int64_t{size} - 1) << 16);
    Tap& tap = result[static_cast<std::size_t>(i)];
    tap.first = static_cast<std::size_t>(position >> 16);
    tap.second = std::min(tap.first + 1, static_cast<std::size_t>(size - 1));
    tap.weight = static_cast<std::uint32_t>(position >> 8) & 255U;
  }
  return result;
}

std::uint32_t between(std::uint32_t a, std::uint32_t b, std::uint32_t weight) {
  return a * (256 - weight) + b * weight;
}

}  // namespace

Image shrunk(Image image, int side) {
  const int smaller = std::min(image.height, image.width);
  if (smaller <= side) return image;
  const auto scaled = [&](int n) {
    return static_cast<int>((std::int64_t{n} * side + smaller / 2) / smaller);
  };
  Image result = make_image(scaled(image.height), scaled(image.width));
  const std::vector<Cover> columns = covers(image.width, result.width);
  const std::vector<Cover> rows = covers(image.height, result.height);
  const std::size_t row_values = static_cast<std::size_t>(result.width) * kChannels;
  std::vector<std::uint64_t> sums(row_values);
  const std::uint64_t area =
      static_cast<std::uint64_t>(image.width) * static_cast<std::uint64_t>(image.height);
  for (int y = 0; y < result.height; ++y) {
    std::fill(sums.begin(), sums.end(), 0);
    const Cover& row = rows[static_cast<std::size_t>(y)];
    for (std::size_t i = 0; i < row.weights.size(); ++i) {
      const std::uint8_t* source = row_of(image, row.first + static_cast<int>(i));
      for (std::size_t x = 0; x < columns.size(); ++x) {
        const std::uint8_t* pixel = source + static_cast<std::size_t>(columns[x].first) * kChannels;
        for (const std::uint32_t weight : columns[x].weights) {
          const std::uint64_t both = std::uint64_t{weight} * row.weights[i];
          for (std::size_t c = 0; c < kChannels; ++c) sums[x * kChannels + c] += both * pixel[c];
          pixel += kChannels;
        }
      }
    }
    std::uint8_t* target = result.pixels.data() + static_cast<std::size_t>(y) * row_values;
    for (std::size_t i = 0; i < row_values; ++i) {
      target[i] = static_cast<std::uint8_t>((sums[i] + area / 2) / area);
    }
  }
  return result;
}

std::vector<Image> halvings(Image image, int side) {
  std::vector<Image> levels;
  levels.push_back(std::move(image));
  while (std::min(levels.back().height, levels.back().width) / 2 >= side) {
    const Image& fine = levels.back();
    Image half = make_image(fine.height / 2, fine.width / 2);
    std::uint8_t* target = half.pixels.data();
    const std::size_t down = static_cast<std::size_t>(fine.width) * kChannels;
    for (int y = 0; y < half.height; ++y) {
      const std::uint8_t* source = row_of(fine, 2 * y);
      for (int x = 0; x < half.width; ++x, source += 2 * kChannels, target += kChannels) {
        for (std::size_t c = 0; c < kChannels; ++c) {
          const int sum =
              source[c] + source[c + kChannels] + source[c + down] + source[c + down + kChannels];
          target[c] = static_cast<std::uint8_t>((sum + 2) / 4);
        }
      }
    }
    levels.push_back(std::move(half));
  }
  return levels;
}

Image crop(std::span<const Image> levels, const Square& square, int size, bool mirrored) {
  std::size_t level = 0;
  while (level + 1 < levels.size() && (square.side >> (level + 1)) >= size) ++level;
  const Image& source = levels[level];
  const auto fixed = [&](int n) { return (std::int64_t{n} << 16) >> level; };
  const std::vector<Tap> rows = taps(fixed(square.top), fixed(square.side), size, source.height);
  std::vector<Tap> columns = taps(fixed(square.left), fixed(square.side), size, source.width);
  if (mirrored) std::reverse(columns.begin(), columns.end());
  Image result = make_image(size, size);
  std::uint8_t* target = result.pixels.data();
  for (const Tap& row : rows) {
    const std::uint8_t* above = row_of(source, static_cast<int>(row.first));
    const std::uint8_t* below = row_of(source, static_cast<int>(row.second));
    for (const Tap& column : columns) {
      const std::size_t left = column.first * kChannels;
      const std::size_t right = column.second * kChannels;
      for (std::size_t c = 0; c < kChannels; ++c) {
        const std::uint32_t high = between(above[left + c], above[right + c], column.weight);
        const std::uint32_t low = between(below[left + c], below[right + c], column.weight);
        *target++ = static_cast<std::uint8_t>((between(high, low, row.weight) + 32768U) >> 16U);
      }
    }
  }
  return result;
}

std::vector<std::uint8_t> stretched(std::span<const std::uint8_t> values, int from, int to) {
  const std::vector<Tap> line = taps(0, std::int64_t{from} << 16, to, from);
  std::vector<std::uint8_t> result;
  result.reserve(line.size() * line.size());
  for (const Tap& row : line) {
    const auto above = values.subspan(row.first * static_cast<std::size_t>(from));
    const auto below = values.subspan(row.second * static_cast<std::size_t>(from));
    for (const Tap& column : line) {
      const std::uint32_t high = between(above[column.first], above[column.second], column.weight);
      const std::uint32_t low = between(below[column.first], below[column.second], column.weight);
      result.push_back(static_cast<std::uint8_t>((between(high, low, row.weight) + 32768U) >> 16U));
    }
  }
  return result;
}

}  // namespace ps::vision
