// Direct convolution: every output is summed in registers over the taps, read from a canvas
// (convolution_canvas.h) or, for 1 x 1 kernels, from the input itself. No column matrix.
#pragma once

#include <cstdint>

#include "kernels/convolution_canvas.h"

namespace ps::kernels {

// Limits over all instruction sets, for the workspace.
inline constexpr std::int64_t kMaxLanes = 16;
inline constexpr std::int64_t kMaxTileRows = 8;
inline constexpr std::int64_t kTileVectors = 3;
inline constexpr std::int64_t kAlignmentFloats = 16;

// A 1 x 1 convolution of stride 1 sees no rows: its planes become one row, where that wastes no
// lanes or is short anyway.
PS_HOST_DEVICE Convolution flattened(Convolution s, std::int64_t lanes) {
  constexpr std::int64_t kShort = 1024;
  const std::int64_t pixels = s.height * s.width;
  if (s.kernel != 1 || s.stride != 1 || s.padding != 0) return s;
  if (pixels % lanes != 0 && pixels > kShort) return s;
  s.height = 1;
  s.width = pixels;
  return s;
}

// The input is its own canvas.
PS_HOST_DEVICE bool needs_no_canvas(const Convolution& s, std::int64_t lanes) {
  return s.kernel == 1 && s.stride == 1 && s.padding == 0 && s.height == 1 && s.width % lanes == 0;
}

// The output gradient's rows in whole registers, filled up with zeros.
PS_HOST_DEVICE Canvas output_canvas(const Convolution& s, std::int64_t lanes) {
  return {.channels = s.out_channels / s.groups,
          .height = s.out_height(),
          .width = s.out_width(),
          .pitch = s.out_width(),
          .stride = 1,
          .phases = 1,
          .top = 0,
          .left = 0,
          .phase_pitch = round_up(s.out_width(), lanes),
          .halo = 0};
}

// Floats for a canvas of the block that block_rows() cuts.
PS_HOST_DEVICE std::int64_t canvas_floats(const Canvas& canvas,
                                          std::int64_t rows,
                                          std::int64_t step) {
  return canvas.channels * channel_pitch(canvas, block_rows(canvas, rows, step), step) +
         kAlignmentFloats;
}

// How many images' canvases the weights' gradient is summed over at a time.
PS_HOST_DEVICE std::int64_t block_images(const Convolution& s, const Canvas& canvas) {
  constexpr std::int64_t kCanvasFloats = std::int64_t{64} * 1024;
  const std::int64_t rows = s.out_height();
  if (block_rows(canvas, rows, s.stride) < rows) return 1;
  const std::int64_t images =
      kCanvasFloats / (canvas.channels * channel_pitch(canvas, rows, s.stride));
  return larger(1, smaller(images, 16));
}

// The input's phases are kept in a table of this many.
inline constexpr std::int64_t kMaxDirectStride = 8;

// Which way each pass goes: as measured on AVX2 (psbench layers), direct wherever the taps'
// weights and pixels stay in the first-level cache, else by matrix products.
PS_HOST_DEVICE bool is_direct(const Convolution& s, std::int64_t channels) {
  constexpr std::int64_t kMostTaps = 640;
  return s.kernel > 1 && s.stride <= kMaxDirectStride &&
         channels / s.groups * s.kernel * s.kernel <= kMostTaps;
}
PS_HOST_DEVICE bool forward_is_direct(const Convolution& s) {
  return is_direct(s, s.channels);
}
PS_HOST_DEVICE bool backward_data_is_direct(const Convolution& s) {
  return is_direct(s, s.out_channels);
}
PS_HOST_DEVICE bool backward_weights_is_direct(const Convolution& s) {
  constexpr std::int64_t kMostPointwise = 32;
  return is_direct(s, s.channels) ||
         (s.kernel == 1 && s.channels <= kMostPointwise && s.out_channels <= kMostPointwise);
}

struct DirectConvolutionOps {
  void (*forward)(const Convolution& shape, const float* x, const float* weights, float* y);
  void (*backward_data)(const Convolution& shape, const float* dy, const float* weights, float* dx);
};

struct DirectWeightsOps {
  void (*backward_weights)(const Convolution& shape,
                           const float* x,
                           const float* dy,
                           float* dweights);
};

}  // namespace ps::kernels
