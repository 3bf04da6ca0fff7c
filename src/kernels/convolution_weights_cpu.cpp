// Direct convolution's gradient by the weights: for every output channel and tap, the sum over all
// positions of the output's gradient times the canvas pixel that the tap reads there.
#include "kernels/convolution_direct.h"
#include "kernels/convolution_direct_cpu.h"

namespace ps::kernels::PS_ISA {
namespace {

using Index = std::int64_t;

// A tile: output channels x taps, one register of partial sums each.
constexpr int kTileOutputs = 4;
constexpr int kTileTaps = 3;
// Registers of positions in a chunk: what a tile reads of it fits the first-level cache.
constexpr Index kChunk = 1024 / kLanes;

// Where a register of positions lies on both sides, from the chunk's first.
struct Place {
  std::int32_t x;
  std::int32_t dy;
};

struct Chunk {
  const float* x;
  const float* dy;
  Index count;
  Place places[kChunk];
};

struct Sums {
  Convolution shape;
  Canvas canvas;
  bool painted;     // else x is its own canvas
  bool dy_painted;  // else dy's rows are whole registers
  Canvas dy_canvas;
  Index rows;      // of positions, a block
  Index images;    // a block
  Index pitch;     // from channel to channel of what is read
  Index dy_pitch;  // likewise
  float* x_block;
  float* dy_block;
};

// dweights[output * taps + tap] += the tile's sums. Rows and taps beyond the last repeat it.
void add_tile(const Chunk& chunk,
              const Index* x_offsets,
              const Index* dy_offsets,
              float (*sums)[kTileTaps]) {
  Vector total[kTileOutputs][kTileTaps] = {};
  const float* x[kTileTaps];
  const float* dy[kTileOutputs];
#pragma GCC unroll 4
  for (int i = 0; i < kTileTaps; ++i) x[i] = chunk.x + x_offsets[i];
#pragma GCC unroll 4
  for (int i = 0; i < kTileOutputs; ++i) dy[i] = chunk.dy + dy_offsets[i];
  for (Index place = 0; place < chunk.count; ++place) {
    const Index x_at = chunk.places[place].x;
    const Index dy_at = chunk.places[place].dy;
    Vector pixels[kTileTaps];
#pragma GCC unroll 4
    for (int i = 0; i < kTileTaps; ++i) pixels[i] = load(x[i] + x_at);
#pragma GCC unroll 4
    for (int row = 0; row < kTileOutputs; ++row) {
      const Vector slope = load(dy[row] + dy_at);
#pragma GCC unroll 4
      for (int i = 0; i < kTileTaps; ++i) total[row][i] += slope * pixels[i];
    }
  }
#pragma GCC unroll 4
  for (int row = 0; row < kTileOutputs; ++row) {
#pragma GCC unroll 4
    for (int i = 0; i < kTileTaps; ++i) sums[row][i] = sum_lanes(total[row][i]);
  }
}

Index tap_offset(const Sums& p, Index tap) {
  const Index kernel = p.shape.kernel;
  const Index column = tap % kernel;
  return tap / (kernel * kernel) * p.pitch + tap / kernel % kernel * row_pitch(p.canvas) +
         column % p.shape.stride * p.canvas.phase_pitch + column / p.shape.stride;
}

void add_chunk(const Sums& p, const Chunk& chunk, float* dweights) {
  const Index outputs = p.shape.out_channels / p.shape.groups;
  const Index taps = p.canvas.channels * p.shape.kernel * p.shape.kernel;
  for (Index output = 0; output < outputs; output += kTileOutputs) {
    Index dy_offsets[kTileOutputs];
    for (Index i = 0; i < kTileOutputs; ++i) {
      dy_offsets[i] = smaller(output + i, outputs - 1) * p.dy_pitch;
    }
    for (Index tap = 0; tap < taps; tap += kTileTaps) {
      Index x_offsets[kTileTaps];
      for (Index i = 0; i < kTileTaps; ++i) {
        x_offsets[i] = tap_offset(p, smaller(tap + i, taps - 1));
      }
      float sums[kTileOutputs][kTileTaps];
      add_tile(chunk, x_offsets, dy_offsets, sums);
      for (Index row = 0; row < smaller(kTileOutputs, outputs - output); ++row) {
        for (Index i = 0; i < smaller(kTileTaps, taps - tap); ++i) {
          dweights[(output + row) * taps + tap + i] += sums[row][i];
        }
      }
    }
  }
}

void flush(const Sums& p, Chunk* chunk, float* dweights) {
  if (chunk->count > 0) add_chunk(p, *chunk, dweights);
  chunk->count = 0;
}

// A row of positions; a full chunk is added up.
void add_row(const Sums& p, const float* x, const float* dy, Chunk* chunk, float* dweights) {
  for (Index column = 0; column < p.shape.out_width(); column += kLanes) {
    if (chunk->count == kChunk) flush(p, chunk, dweights);
    if (chunk->count == 0) {
      chunk->x = x + column;
      chunk->dy = dy + column;
    }
    chunk->places[chunk->count++] = {static_cast<std::int32_t>(x + column - chunk->x),
                                     static_cast<std::int32_t>(dy + column - chunk->dy)};
  }
}

// Rows [first, first + rows) of one image's positions; its canvases lie in place `slot`.
struct Work {
  const float* x;
  const float* dy;
  Index slot;
  Index first;
  Index rows;
};

// Prepares both sides and adds each row.
void add_rows(const Sums& p, const Work& work, Chunk* chunk, float* dweights) {
  const float* x_rows = work.x;
  const float* dy_rows = work.dy + work.first * p.shape.out_width();
  Index x_step = 0;
  Index dy_step = p.shape.out_width();
  if (p.painted) {
    float* canvas = p.x_block + work.slot * p.canvas.channels * p.pitch;
    paint(p.canvas, work.x, work.first * p.shape.stride,
          (work.rows - 1) * p.shape.stride + 1 + p.canvas.halo, p.pitch, canvas);
    x_rows = canvas;
    x_step = p.shape.stride * row_pitch(p.canvas);
  }
  if (p.dy_painted) {
    float* canvas = p.dy_block + work.slot * (p.shape.out_channels / p.shape.groups) * p.dy_pitch;
    paint(p.dy_canvas, work.dy, work.first, work.rows, p.dy_pitch, canvas);
    dy_rows = canvas;
    dy_step = row_pitch(p.dy_canvas);
  }
  for (Index row = 0; row < work.rows; ++row) {
    add_row(p, x_rows + row * x_step, dy_rows + row * dy_step, chunk, dweights);
  }
}

Sums plan(const Convolution& s) {
  Sums p{.shape = s,
         .canvas = input_canvas(s, kLanes),
         .painted = !needs_no_canvas(s, kLanes),
         .dy_painted = s.out_width() % kLanes != 0,
         .dy_canvas = output_canvas(s, kLanes),
         .rows = s.out_height(),
         .images = 1,
         .pitch = s.height * s.width,
         .dy_pitch = s.out_height() * s.out_width(),
         .x_block = aligned(s.workspace),
         .dy_block = aligned(s.workspace)};
  if (p.painted) {
    p.rows = block_rows(p.canvas, p.rows, s.stride);
    p.images = block_images(s, p.canvas);
    p.pitch = channel_pitch(p.canvas, p.rows, s.stride);
    p.dy_block += round_up(p.images * p.canvas.channels * p.pitch, kAlignmentFloats);
  } else {
    p.images = s.batch;
  }
  if (p.dy_painted) p.dy_pitch = channel_pitch(p.dy_canvas, p.rows, 1);
  return p;
}

void backward_weights(const Convolution& shape, const float* x, const float* dy, float* dweights) {
  const Sums p = plan(flattened(shape, kLanes));
  const Convolution& s = p.shape;
  const Index outputs = s.out_channels / s.groups;
  const Index taps = p.canvas.channels * s.kernel * s.kernel;
  fill(dweights, s.out_channels * taps, 0.0F);
  Chunk chunk;
  chunk.count = 0;
  for (Index group = 0; group < s.groups; ++group) {
    float* sums = dweights + group * outputs * taps;
    for (Index image = 0; image < s.batch; image += p.images) {
      for (Index first = 0; first < s.out_height(); first += p.rows) {
        const Index rows = smaller(p.rows, s.out_height() - first);
        for (Index slot = 0; slot < smaller(p.images, s.batch - image); ++slot) {
          const Index n = image + slot;
          const float* in = x + (n * s.channels + group * p.canvas.channels) * s.height * s.width;
          const float* out =
              dy + (n * s.out_channels + group * outputs) * s.out_height() * s.out_width();
          add_rows(p, {in, out, slot, first, rows}, &chunk, sums);
        }
        flush(p, &chunk, sums);
      }
    }
  }
}

}  // namespace

extern const DirectWeightsOps direct_weights_ops{.backward_weights = backward_weights};

}  // namespace ps::kernels::PS_ISA
