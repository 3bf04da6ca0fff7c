#include "kernels/bias.h"
#include "kernels/gemm.h"
#include "kernels/linear.h"

namespace ps::kernels::PS_ISA {

extern const GemmOps gemm_ops;
extern const BiasOps bias_ops;

namespace {

void forward(const Linear& l, const float* x, const float* weights, const float* bias, float* y) {
  gemm_ops.run({.m = l.batch,
                .n = l.outputs,
                .k = l.inputs,
                .transpose_b = true,
                .a = x,
                .a_stride = l.inputs,
                .b = weights,
                .b_stride = l.inputs,
                .c = y,
                .c_stride = l.outputs,
                .workspace = l.workspace});
  if (bias != nullptr) bias_ops.forward({.batch = l.batch, .channels = l.outputs}, bias, y);
}

void backward_data(const Linear& l, const float* dy, const float* weights, float* dx) {
  gemm_ops.run({.m = l.batch,
                .n = l.inputs,
                .k = l.outputs,
                .a = dy,
                .a_stride = l.outputs,
                .b = weights,
                .b_stride = l.inputs,
                .c = dx,
                .c_stride = l.inputs,
                .workspace = l.workspace});
}

void backward_weights(
    const Linear& l, const float* x, const float* dy, float* dweights, float* dbias) {
  gemm_ops.run({.m = l.outputs,
                .n = l.inputs,
                .k = l.batch,
                .transpose_a = true,
                .a = dy,
                .a_stride = l.outputs,
                .b = x,
                .b_stride = l.inputs,
                .c = dweights,
                .c_stride = l.inputs,
                .workspace = l.workspace});
  if (dbias != nullptr) bias_ops.backward({.batch = l.batch, .channels = l.outputs}, dy, dbias);
}

}  // namespace

extern const LinearOps linear_ops{
    .forward = forward, .backward_data = backward_data, .backward_weights = backward_weights};

}  // namespace ps::kernels::PS_ISA
