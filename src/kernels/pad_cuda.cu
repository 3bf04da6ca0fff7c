#include "kernels/cuda_backend.h"
#include "kernels/device_math.cuh"
#include "kernels/pad.h"

namespace ps::kernels {
namespace {

using Index = std::int64_t;

// A thread for each output.
__global__ void pad_kernel(
    Pad pad, Index count, Divisor out_width, Divisor out_height, const float* x, float* y) {
  for (Index i = thread_index(); i < count; i += thread_count()) {
    const Index rows = out_width.quotient(i);
    const Index plane = out_height.quotient(rows);
    const Index row = rows - plane * out_height.value() - pad.top;
    const Index column = i - rows * out_width.value() - pad.left;
    const bool inside = row >= 0 && row < pad.height && column >= 0 && column < pad.width;
    y[i] = inside ? x[(plane * pad.height + row) * pad.width + column] : 0.0F;
  }
}

// A thread for each gradient of an input.
__global__ void crop_kernel(
    Pad pad, Index count, Divisor width, Divisor height, const float* dy, float* dx) {
  for (Index i = thread_index(); i < count; i += thread_count()) {
    const Index rows = width.quotient(i);
    const Index plane = height.quotient(rows);
    const Index row = rows - plane * pad.height + pad.top;
    const Index column = i - rows * pad.width + pad.left;
    dx[i] = dy[(plane * pad.out_height() + row) * pad.out_width() + column];
  }
}

}  // namespace

void CudaBackend::pad(const Pad& pad, const float* x, float* y) {
  const Index count = pad.planes * pad.out_height() * pad.out_width();
  if (count == 0) return;
  const DeviceGuard guard = guard_on();
  launch(stream_, grid_over(count), pad_kernel, pad, count, Divisor(pad.out_width()),
         Divisor(pad.out_height()), x, y);
}

void CudaBackend::pad_backward(const Pad& pad, const float* dy, float* dx) {
  const Index count = pad.planes * pad.height * pad.width;
  if (count == 0) return;
  const DeviceGuard guard = guard_on();
  launch(stream_, grid_over(count), crop_kernel, pad, count, Divisor(pad.width),
         Divisor(pad.height), dy, dx);
}

}  // namespace ps::kernels
