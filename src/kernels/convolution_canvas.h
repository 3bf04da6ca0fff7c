// The geometry of direct convolution: where a block of padded input lies, and how blocks are cut.
// Shared by the workspace's size and the loops over it.
//
// A canvas holds rows of an image with its padding, so that every tap of a kernel reads a whole
// register at a fixed distance from the output it belongs to. With stride s a row's columns are
// sorted by their remainder modulo s (its phases), for then neighbours in memory are neighbours in
// the output, too.
#pragma once

#include <cstdint>

#include "kernels/convolution.h"
#include "kernels/host_device.h"

namespace ps::kernels {

// Canvas column c of phase f in canvas row r is the pixel (r - top, c * stride + f - left).
struct Canvas {
  std::int64_t channels;
  std::int64_t height;  // of the image
  std::int64_t width;   // of the image that is read; the rest counts as padding
  std::int64_t pitch;   // from row to row of the image
  std::int64_t stride;
  std::int64_t phases;
  std::int64_t top;
  std::int64_t left;
  std::int64_t phase_pitch;
  std::int64_t halo;  // rows that a block has beyond those of its positions
};

PS_HOST_DEVICE std::int64_t round_up(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit * unit;
}
PS_HOST_DEVICE std::int64_t smaller(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}
PS_HOST_DEVICE std::int64_t larger(std::int64_t a, std::int64_t b) {
  return a > b ? a : b;
}

PS_HOST_DEVICE std::int64_t row_pitch(const Canvas& canvas) {
  return canvas.phases * canvas.phase_pitch;
}

// From channel to channel, for blocks of so many positions a column, `step` canvas rows apart. Not
// a multiple of 1 KiB: the channels would meet in few sets of the first-level cache.
PS_HOST_DEVICE std::int64_t channel_pitch(const Canvas& canvas,
                                          std::int64_t rows,
                                          std::int64_t step) {
  const std::int64_t floats =
      round_up(((rows - 1) * step + 1 + canvas.halo) * row_pitch(canvas), 16);
  return floats % 256 == 0 ? floats + 16 : floats;
}

// The input's canvas, in registers of so many lanes: forward and the weights' gradient.
PS_HOST_DEVICE Canvas input_canvas(const Convolution& s, std::int64_t lanes) {
  return {.channels = s.channels / s.groups,
          .height = s.height,
          .width = smaller(s.width, (s.out_width() - 1) * s.stride + s.kernel - s.padding),
          .pitch = s.width,
          .stride = s.stride,
          .phases = smaller(s.stride, s.kernel),
          .top = s.padding,
          .left = s.padding,
          .phase_pitch = round_up(s.out_width(), lanes) + (s.kernel - 1) / s.stride,
          .halo = s.kernel - 1};
}

// The output gradient's canvas: backward. A pixel of the input, a + stride * t in some direction,
// is reached from output t + (a + padding - tap) / stride by the taps where that is whole.
PS_HOST_DEVICE Canvas gradient_canvas(const Convolution& s, std::int64_t lanes) {
  const std::int64_t before = larger(0, (s.kernel - 1 - s.padding + s.stride - 1) / s.stride);
  const std::int64_t after = (s.stride - 1 + s.padding) / s.stride;
  const std::int64_t positions = (s.width + s.stride - 1) / s.stride;
  return {.channels = s.out_channels / s.groups,
          .height = s.out_height(),
          .width = s.out_width(),
          .pitch = s.out_width(),
          .stride = 1,
          .phases = 1,
          .top = before,
          .left = before,
          .phase_pitch = before + larger(s.out_width(), round_up(positions, lanes) + after),
          .halo = before + after};
}

// How many rows of positions a block has: its canvas shall stay in the second-level cache.
PS_HOST_DEVICE std::int64_t block_rows(const Canvas& canvas, std::int64_t rows, std::int64_t step) {
  constexpr std::int64_t kCanvasFloats = std::int64_t{64} * 1024;
  constexpr std::int64_t kMinRows = 4;
  const std::int64_t fitting =
      (kCanvasFloats / canvas.channels / row_pitch(canvas) - canvas.halo) / step;
  return smaller(rows, larger(fitting, kMinRows));
}

}  // namespace ps::kernels
