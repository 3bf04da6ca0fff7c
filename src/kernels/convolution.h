// Two-dimensional convolution (cross-correlation, as everywhere in deep learning), NCHW, square
// kernel, on one thread.
#pragma once

#include <cstdint>

#include "kernels/gemm.h"
#include "kernels/host_device.h"
#include "kernels/isa.h"
#include "kernels/window.h"

namespace ps::kernels {

// x: [batch, channels, height, width]; y: [batch, out_channels, out_height, out_width];
// weights: [out_channels, channels / groups, kernel, kernel]. groups divides both channel counts.
struct Convolution {
  std::int64_t batch = 0;
  std::int64_t channels = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t out_channels = 0;
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  std::int64_t groups = 1;
  // convolution_workspace_floats() floats that overlap nothing; their contents are destroyed.
  float* workspace = nullptr;

  [[nodiscard]] PS_HOST_DEVICE std::int64_t out_height() const {
    return window_positions(height, kernel, stride, padding);
  }
  [[nodiscard]] PS_HOST_DEVICE std::int64_t out_width() const {
    return window_positions(width, kernel, stride, padding);
  }
};

// What every function below needs for this shape; the batch does not matter.
std::int64_t convolution_workspace_floats(const Convolution& shape);

// dx, dy, dweights: the loss's gradients, shaped like x, y, weights. Nothing may overlap.
struct ConvolutionOps {
  void (*forward)(const Convolution& shape, const float* x, const float* weights, float* y);
  void (*backward_data)(const Convolution& shape, const float* dy, const float* weights, float* dx);
  void (*backward_weights)(const Convolution& shape,
                           const float* x,
                           const float* dy,
                           float* dweights);
};

const ConvolutionOps& convolution(Isa isa);

}  // namespace ps::kernels
