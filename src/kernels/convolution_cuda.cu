// Convolution on a GPU: which way it goes, and the one in float32 (correlation.cuh).
#include <algorithm>
#include <climits>

#include <ps/error.h>

#include "kernels/blas_cuda.h"
#include "kernels/convolution.h"
#include "kernels/convolution_cuda.h"
#include "kernels/convolution_math.h"
#include "kernels/correlation.cuh"
#include "kernels/cuda_backend.h"

namespace ps::kernels {
namespace {

using Index = std::int64_t;

int small(Index count) {
  if (count > INT_MAX) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "expected a convolution of fewer than 2^31 values an image and pixels a batch, got " +
            std::to_string(count) + "; use a smaller batch");
  }
  return static_cast<int>(count);
}

// One axis of the outputs of a part: how many taps meet them, and where.
struct Axis {
  Index taps;
  Index positions;
  Index source;  // the source's pixel at the first tap of the first position
  Index output;  // the first position's pixel
};

CorrelationPart make_part(const Convolution& s,
                          Index channels,
                          const Axis& rows,
                          const Axis& columns) {
  const Index taps = rows.taps * columns.taps;
  const Index positions = rows.positions * columns.positions;
  return {.depth = small(channels * taps),
          .columns = small(s.batch * positions),
          .by_taps = SmallDivisor(std::max<Index>(taps, 1)),
          .by_tap_columns = SmallDivisor(std::max<Index>(columns.taps, 1)),
          .by_positions = SmallDivisor(std::max<Index>(positions, 1)),
          .by_position_columns = SmallDivisor(std::max<Index>(columns.positions, 1)),
          .weight = 0,
          .source_row = static_cast<int>(rows.source),
          .source_column = static_cast<int>(columns.source),
          .output = 0};
}

Correlation forward_of(const Convolution& s, const float* x, const float* weights, float* y) {
  const Index channels = s.channels / s.groups;
  const Index rows = s.out_channels / s.groups;
  const Index plane = s.out_height() * s.out_width();
  Correlation c{.source = x,
                .weights = weights,
                .output = y,
                .rows = small(rows),
                .groups = small(s.groups),
                .parts = 1,
                .source_image = s.channels * s.height * s.width,
                .source_group = small(channels * s.height * s.width),
                .weight_group = small(rows * convolution_taps(s)),
                .output_image = s.out_channels * plane,
                .output_group = rows * plane,
                .source_height = small(s.height),
                .source_width = small(s.width),
                .weight_row = small(convolution_taps(s)),
                .weight_channel = small(s.kernel * s.kernel),
                .weight_tap_row = small(s.kernel),
                .weight_tap_column = 1,
                .output_plane = small(plane),
                .output_row = small(s.out_width()),
                .output_column = 1,
                .source_step = small(s.stride),
                .tap_step = 1,
                .packs = plane % 4 == 0 && aligned(y),
                .part = {}};
  c.part[0] = make_part(s, channels, {s.kernel, s.out_height(), -s.padding, 0},
                        {s.kernel, s.out_width(), -s.padding, 0});
  return c;
}

// The pixels of the input for which (pixel + padding) % stride is `residue`: they meet the taps
// residue, residue + stride, ..., each one output further back than the one before.
Axis residue_axis(const Convolution& s, Index size, Index residue) {
  const Index first = ((residue - s.padding) % s.stride + s.stride) % s.stride;
  return {.taps = residue < s.kernel ? (s.kernel - residue + s.stride - 1) / s.stride : 0,
          .positions = first < size ? (size - first + s.stride - 1) / s.stride : 0,
          .source = (first + s.padding - residue) / s.stride,
          .output = first};
}

// Without its parts.
Correlation backward_of(const Convolution& s, const float* dy, const float* weights, float* dx) {
  const Index channels = s.out_channels / s.groups;
  const Index rows = s.channels / s.groups;
  const Index plane = s.out_height() * s.out_width();
  const Index taps = s.kernel * s.kernel;
  return {.source = dy,
          .weights = weights,
          .output = dx,
          .rows = small(rows),
          .groups = small(s.groups),
          .parts = 0,
          .source_image = s.out_channels * plane,
          .source_group = small(channels * plane),
          .weight_group = small(channels * rows * taps),
          .output_image = s.channels * s.height * s.width,
          .output_group = rows * s.height * s.width,
          .source_height = small(s.out_height()),
          .source_width = small(s.out_width()),
          .weight_row = small(taps),
          .weight_channel = small(rows * taps),
          .weight_tap_row = small(s.stride * s.kernel),
          .weight_tap_column = small(s.stride),
          .output_plane = small(s.height * s.width),
          .output_row = small(s.stride * s.width),
          .output_column = small(s.stride),
          .source_step = 1,
          .tap_step = -1,
          .packs = s.stride == 1 && s.height * s.width % 4 == 0 && aligned(dx),
          .part = {}};
}

template <class T>
Grid grid_of(const Correlation& c) {
  int columns = 0;
  for (int i = 0; i < c.parts; ++i) columns = std::max(columns, c.part[i].columns);
  const Index tiles =
      Index{(c.rows + T::kRows - 1) / T::kRows} * Index{(columns + T::kColumns - 1) / T::kColumns};
  return {
      .blocks = dim3(static_cast<unsigned>(tiles), 1, static_cast<unsigned>(c.parts * c.groups)),
      .threads = dim3(T::kThreads)};
}

template <class T>
void correlate_by(StreamView stream, const Correlation& c) {
  const Grid grid = grid_of<T>(c);
  if (grid.blocks.x > 0) launch(stream, grid, correlation_kernel<T>, c);
}

void correlate(StreamView stream, const Correlation& c) {
  // The largest tiles move the fewest bytes; small products would leave multiprocessors without
  // one.
  constexpr unsigned kFewBlocks = 256;
  const Grid large = grid_of<LargeTile>(c);
  const bool wasteful = (c.rows + 63) / 64 % 2 != 0;
  if (c.rows <= SmallTile::kRows) {
    correlate_by<SmallTile>(stream, c);
  } else if (wasteful || large.blocks.x * large.blocks.z < kFewBlocks) {
    correlate_by<MiddleTile>(stream, c);
  } else {
    correlate_by<LargeTile>(stream, c);
  }
}

void correlate_backward(
    StreamView stream, const Convolution& s, const float* dy, const float* weights, float* dx) {
  Correlation c = backward_of(s, dy, weights, dx);
  const Index channels = s.out_channels / s.groups;
  for (Index part = 0; part < s.stride * s.stride; ++part) {
    const Index row = part / s.stride;
    const Index column = part % s.stride;
    const Axis rows = residue_axis(s, s.height, row);
    const Axis columns = residue_axis(s, s.width, column);
    CorrelationPart& p = c.part[c.parts++];
    p = make_part(s, channels, rows, columns);
    p.weight = static_cast<int>(row * s.kernel + column);
    p.output = static_cast<int>(rows.output * s.width + columns.output);
    if (c.parts == Correlation::kMostParts) {
      correlate(stream, c);
      c.parts = 0;
    }
  }
  if (c.parts > 0) correlate(stream, c);
}

bool empty(const Convolution& s) {
  return s.batch == 0 || s.channels == 0 || s.out_channels == 0;
}

}  // namespace

std::int64_t CudaBackend::convolution_workspace(const Convolution& shape) const {
  if (has_small_groups(shape)) return 0;
  return prefers_columns(shape, blas_->precision()) ? convolution_columns_workspace(shape)
                                                    : convolution_weights_workspace(shape);
}

void CudaBackend::convolve(const Convolution& shape,
                           const float* x,
                           const float* weights,
                           float* y) {
  if (empty(shape)) return;
  const DeviceGuard guard = guard_on();
  if (has_small_groups(shape)) return convolve_groups(stream_, shape, x, weights, y);
  // The input of one that is pointwise is its own column matrix.
  if (convolution_is_pointwise(shape) || prefers_columns(shape, blas_->precision())) {
    return convolve_columns(*blas_, shape, x, weights, y);
  }
  correlate(stream_, forward_of(shape, x, weights, y));
}

void CudaBackend::convolve_backward_data(const Convolution& shape,
                                         const float* dy,
                                         const float* weights,
                                         float* dx) {
  if (empty(shape)) return;
  const DeviceGuard guard = guard_on();
  if (has_small_groups(shape)) {
    return convolve_groups_backward_data(stream_, shape, dy, weights, dx);
  }
  if (convolution_is_pointwise(shape) || prefers_columns(shape, blas_->precision())) {
    return convolve_columns_backward_data(*blas_, shape, dy, weights, dx);
  }
  correlate_backward(stream_, shape, dy, weights, dx);
}

void CudaBackend::convolve_backward_weights(const Convolution& shape,
                                            const float* x,
                                            const float* dy,
                                            float* dweights) {
  if (shape.channels == 0 || shape.out_channels == 0) return;
  if (shape.batch == 0) return zero(dweights, shape.out_channels * convolution_taps(shape));
  const DeviceGuard guard = guard_on();
  if (has_small_groups(shape)) {
    convolve_groups_backward_weights(stream_, shape, x, dy, dweights);
  } else if (prefers_columns(shape, blas_->precision())) {
    convolve_columns_backward_weights(*blas_, shape, x, dy, dweights);
  } else {
    kernels::convolve_backward_weights(stream_, shape, x, dy, dweights);
  }
}

}  // namespace ps::kernels
