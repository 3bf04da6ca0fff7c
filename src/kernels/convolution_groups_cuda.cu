// Convolution of few channels a group on a GPU: a thread for each output, a block for each gradient
// of a weight.
#include "kernels/convolution_cuda.h"
#include "kernels/convolution_math.h"
#include "kernels/device_math.cuh"

namespace ps::kernels {
namespace {

using Index = std::int64_t;

// What the kernels divide by.
struct Divisors {
  Divisor width;
  Divisor height;
  Divisor channels;  // of the array that is written
};

struct Place {
  Index image;
  Index channel;
  Index row;
  Index column;
};

__device__ Place place_of(const Divisors& by, Index index) {
  const Index rows = by.width.quotient(index);
  const Index planes = by.height.quotient(rows);
  const Index image = by.channels.quotient(planes);
  return {image, planes - image * by.channels.value(), rows - planes * by.height.value(),
          index - rows * by.width.value()};
}

__global__ void forward_kernel(
    Convolution s, Divisors by, Index count, const float* x, const float* weights, float* y) {
  const Index inputs = s.channels / s.groups;
  const Index outputs = s.out_channels / s.groups;
  for (Index i = thread_index(); i < count; i += thread_count()) {
    const Place at = place_of(by, i);
    const Index group = at.channel / outputs;
    const Index first_row = at.row * s.stride - s.padding;
    const Index first_column = at.column * s.stride - s.padding;
    const float* weight = weights + at.channel * inputs * s.kernel * s.kernel;
    float total = 0.0F;
    for (Index channel = 0; channel < inputs; ++channel) {
      const float* plane =
          x + (at.image * s.channels + group * inputs + channel) * s.height * s.width;
      for (Index row = first_row; row < first_row + s.kernel; ++row) {
        for (Index column = first_column; column < first_column + s.kernel; ++column, ++weight) {
          if (row < 0 || row >= s.height || column < 0 || column >= s.width) continue;
          total += *weight * plane[row * s.width + column];
        }
      }
    }
    y[i] = total;
  }
}

__global__ void data_kernel(
    Convolution s, Divisors by, Index count, const float* dy, const float* weights, float* dx) {
  const Index inputs = s.channels / s.groups;
  const Index outputs = s.out_channels / s.groups;
  const Index out_height = s.out_height();
  const Index out_width = s.out_width();
  for (Index i = thread_index(); i < count; i += thread_count()) {
    const Place at = place_of(by, i);
    const Index group = at.channel / inputs;
    float total = 0.0F;
    for (Index channel = 0; channel < outputs; ++channel) {
      const Index out_channel = group * outputs + channel;
      const float* plane = dy + (at.image * s.out_channels + out_channel) * out_height * out_width;
      const float* weight =
          weights + (out_channel * inputs + at.channel - group * inputs) * s.kernel * s.kernel;
      for (Index tap_row = 0; tap_row < s.kernel; ++tap_row) {
        const Index rows = at.row + s.padding - tap_row;
        const Index row = rows / s.stride;
        if (rows < 0 || row * s.stride != rows || row >= out_height) continue;
        for (Index tap = 0; tap < s.kernel; ++tap) {
          const Index columns = at.column + s.padding - tap;
          const Index column = columns / s.stride;
          if (columns < 0 || column * s.stride != columns || column >= out_width) continue;
          total += weight[tap_row * s.kernel + tap] * plane[row * out_width + column];
        }
      }
    }
    dx[i] = total;
  }
}

__global__ void __launch_bounds__(kBlock) weights_kernel(Convolution s,
                                                         Divisor by_plane,
                                                         Divisor by_width,
                                                         const float* x,
                                                         const float* dy,
                                                         float* dweights) {
  __shared__ double shared[kBlock / kWarp];
  const Index inputs = s.channels / s.groups;
  const Index weight = static_cast<Index>(blockIdx.x);
  const Index tap = weight % (s.kernel * s.kernel);
  const Index pair = weight / (s.kernel * s.kernel);
  const Index out_channel = pair / inputs;
  const Index channel = out_channel / (s.out_channels / s.groups) * inputs + pair % inputs;
  const Index plane = by_plane.value();
  double total = 0.0;
  for (Index i = threadIdx.x; i < s.batch * plane; i += kBlock) {
    const Index image = by_plane.quotient(i);
    const Index pixel = i - image * plane;
    const Index out_row = by_width.quotient(pixel);
    const Index row = out_row * s.stride - s.padding + tap / s.kernel;
    const Index column =
        (pixel - out_row * by_width.value()) * s.stride - s.padding + tap % s.kernel;
    if (row < 0 || row >= s.height || column < 0 || column >= s.width) continue;
    const float product = dy[(image * s.out_channels + out_channel) * plane + pixel] *
                          x[((image * s.channels + channel) * s.height + row) * s.width + column];
    total += double{product};
  }
  total = block_sum(total, shared);
  if (threadIdx.x == 0) dweights[weight] = static_cast<float>(total);
}

}  // namespace

void convolve_groups(
    StreamView stream, const Convolution& s, const float* x, const float* weights, float* y) {
  const Divisors by{Divisor(s.out_width()), Divisor(s.out_height()), Divisor(s.out_channels)};
  const Index count = s.batch * s.out_channels * s.out_height() * s.out_width();
  launch(stream, grid_over(count), forward_kernel, s, by, count, x, weights, y);
}

void convolve_groups_backward_data(
    StreamView stream, const Convolution& s, const float* dy, const float* weights, float* dx) {
  const Divisors by{Divisor(s.width), Divisor(s.height), Divisor(s.channels)};
  const Index count = s.batch * s.channels * s.height * s.width;
  launch(stream, grid_over(count), data_kernel, s, by, count, dy, weights, dx);
}

void convolve_groups_backward_weights(
    StreamView stream, const Convolution& s, const float* x, const float* dy, float* dweights) {
  const Index weights = s.out_channels * convolution_taps(s);
  const Grid grid{.blocks = dim3(static_cast<unsigned>(weights))};
  launch(stream, grid, weights_kernel, s, Divisor(s.out_height() * s.out_width()),
         Divisor(s.out_width()), x, dy, dweights);
}

}  // namespace ps::kernels
