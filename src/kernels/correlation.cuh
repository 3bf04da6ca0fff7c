// A convolution's pass forward and its gradient of the input, as one kernel: both are products of a
// matrix of weights, [rows, depth], with pixels gathered on the way, [depth, columns]. Rows are the
// channels of the output of one group, columns the pixels of all its images; the depth runs over
// the channels of the source and, for each, over taps.
//
// The gradient of the input of a convolution of stride s is s * s such products: pixels of equal
// row and column modulo s meet the same taps, and those at neighbouring positions.
#pragma once

#include <cstdint>

#include "kernels/tile_product.cuh"

namespace ps::kernels {

// One product: the outputs of some rows and columns of pixels.
struct CorrelationPart {
  int depth;    // source channels * taps; 0: the outputs are 0
  int columns;  // images * positions
  SmallDivisor by_taps;
  SmallDivisor by_tap_columns;
  SmallDivisor by_positions;
  SmallDivisor by_position_columns;
  int weight;  // of the first tap
  // The source's pixel at the first tap of the first position, maybe outside.
  int source_row;
  int source_column;
  // The first position's pixel.
  int output;
};

struct Correlation {
  static constexpr int kMostParts = 4;

  const float* source;
  const float* weights;
  float* output;
  int rows;
  int groups;
  int parts;
  // Floats from one to the next.
  std::int64_t source_image;
  std::int64_t source_group;
  std::int64_t weight_group;
  std::int64_t output_image;
  std::int64_t output_group;
  int source_height;
  int source_width;
  int weight_row;
  int weight_channel;
  int weight_tap_row;
  int weight_tap_column;
  int output_plane;
  int output_row;     // from one row of positions to the next
  int output_column;  // from one position to the next
  int source_step;    // pixels from one position to the next
  int tap_step;       // pixels from one tap to the next: 1 or -1
  bool packs;         // 4 neighbouring columns are neighbours in the output, and aligned
  CorrelationPart part[kMostParts];
};

#if defined(__CUDACC__) || defined(PS_CUDA_EMULATED)

struct Tap {
  int channel;
  int row;
  int column;
};

__device__ __forceinline__ Tap tap_at(const CorrelationPart& p, int depth) {
  const int channel = p.by_taps.quotient(depth);
  const int tap = depth - channel * p.by_taps.value();
  const int row = p.by_tap_columns.quotient(tap);
  return {channel, row, tap - row * p.by_tap_columns.value()};
}

struct Position {
  int image;
  int row;
  int column;
};

__device__ __forceinline__ Position position_at(const SmallDivisor& by_positions,
                                                const SmallDivisor& by_columns,
                                                int index) {
  const int image = by_positions.quotient(index);
  const int within = index - image * by_positions.value();
  const int row = by_columns.quotient(within);
  return {image, row, within - row * by_columns.value()};
}

template <class T>
struct WeightFetch : AlongDepth<T, T::kRows> {
  const Correlation& c;
  const CorrelationPart& p;
  const float* weights;  // of the group
  int first_row;

  __device__ void fetch(int depth, int end, float (&values)[WeightFetch::kItems]) const {
    const int k = depth + this->depth(0);
    const Tap tap = tap_at(p, k);
    const float* from = weights + (p.weight + tap.channel * c.weight_channel +
                                   tap.row * c.weight_tap_row + tap.column * c.weight_tap_column);
    PS_UNROLL
    for (int i = 0; i < WeightFetch::kItems; ++i) {
      const int row = first_row + this->side(i);
      values[i] = k < end && row < c.rows ? from[row * c.weight_row] : 0.0F;
    }
  }
};

template <class T>
struct PixelFetch : AlongSide<T, T::kColumns> {
  const Correlation& c;
  const CorrelationPart& p;
  const float* source;  // of the column's image and the group
  int row;              // of the column's first tap
  int column;

  __device__ PixelFetch(const Correlation& correlation,
                        const CorrelationPart& part,
                        int group,
                        int first_column)
      : c(correlation), p(part) {
    constexpr int kOutside = -(1 << 30);
    const int index = first_column + this->side(0);
    const bool exists = index < p.columns;
    const Position at = position_at(p.by_positions, p.by_position_columns, exists ? index : 0);
    source = c.source + at.image * c.source_image + group * c.source_group;
    row = exists ? p.source_row + at.row * c.source_step : kOutside;
    column = p.source_column + at.column * c.source_step;
  }

  __device__ void fetch(int depth, int end, float (&values)[PixelFetch::kItems]) const {
    PS_UNROLL
    for (int i = 0; i < PixelFetch::kItems; ++i) {
      const int k = depth + this->depth(i);
      const Tap tap = tap_at(p, k);
      const int y = row + tap.row * c.tap_step;
      const int x = column + tap.column * c.tap_step;
      const bool inside = k < end &&
                          static_cast<unsigned>(y) < static_cast<unsigned>(c.source_height) &&
                          static_cast<unsigned>(x) < static_cast<unsigned>(c.source_width);
      values[i] = inside ? source[(tap.channel * c.source_height + y) * c.source_width + x] : 0.0F;
    }
  }
};

template <class T>
__device__ __forceinline__ void store_tile(const Correlation& c,
                                           const CorrelationPart& p,
                                           int group,
                                           int first_row,
                                           int first_column,
                                           const TileSums<T>& sums) {
  const int width = c.packs ? 4 : 1;
  PS_UNROLL
  for (int j = 0; j < T::kThreadColumns; ++j) {
    if (j % width != 0) continue;
    const int column = first_column + tile_column<T>(j);
    if (column >= p.columns) continue;
    const Position at = position_at(p.by_positions, p.by_position_columns, column);
    float* to = c.output + at.image * c.output_image + group * c.output_group + p.output +
                at.row * c.output_row + at.column * c.output_column;
    PS_UNROLL
    for (int i = 0; i < T::kThreadRows; ++i) {
      const int row = first_row + tile_row<T>(i);
      if (row >= c.rows) continue;
      float* place = to + static_cast<std::int64_t>(row) * c.output_plane;
      if (!c.packs) {
        *place = sums[i][j];
      } else if (j % 4 == 0) {
        store<4>(place, {{sums[i][j], sums[i][j + 1], sums[i][j + 2], sums[i][j + 3]}});
      }
    }
  }
}

// Blocks of the grid's x: tiles, those of the same columns one after the other, as they read the
// same pixels; of its z: parts of groups.
template <class T>
__global__ void __launch_bounds__(T::kThreads, T::kBlocks) correlation_kernel(const Correlation c) {
  __shared__ typename T::Shared shared;
  const int group = static_cast<int>(blockIdx.z) / c.parts;
  const CorrelationPart& p = c.part[static_cast<int>(blockIdx.z) % c.parts];
  const int row_tiles = (c.rows + T::kRows - 1) / T::kRows;
  const int column_tile = static_cast<int>(blockIdx.x) / row_tiles;
  const int first_row = (static_cast<int>(blockIdx.x) - column_tile * row_tiles) * T::kRows;
  const int first_column = column_tile * T::kColumns;
  if (first_column >= p.columns) return;  // another part has more
  const WeightFetch<T> left{{}, c, p, c.weights + group * c.weight_group, first_row};
  const PixelFetch<T> right(c, p, group, first_column);
  TileSums<T> sums = {};
  multiply_tile<T>(left, right, 0, p.depth, &shared, sums);
  store_tile<T>(c, p, group, first_row, first_column, sums);
}

#endif

}  // namespace ps::kernels
