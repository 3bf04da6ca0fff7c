#include "kernels/blas_cuda.h"
#include "kernels/cuda_backend.h"
#include "kernels/linear.h"

namespace ps::kernels {

std::int64_t CudaBackend::linear_workspace(const Linear& /*linear*/) const {
  return 0;
}

void CudaBackend::linear(
    const Linear& linear, const float* x, const float* weights, const float* bias, float* y) {
  const DeviceGuard guard = guard_on();
  blas_->multiply({.m = linear.batch,
                   .n = linear.outputs,
                   .k = linear.inputs,
                   .transpose_b = true,
                   .a = x,
                   .a_stride = linear.inputs,
                   .b = weights,
                   .b_stride = linear.inputs,
                   .c = y,
                   .c_stride = linear.outputs});
  if (bias != nullptr) {
    this->bias({.batch = linear.batch, .channels = linear.outputs}, bias, y);
  }
}

void CudaBackend::linear_backward_data(const Linear& linear,
                                       const float* dy,
                                       const float* weights,
                                       float* dx) {
  const DeviceGuard guard = guard_on();
  blas_->multiply({.m = linear.batch,
                   .n = linear.inputs,
                   .k = linear.outputs,
                   .a = dy,
                   .a_stride = linear.outputs,
                   .b = weights,
                   .b_stride = linear.inputs,
                   .c = dx,
                   .c_stride = linear.inputs});
}

void CudaBackend::linear_backward_weights(
    const Linear& linear, const float* x, const float* dy, float* dweights, float* dbias) {
  const DeviceGuard guard = guard_on();
  if (linear.batch == 0) {
    zero(dweights, linear.outputs * linear.inputs);
  } else {
    blas_->multiply({.m = linear.outputs,
                     .n = linear.inputs,
                     .k = linear.batch,
                     .transpose_a = true,
                     .a = dy,
                     .a_stride = linear.outputs,
                     .b = x,
                     .b_stride = linear.inputs,
                     .c = dweights,
                     .c_stride = linear.inputs});
  }
  if (dbias != nullptr)
    bias_backward({.batch = linear.batch, .channels = linear.outputs}, dy, dbias);
}

}  // namespace ps::kernels
