// Planes are read along the cells, rows are written across them: through a tile of 32 cells by 32
// floats of a row in shared memory, so that both are whole lines.
#include "kernels/anchor_math.h"
#include "kernels/detection_cuda.h"
#include "kernels/distance_math.h"
#include "kernels/launch.cuh"

namespace ps::kernels {
namespace {

constexpr int kTile = 32;
constexpr int kLines = kBlock / kTile;  // of a tile, at a time

struct Tile {
  float at[kTile][kTile + 1];  // [float of a row][cell]; the odd stride keeps banks apart
};

// What a launch decodes: tiles of all images and groups (anchors).
struct Decode {
  GridLevel level;  // without anchor_sizes
  float stride;
  const float* output;
  float* rows;
  std::int64_t sample_floats;  // of rows
  std::int64_t row_floats;
  std::int64_t groups;
  std::int64_t cell_tiles;
  std::int64_t row_tiles;

  [[nodiscard]] __host__ __device__ std::int64_t tiles() const {
    return level.batch * groups * cell_tiles * row_tiles;
  }
};

// One tile's place.
struct Where {
  std::int64_t image;
  std::int64_t group;
  std::int64_t first_cell;
  std::int64_t first_float;

  __device__ __forceinline__ static Where of(const Decode& decode, std::int64_t tile) {
    const std::int64_t line = tile / decode.row_tiles;
    const std::int64_t plane = line / decode.cell_tiles;
    return {.image = plane / decode.groups,
            .group = plane % decode.groups,
            .first_cell = line % decode.cell_tiles * kTile,
            .first_float = tile % decode.row_tiles * kTile};
  }
};

// Anchors of one launch, by value.
struct AnchorSizes {
  static constexpr std::int64_t kMost = 8;
  float width[kMost];
  float height[kMost];
};

// One float of a cell's row.
__device__ __forceinline__ float anchor_value(const Decode& decode,
                                              std::int64_t number,
                                              std::int64_t cell,
                                              float logit,
                                              float width,
                                              float height) {
  const float s = sigmoid(logit);
  switch (number) {
    case 0:
      return (AnchorBox::center(s) + static_cast<float>(cell % decode.level.width)) * decode.stride;
    case 1:
      return (AnchorBox::center(s) + static_cast<float>(cell / decode.level.width)) * decode.stride;
    case 2:
      return AnchorBox::size(s, width) * decode.stride;
    case 3:
      return AnchorBox::size(s, height) * decode.stride;
    default:
      return s;
  }
}

// From the tile to the rows, whose first one of this image and group `rows` names.
__device__ __forceinline__ void write_rows(const Decode& decode,
                                           const Where& where,
                                           const Tile& tile,
                                           float* rows) {
  const int column = static_cast<int>(threadIdx.x) % kTile;
  const std::int64_t number = where.first_float + column;
  if (number >= decode.row_floats) return;
  for (int line = static_cast<int>(threadIdx.x) / kTile; line < kTile; line += kLines) {
    const std::int64_t cell = where.first_cell + line;
    if (cell < decode.level.cells()) {
      rows[cell * decode.row_floats + number] = tile.at[column][line];
    }
  }
}

__global__ void __launch_bounds__(kBlock)
    decode_anchor_tiles(Decode decode, const __grid_constant__ AnchorSizes sizes) {
  __shared__ Tile tile;
  const int column = static_cast<int>(threadIdx.x) % kTile;
  const std::int64_t plane = decode.level.cells();
  for (std::int64_t i = blockIdx.x; i < decode.tiles(); i += gridDim.x) {
    const Where where = Where::of(decode, i);
    const std::int64_t cell = where.first_cell + column;
    const float* logits = decode.output + where.image * decode.level.sample_floats +
                          where.group * decode.row_floats * plane + cell;
    for (int line = static_cast<int>(threadIdx.x) / kTile; line < kTile; line += kLines) {
      const std::int64_t number = where.first_float + line;
      if (number >= decode.row_floats || cell >= plane) continue;
      tile.at[line][column] = anchor_value(decode, number, cell, logits[number * plane],
                                           sizes.width[where.group], sizes.height[where.group]);
    }
    __syncthreads();
    write_rows(
        decode, where, tile,
        decode.rows + where.image * decode.sample_floats + where.group * plane * decode.row_floats);
    __syncthreads();
  }
}

__global__ void __launch_bounds__(kBlock)
    decode_distance_tiles(Decode decode, std::int64_t stride) {
  __shared__ Tile tile;
  __shared__ float means[kSides][kTile];
  const int column = static_cast<int>(threadIdx.x) % kTile;
  const int first_line = static_cast<int>(threadIdx.x) / kTile;
  const std::int64_t plane = decode.level.cells();
  for (std::int64_t i = blockIdx.x; i < decode.tiles(); i += gridDim.x) {
    const Where where = Where::of(decode, i);
    const std::int64_t cell = where.first_cell + column;
    const float* logits = decode.output + where.image * decode.level.sample_floats + cell;
    for (int line = first_line; line < kTile && cell < plane; line += kLines) {
      const std::int64_t number = where.first_float + line;
      if (number < kSides) {
        means[number][column] = Distribution::of(logits + number * kBins * plane, plane).mean;
      } else if (number < decode.row_floats) {
        tile.at[line][column] = sigmoid(logits[(kBoxChannels + number - kSides) * plane]);
      }
    }
    __syncthreads();
    if (where.first_float == 0 && first_line == 0 && cell < plane) {
      const Box box =
          box_in_pixels({means[0][column], means[1][column], means[2][column], means[3][column]},
                        cell % decode.level.width, cell / decode.level.width, stride);
      tile.at[0][column] = box.x;
      tile.at[1][column] = box.y;
      tile.at[2][column] = box.width;
      tile.at[3][column] = box.height;
    }
    __syncthreads();
    write_rows(decode, where, tile, decode.rows + where.image * decode.sample_floats);
    __syncthreads();
  }
}

Decode decode_of(const GridLevel& level,
                 std::int64_t stride,
                 std::int64_t row_floats,
                 const float* output,
                 const DecodedRows& rows) {
  GridLevel there = level;
  there.anchor_sizes = nullptr;  // the host's
  return {.level = there,
          .stride = static_cast<float>(stride),
          .output = output,
          .rows = rows.first,
          .sample_floats = rows.sample_floats,
          .row_floats = row_floats,
          .groups = 1,
          .cell_tiles = (level.cells() + kTile - 1) / kTile,
          .row_tiles = (row_floats + kTile - 1) / kTile};
}

}  // namespace

void decode_anchors_cuda(const GridLevel& level,
                         std::int64_t stride,
                         const float* output,
                         const DecodedRows& rows,
                         StreamView stream) {
  const DeviceGuard guard(stream.device());
  const std::int64_t row_floats = level.anchor_channels();
  Decode decode = decode_of(level, stride, row_floats, output, rows);
  for (std::int64_t first = 0; first < level.anchors; first += AnchorSizes::kMost) {
    decode.groups = std::min(level.anchors - first, AnchorSizes::kMost);
    AnchorSizes sizes{};
    for (std::int64_t i = 0; i < decode.groups; ++i) {
      sizes.width[i] = level.anchor_sizes[2 * (first + i)];
      sizes.height[i] = level.anchor_sizes[2 * (first + i) + 1];
    }
    decode.output = output + first * row_floats * level.cells();
    decode.rows = rows.first + first * row_floats * level.cells();
    if (decode.tiles() == 0) return;
    launch(stream, grid_over(decode.tiles() * kBlock), decode_anchor_tiles, decode, sizes);
  }
}

void decode_distances_cuda(const GridLevel& level,
                           std::int64_t stride,
                           const float* output,
                           const DecodedRows& rows,
                           StreamView stream) {
  const DeviceGuard guard(stream.device());
  const Decode decode = decode_of(level, stride, kSides + level.classes, output, rows);
  if (decode.tiles() == 0) return;
  launch(stream, grid_over(decode.tiles() * kBlock), decode_distance_tiles, decode, stride);
}

}  // namespace ps::kernels
