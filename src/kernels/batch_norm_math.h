// Batch normalization's arithmetic on one value, for CPU and GPU.
#pragma once

#include "kernels/batch_norm.h"
#include "kernels/host_device.h"

namespace ps::kernels {

PS_HOST_DEVICE float inverse_deviation(float variance, float epsilon) {
#if defined(__CUDA_ARCH__)
  return 1.0F / __fsqrt_rn(variance + epsilon);
#else
  return 1.0F / __builtin_sqrtf(variance + epsilon);
#endif
}

// What the pass forward does to the values of one channel, but for the activation.
struct NormLine {
  float mean;
  float scale;
  float shift;

  PS_HOST_DEVICE float at(float x) const { return (x - mean) * scale + shift; }
};

PS_HOST_DEVICE NormLine norm_line(float gamma, float beta, float mean, float inverse) {
  return {mean, gamma * inverse, beta};
}

// dx = gamma / deviation * (dy - E[dy] - normal * E[dy * normal]): what that is for one channel.
struct NormSlope {
  float mean;
  float scale;
  float mean_dy;
  float slope;

  PS_HOST_DEVICE float at(float x, float dy) const {
    return scale * (dy - mean_dy - (x - mean) * slope);
  }
};

PS_HOST_DEVICE NormSlope
norm_slope(const NormLine& line, float inverse, float dgamma, float dbeta, double count) {
  return {line.mean, line.scale, static_cast<float>(double{dbeta} / count),
          static_cast<float>(double{dgamma} * double{inverse} / count)};
}

PS_HOST_DEVICE float tracked(const Tracking& t, float batch, float running) {
  return static_cast<float>((1.0 - t.share) * double{running} + t.share * t.scale * double{batch});
}

}  // namespace ps::kernels
