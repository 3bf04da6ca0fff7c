// Direct convolution, forward and backward to the input. Both are correlations of stride 1 in a
// canvas: backward, the input's pixels fall into stride^2 phases, each reached by its own taps.
#include "kernels/convolution_direct_cpu.h"

#include <cstddef>

#include "kernels/convolution.h"
#include "kernels/convolution_direct.h"

namespace ps::kernels::PS_ISA {
namespace {

using Index = std::int64_t;

// A tile: output channels x registers of positions. Its sums, the registers of a tap and a
// broadcast weight must fit the machine's 16 (AVX-512: 32) registers.
constexpr Index kTileRows = kLanes == 16 ? 8 : 4;
static_assert(kTileRows <= kMaxTileRows && kLanes <= kMaxLanes);
constexpr Index kTileFloats = kTileVectors * kLanes;

// The taps of one phase: where each lies from a position, and its weights, packed
// [output channels / kTileRows][taps][kTileRows].
struct Taps {
  const float* weights;
  const float* offsets;  // int32 each
  Index count;
};

struct Correlation {
  Canvas canvas;
  Index step;     // canvas rows from a position to the one below
  Index rows;     // positions of phase 0
  Index columns;  // likewise
  Index outputs;  // channels
  Index out_height;
  Index out_width;
  Index spread;  // phases a direction; output pixel = position * spread + phase
  Taps taps[kMaxDirectStride * kMaxDirectStride];
};

Index offset_at(const float* offsets, Index i) {
  std::int32_t offset;
  __builtin_memcpy(&offset, offsets + i, sizeof offset);
  return offset;
}

// sums [kTileRows][kTileFloats] = weights * the registers at `at`, over the taps.
template <Index kCount>
void multiply(
    const float* weights, const float* offsets, Index taps, const float* const* at, float* sums) {
  constexpr auto kSize = static_cast<std::size_t>(kCount);
  Vector total[kTileRows][kSize] = {};
  const float* in[kSize];
#pragma GCC unroll 3
  for (Index i = 0; i < kCount; ++i) in[i] = at[i];
  for (Index tap = 0; tap < taps; ++tap, weights += kTileRows) {
    const Index offset = offset_at(offsets, tap);
    Vector pixels[kSize];
#pragma GCC unroll 3
    for (Index i = 0; i < kCount; ++i) pixels[i] = load(in[i] + offset);
#pragma GCC unroll 8
    for (Index row = 0; row < kTileRows; ++row) {
      const Vector weight = broadcast(weights[row]);
#pragma GCC unroll 3
      for (Index i = 0; i < kCount; ++i) total[row][i] += weight * pixels[i];
    }
  }
#pragma GCC unroll 8
  for (Index row = 0; row < kTileRows; ++row) {
#pragma GCC unroll 3
    for (Index i = 0; i < kCount; ++i) store(sums + row * kTileFloats + i * kLanes, total[row][i]);
  }
}

template <Index kCount>
void multiply_all(const Taps& taps, Index outputs, const float* const* at, float* sums) {
  const float* weights = taps.weights;
  for (Index row = 0; row < outputs; row += kTileRows) {
    multiply<kCount>(weights, taps.offsets, taps.count, at, sums);
    weights += taps.count * kTileRows;
    sums += kTileRows * kTileFloats;
  }
}

struct Position {
  Index row;
  Index column;
};

// One row of a tile's register to where it belongs; `sums`: of the phases, `distance` apart.
void put(const Correlation& c, Index column, const float* sums, Index distance, float* row) {
  if (c.spread == 1) {
    if (column + kLanes <= c.out_width) return store(row + column, load(sums));
    for (Index i = 0; column + i < c.out_width; ++i) row[column + i] = sums[i];
  } else if (c.spread == 2 && 2 * (column + kLanes) <= c.out_width) {
    const float* odd = sums + distance;
    float* out = row + 2 * column;
    for (Index i = 0; i < kLanes; ++i) {
      out[2 * i] = sums[i];
      out[2 * i + 1] = odd[i];
    }
  } else {
    for (Index phase = 0; phase < c.spread; ++phase) {
      for (Index i = 0; i < kLanes; ++i) {
        const Index pixel = (column + i) * c.spread + phase;
        if (pixel < c.out_width) row[pixel] = sums[phase * distance + i];
      }
    }
  }
}

// One tile of up to three registers, all column phases of row phase `phase`.
void correlate_tile(
    const Correlation& c, const Taps* taps, const float* const* at, Index count, float* sums) {
  const Index distance = round_up(c.outputs, kTileRows) * kTileFloats;
  for (Index phase = 0; phase < c.spread; ++phase) {
    float* out = sums + phase * distance;
    if (count == 3) {
      multiply_all<3>(taps[phase], c.outputs, at, out);
    } else if (count == 2) {
      multiply_all<2>(taps[phase], c.outputs, at, out);
    } else {
      multiply_all<1>(taps[phase], c.outputs, at, out);
    }
  }
}

// Rows [first, first + rows) of the positions of one row phase, from a canvas that begins there.
void correlate_rows(const Correlation& c,
                    const float* canvas,
                    Index first,
                    Index rows,
                    Index phase,
                    float* sums,
                    float* y) {
  const Index distance = round_up(c.outputs, kTileRows) * kTileFloats;
  const Index a_row = (c.columns + kLanes - 1) / kLanes;
  Index left = rows * a_row;
  Position next{0, 0};
  while (left > 0) {
    // Four are two and two: a tile of one register waits for its own sums.
    const Index count = left == 4 ? 2 : smaller(left, kTileVectors);
    const float* at[kTileVectors];
    Position positions[kTileVectors];
    for (Index i = 0; i < count; ++i) {
      positions[i] = next;
      at[i] = canvas + next.row * c.step * row_pitch(c.canvas) + next.column;
      next.column += kLanes;
      if (next.column >= c.columns) next = {next.row + 1, 0};
    }
    correlate_tile(c, c.taps + phase * c.spread, at, count, sums);
    for (Index output = 0; output < c.outputs; ++output) {
      float* plane = y + output * c.out_height * c.out_width;
      for (Index i = 0; i < count; ++i) {
        const Index row = (first + positions[i].row) * c.spread + phase;
        put(c, positions[i].column, sums + output * kTileFloats + i * kLanes, distance,
            plane + row * c.out_width);
      }
    }
    left -= count;
  }
}

// One image and group.
void correlate(const Correlation& c, const float* x, float* canvas, float* sums, float* y) {
  const Index step = block_rows(c.canvas, c.rows, c.step);
  const Index pitch = channel_pitch(c.canvas, step, c.step);
  for (Index first = 0; first < c.rows; first += step) {
    const Index count = smaller(step, c.rows - first);
    paint(c.canvas, x, first * c.step, (count - 1) * c.step + 1 + c.canvas.halo, pitch, canvas);
    for (Index phase = 0; phase < c.spread; ++phase) {
      // The last row may lack the later phases.
      const Index rows = (c.out_height - phase + c.spread - 1) / c.spread - first;
      correlate_rows(c, canvas, first, smaller(count, rows), phase, sums, y);
    }
  }
}

// The workspace's parts, aligned; convolution_workspace_floats() has room for them.
struct Parts {
  float* canvas;
  float* sums;
  float* weights;
  float* offsets;
};

Parts parts(const Convolution& s, const Correlation& c) {
  float* canvas = aligned(s.workspace);
  float* sums = canvas + round_up(canvas_floats(c.canvas, c.rows, c.step), kAlignmentFloats);
  float* weights = sums + c.spread * round_up(c.outputs, kTileRows) * kTileFloats;
  const Index taps = c.canvas.channels * s.kernel * s.kernel;
  return {canvas, sums, weights, weights + taps * round_up(c.outputs, kTileRows)};
}

void set_offset(float* offsets, Index i, Index offset) {
  const auto value = static_cast<std::int32_t>(offset);
  __builtin_memcpy(offsets + i, &value, sizeof value);
}

Index canvas_pitch(const Correlation& c) {
  return channel_pitch(c.canvas, block_rows(c.canvas, c.rows, c.step), c.step);
}

// weights: [outputs][taps].
void pack_forward(const Convolution& s, const float* weights, const Parts& p, Correlation& c) {
  const Index taps = c.canvas.channels * s.kernel * s.kernel;
  const Index pitch = canvas_pitch(c);
  Index tap = 0;
  for (Index channel = 0; channel < c.canvas.channels; ++channel) {
    for (Index row = 0; row < s.kernel; ++row) {
      for (Index column = 0; column < s.kernel; ++column, ++tap) {
        set_offset(p.offsets, tap,
                   channel * pitch + row * row_pitch(c.canvas) +
                       column % s.stride * c.canvas.phase_pitch + column / s.stride);
      }
    }
  }
  float* out = p.weights;
  for (Index first = 0; first < c.outputs; first += kTileRows) {
    for (Index i = 0; i < taps; ++i) {
      for (Index row = first; row < first + kTileRows; ++row) {
        *out++ = row < c.outputs ? weights[row * taps + i] : 0.0F;
      }
    }
  }
  c.taps[0] = {p.weights, p.offsets, taps};
}

// The taps of one phase (row, column), behind those of the phases before.
Taps pack_phase(const Convolution& s,
                const float* weights,
                const Correlation& c,
                Position phase,
                float** packed,
                float** offsets) {
  const Index pitch = canvas_pitch(c);
  Taps taps{*packed, *offsets, 0};
  const auto for_taps = [&](const auto& visit) {
    for (Index channel = 0; channel < c.canvas.channels; ++channel) {
      for (Index row = 0; row < s.kernel; ++row) {
        if ((phase.row + s.padding - row) % s.stride != 0) continue;
        for (Index column = 0; column < s.kernel; ++column) {
          if ((phase.column + s.padding - column) % s.stride != 0) continue;
          visit(channel, row, column);
        }
      }
    }
  };
  for_taps([&](Index channel, Index row, Index column) {
    const Index down = (phase.row + s.padding - row) / s.stride + c.canvas.top;
    const Index right = (phase.column + s.padding - column) / s.stride + c.canvas.left;
    set_offset(*offsets, taps.count++, channel * pitch + down * row_pitch(c.canvas) + right);
  });
  for (Index first = 0; first < c.outputs; first += kTileRows) {
    for_taps([&](Index channel, Index row, Index column) {
      for (Index i = first; i < first + kTileRows; ++i) {
        const Index at = ((channel * c.outputs + i) * s.kernel + row) * s.kernel + column;
        *(*packed)++ = i < c.outputs ? weights[at] : 0.0F;
      }
    });
  }
  *offsets += taps.count;
  return taps;
}

void pack_backward(const Convolution& s, const float* weights, const Parts& p, Correlation& c) {
  float* packed = p.weights;
  float* offsets = p.offsets;
  for (Index row = 0; row < s.stride; ++row) {
    for (Index column = 0; column < s.stride; ++column) {
      c.taps[row * s.stride + column] = pack_phase(s, weights, c, {row, column}, &packed, &offsets);
    }
  }
}

void forward(const Convolution& s, const float* x, const float* weights, float* y) {
  Correlation c{.canvas = input_canvas(s, kLanes),
                .step = s.stride,
                .rows = s.out_height(),
                .columns = s.out_width(),
                .outputs = s.out_channels / s.groups,
                .out_height = s.out_height(),
                .out_width = s.out_width(),
                .spread = 1,
                .taps = {}};
  const Parts p = parts(s, c);
  const Index inputs = s.channels / s.groups;
  for (Index group = 0; group < s.groups; ++group) {
    pack_forward(s, weights + group * c.outputs * inputs * s.kernel * s.kernel, p, c);
    for (Index image = 0; image < s.batch; ++image) {
      correlate(c, x + (image * s.channels + group * inputs) * s.height * s.width, p.canvas, p.sums,
                y + (image * s.out_channels + group * c.outputs) * c.out_height * c.out_width);
    }
  }
}

void backward_data(const Convolution& s, const float* dy, const float* weights, float* dx) {
  Correlation c{.canvas = gradient_canvas(s, kLanes),
                .step = 1,
                .rows = (s.height + s.stride - 1) / s.stride,
                .columns = (s.width + s.stride - 1) / s.stride,
                .outputs = s.channels / s.groups,
                .out_height = s.height,
                .out_width = s.width,
                .spread = s.stride,
                .taps = {}};
  const Parts p = parts(s, c);
  const Index inputs = s.out_channels / s.groups;
  const Index pixels = s.out_height() * s.out_width();
  for (Index group = 0; group < s.groups; ++group) {
    pack_backward(s, weights + group * inputs * c.outputs * s.kernel * s.kernel, p, c);
    for (Index image = 0; image < s.batch; ++image) {
      correlate(c, dy + (image * s.out_channels + group * inputs) * pixels, p.canvas, p.sums,
                dx + (image * s.channels + group * c.outputs) * s.height * s.width);
    }
  }
}

}  // namespace

extern const DirectConvolutionOps direct_convolution_ops{.forward = forward,
                                                         .backward_data = backward_data};

}  // namespace ps::kernels::PS_ISA
