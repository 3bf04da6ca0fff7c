// The gradient of a convolution's weights on a GPU: the product of the output's gradient, [output
// channels, pixels of all images], and the taps' pixels, [pixels, taps], gathered on the way. The
// pixels are cut into slices, which are added in order: how many depends on the shape alone.
#include <algorithm>
#include <climits>

#include <ps/error.h>

#include "kernels/convolution_cuda.h"
#include "kernels/convolution_math.h"
#include "kernels/correlation.cuh"

namespace ps::kernels {
namespace {

using Index = std::int64_t;

struct WeightProduct {
  const float* x;
  const float* dy;
  float* output;  // [slices, output channels, taps]
  int rows;       // output channels of a group
  int taps;       // of a group
  int depth;      // pixels of all images
  int slice;      // depth of a slice, a multiple of a tile's
  std::int64_t slice_floats;
  std::int64_t x_image;
  std::int64_t x_group;
  std::int64_t dy_image;
  std::int64_t dy_group;
  int height;
  int width;
  int out_plane;
  int stride;
  int padding;
  SmallDivisor by_window;  // taps of a channel
  SmallDivisor by_kernel;
  SmallDivisor by_positions;
  SmallDivisor by_position_columns;
};

template <class T>
struct GradientFetch : AlongDepth<T, T::kRows> {
  const WeightProduct& w;
  const float* dy;  // of the group
  int first_row;

  __device__ void fetch(int depth, int end, float (&values)[GradientFetch::kItems]) const {
    const int k = depth + this->depth(0);
    const int image = w.by_positions.quotient(k);
    const float* from = dy + image * w.dy_image + (k - image * w.out_plane);
    PS_UNROLL
    for (int i = 0; i < GradientFetch::kItems; ++i) {
      const int row = first_row + this->side(i);
      values[i] = k < end && row < w.rows ? from[static_cast<Index>(row) * w.out_plane] : 0.0F;
    }
  }
};

template <class T>
struct TapFetch : AlongDepth<T, T::kColumns> {
  const WeightProduct& w;
  const float* x;  // of the group
  // Of the thread's taps: the channel's first float, row and column.
  int channel[TapFetch::kItems];
  int row[TapFetch::kItems];
  int column[TapFetch::kItems];

  __device__ TapFetch(const WeightProduct& product, const float* group, int first_tap)
      : w(product), x(group) {
    constexpr int kOutside = -(1 << 30);
    PS_UNROLL
    for (int i = 0; i < TapFetch::kItems; ++i) {
      const int index = first_tap + this->side(i);
      const int c = w.by_window.quotient(index);
      const int within = index - c * w.by_window.value();
      const int r = w.by_kernel.quotient(within);
      channel[i] = c * w.height * w.width;
      row[i] = index < w.taps ? r - w.padding : kOutside;
      column[i] = within - r * w.by_kernel.value() - w.padding;
    }
  }

  __device__ void fetch(int depth, int end, float (&values)[TapFetch::kItems]) const {
    const int k = depth + this->depth(0);
    const Position at = position_at(w.by_positions, w.by_position_columns, k);
    const float* image = x + at.image * w.x_image;
    PS_UNROLL
    for (int i = 0; i < TapFetch::kItems; ++i) {
      const int y = at.row * w.stride + row[i];
      const int across = at.column * w.stride + column[i];
      const bool inside = k < end && static_cast<unsigned>(y) < static_cast<unsigned>(w.height) &&
                          static_cast<unsigned>(across) < static_cast<unsigned>(w.width);
      values[i] = inside ? image[channel[i] + y * w.width + across] : 0.0F;
    }
  }
};

// Blocks of the grid's x: tiles; of its y: slices; of its z: groups.
template <class T>
__global__ void __launch_bounds__(T::kThreads, T::kBlocks) weights_kernel(const WeightProduct w) {
  __shared__ typename T::Shared shared;
  const auto group = static_cast<int>(blockIdx.z);
  const int row_tiles = (w.rows + T::kRows - 1) / T::kRows;
  const int tap_tile = static_cast<int>(blockIdx.x) / row_tiles;
  const int first_row = (static_cast<int>(blockIdx.x) - tap_tile * row_tiles) * T::kRows;
  const int first_tap = tap_tile * T::kColumns;
  const int begin = static_cast<int>(blockIdx.y) * w.slice;
  const int end = w.depth - begin < w.slice ? w.depth : begin + w.slice;
  const GradientFetch<T> left{{}, w, w.dy + group * w.dy_group, first_row};
  const TapFetch<T> right(w, w.x + group * w.x_group, first_tap);
  TileSums<T> sums = {};
  multiply_tile<T>(left, right, begin, end, &shared, sums);
  float* output = w.output + static_cast<int>(blockIdx.y) * w.slice_floats;
  PS_UNROLL
  for (int i = 0; i < T::kThreadRows; ++i) {
    const int row = first_row + tile_row<T>(i);
    if (row >= w.rows) continue;
    float* to = output + (static_cast<Index>(group) * w.rows + row) * w.taps;
    PS_UNROLL
    for (int j = 0; j < T::kThreadColumns; ++j) {
      const int tap = first_tap + tile_column<T>(j);
      if (tap < w.taps) to[tap] = sums[i][j];
    }
  }
}

__global__ void add_slices_kernel(Index count, int slices, const float* partial, float* dweights) {
  for (Index i = thread_index(); i < count; i += thread_count()) {
    float total = 0.0F;
    for (int slice = 0; slice < slices; ++slice) total += partial[slice * count + i];
    dweights[i] = total;
  }
}

Index rows_of(const Convolution& s) {
  return s.out_channels / s.groups;
}

template <class T>
Index tiles_of(const Convolution& s) {
  return (rows_of(s) + T::kRows - 1) / T::kRows *
         ((convolution_taps(s) + T::kColumns - 1) / T::kColumns);
}

// Enough slices for several blocks a multiprocessor, whatever the batch.
Index most_slices(const Convolution& s) {
  constexpr Index kBlocks = 768;
  constexpr Index kMost = 64;
  const Index tiles =
      rows_of(s) <= SmallTile::kRows ? tiles_of<SmallTile>(s) : tiles_of<MiddleTile>(s);
  return std::clamp<Index>(kBlocks / (tiles * s.groups), 1, kMost);
}

WeightProduct product_of(const Convolution& s, const float* x, const float* dy) {
  const Index plane = s.out_height() * s.out_width();
  const Index channels = s.channels / s.groups;
  if (std::max({s.batch * plane, channels * s.height * s.width, convolution_taps(s)}) >
      INT_MAX / 2) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "expected a convolution of fewer than 2^30 values an image and pixels a batch; use a "
        "smaller batch");
  }
  return {.x = x,
          .dy = dy,
          .output = nullptr,
          .rows = static_cast<int>(rows_of(s)),
          .taps = static_cast<int>(convolution_taps(s)),
          .depth = static_cast<int>(s.batch * plane),
          .slice = 0,
          .slice_floats = s.out_channels * convolution_taps(s),
          .x_image = s.channels * s.height * s.width,
          .x_group = channels * s.height * s.width,
          .dy_image = s.out_channels * plane,
          .dy_group = rows_of(s) * plane,
          .height = static_cast<int>(s.height),
          .width = static_cast<int>(s.width),
          .out_plane = static_cast<int>(plane),
          .stride = static_cast<int>(s.stride),
          .padding = static_cast<int>(s.padding),
          .by_window = SmallDivisor(s.kernel * s.kernel),
          .by_kernel = SmallDivisor(s.kernel),
          .by_positions = SmallDivisor(plane),
          .by_position_columns = SmallDivisor(s.out_width())};
}

template <class T>
void multiply_by(StreamView stream, const Convolution& s, const WeightProduct& w, int slices) {
  const Grid grid{.blocks = dim3(static_cast<unsigned>(tiles_of<T>(s)),
                                 static_cast<unsigned>(slices), static_cast<unsigned>(s.groups)),
                  .threads = dim3(T::kThreads)};
  launch(stream, grid, weights_kernel<T>, w);
}

}  // namespace

std::int64_t convolution_weights_workspace(const Convolution& s) {
  const Index slices = most_slices(s);
  return slices > 1 ? slices * s.out_channels * convolution_taps(s) : 0;
}

void convolve_backward_weights(
    StreamView stream, const Convolution& s, const float* x, const float* dy, float* dweights) {
  constexpr Index kLeast = 256;  // pixels of a slice
  WeightProduct w = product_of(s, x, dy);
  const Index wanted = std::clamp<Index>(w.depth / kLeast, 1, most_slices(s));
  const Index share = (w.depth + wanted - 1) / wanted;
  w.slice =
      static_cast<int>((share + SmallTile::kDepth - 1) / SmallTile::kDepth * SmallTile::kDepth);
  const int slices = (w.depth + w.slice - 1) / w.slice;
  w.output = slices > 1 ? s.workspace : dweights;
  if (w.rows <= SmallTile::kRows) {
    multiply_by<SmallTile>(stream, s, w, slices);
  } else {
    multiply_by<MiddleTile>(stream, s, w, slices);
  }
  if (slices > 1) {
    launch(stream, grid_over(w.slice_floats), add_slices_kernel, w.slice_floats, slices,
           s.workspace, dweights);
  }
}

}  // namespace ps::kernels
