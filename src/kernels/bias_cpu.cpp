#include "kernels/bias.h"
#include "kernels/lanes.h"

namespace ps::kernels::PS_ISA {
namespace {

using Index = std::int64_t;

void add(const float* x, float* y, Index count) {
  for (Index i = 0; i < count; ++i) y[i] += x[i];
}

void forward(const Bias& shape, const float* bias, float* y) {
  for (Index n = 0; n < shape.batch; ++n) {
    float* sample = y + n * shape.channels * shape.plane;
    if (shape.plane == 1) {
      add(bias, sample, shape.channels);
      continue;
    }
    for (Index channel = 0; channel < shape.channels; ++channel) {
      float* plane = sample + channel * shape.plane;
      const float value = bias[channel];
      for (Index i = 0; i < shape.plane; ++i) plane[i] += value;
    }
  }
}

void backward(const Bias& shape, const float* dy, float* dbias) {
  if (shape.plane == 1) {
    fill(dbias, shape.channels, 0.0F);
    for (Index n = 0; n < shape.batch; ++n) add(dy + n * shape.channels, dbias, shape.channels);
    return;
  }
  for (Index channel = 0; channel < shape.channels; ++channel) {
    double total = 0.0;
    for (Index n = 0; n < shape.batch; ++n) {
      const float* plane = dy + (n * shape.channels + channel) * shape.plane;
      total += sum(shape.plane, [plane](Index i) { return plane[i]; });
    }
    dbias[channel] = static_cast<float>(total);
  }
}

}  // namespace

extern const BiasOps bias_ops{.forward = forward, .backward = backward};

}  // namespace ps::kernels::PS_ISA
