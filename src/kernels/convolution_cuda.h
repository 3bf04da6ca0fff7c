// The parts of the GPU's convolution. Each enqueues on a stream whose device is current.
#pragma once

#include <cstdint>

#include <ps/device.h>

#include "kernels/convolution.h"
#include "kernels/device.h"

namespace ps::kernels {

class Blas;

// Few channels a group (depthwise, say): a matrix product's tiles would be empty for the most part.
inline bool has_small_groups(const Convolution& s) {
  constexpr std::int64_t kFew = 4;
  return s.groups > 1 && s.channels / s.groups <= kFew && s.out_channels / s.groups <= kFew;
}

// convolution_groups_cuda.cu: for has_small_groups().
void convolve_groups(
    StreamView stream, const Convolution& s, const float* x, const float* weights, float* y);
void convolve_groups_backward_data(
    StreamView stream, const Convolution& s, const float* dy, const float* weights, float* dx);
void convolve_groups_backward_weights(
    StreamView stream, const Convolution& s, const float* x, const float* dy, float* dweights);

// convolution_weights_cuda.cu: all others' gradient of the weights, and its workspace.
std::int64_t convolution_weights_workspace(const Convolution& s);
void convolve_backward_weights(
    StreamView stream, const Convolution& s, const float* x, const float* dy, float* dweights);

// convolution_columns_cuda.cu: by cuBLAS, in its precision. Worth it where tensor cores gain more
// than unrolling costs: with few channels all time goes into that.
inline bool prefers_columns(const Convolution& s, Precision precision) {
  constexpr std::int64_t kEnough = 32;
  return precision != Precision::kFp32 && s.channels / s.groups >= kEnough &&
         s.out_channels / s.groups >= kEnough;
}
std::int64_t convolution_columns_workspace(const Convolution& s);
void convolve_columns(
    Blas& blas, const Convolution& s, const float* x, const float* weights, float* y);
void convolve_columns_backward_data(
    Blas& blas, const Convolution& s, const float* dy, const float* weights, float* dx);
void convolve_columns_backward_weights(
    Blas& blas, const Convolution& s, const float* x, const float* dy, float* dweights);

}  // namespace ps::kernels
