#include "kernels/cuda_backend.h"
#include "kernels/device_math.cuh"
#include "kernels/upsample.h"

namespace ps::kernels {
namespace {

using Index = std::int64_t;

// A thread for each pack of an output's row.
template <int kWidth>
__global__ void enlarge_kernel(
    Index packs, Index width, Divisor out_width, Divisor factor, const float* x, float* y) {
  for (Index i = thread_index(); i < packs; i += thread_count()) {
    const Index row = out_width.quotient(i * kWidth);
    const Index column = i * kWidth - row * out_width.value();
    const float* from = x + factor.quotient(row) * width;
    Pack<kWidth> values;
    for (int k = 0; k < kWidth; ++k) values.at[k] = from[factor.quotient(column + k)];
    store<kWidth>(y + i * kWidth, values);
  }
}

// A thread for each input.
__global__ void reduce_kernel(
    Index count, Divisor width, Index factor, const float* dy, float* dx) {
  const Index out_width = width.value() * factor;
  for (Index i = thread_index(); i < count; i += thread_count()) {
    const Index row = width.quotient(i);
    const float* from = dy + row * factor * out_width + (i - row * width.value()) * factor;
    float total = 0.0F;
    for (Index copy = 0; copy < factor; ++copy) {
      for (Index k = 0; k < factor; ++k) total += from[copy * out_width + k];
    }
    dx[i] = total;
  }
}

}  // namespace

void CudaBackend::upsample(const Upsample& shape, const float* x, float* y) {
  const Index width = shape.width * shape.factor;
  const Index count = shape.planes * shape.height * shape.factor * width;
  if (count == 0) return;
  const DeviceGuard guard = guard_on();
  const Divisor by_width(width);
  const Divisor by_factor(shape.factor);
  if (width % 4 == 0 && aligned(y)) {
    launch(stream_, grid_over(count / 4), enlarge_kernel<4>, count / 4, shape.width, by_width,
           by_factor, x, y);
  } else {
    launch(stream_, grid_over(count), enlarge_kernel<1>, count, shape.width, by_width, by_factor, x,
           y);
  }
}

void CudaBackend::upsample_backward(const Upsample& shape, const float* dy, float* dx) {
  const Index count = shape.planes * shape.height * shape.width;
  if (count == 0) return;
  const DeviceGuard guard = guard_on();
  launch(stream_, grid_over(count), reduce_kernel, count, Divisor(shape.width), shape.factor, dy,
         dx);
}

}  // namespace ps::kernels
