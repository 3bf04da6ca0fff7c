// One channel after the other, so that its planes stay in the cache between the passes over them.
#include "kernels/batch_norm.h"
#include "kernels/lanes.h"

namespace ps::kernels::PS_ISA {
namespace {

using Index = std::int64_t;

// Sum over the planes of one channel of term(offset of the plane)(i).
template <class PlaneSum>
double sum_planes(const BatchNorm& norm, Index channel, const PlaneSum& plane_sum) {
  double total = 0.0;
  for (Index n = 0; n < norm.batch; ++n) {
    total += plane_sum((n * norm.channels + channel) * norm.plane);
  }
  return total;
}

float inverse_deviation(float variance, float epsilon) {
  return 1.0F / __builtin_sqrtf(variance + epsilon);
}

void normalize(
    const BatchNorm& norm, Index channel, const float* x, float* y, float mean, float variance) {
  const float scale = norm.gamma[channel] * inverse_deviation(variance, norm.epsilon);
  const float shift = norm.beta[channel];
  for (Index n = 0; n < norm.batch; ++n) {
    const Index offset = (n * norm.channels + channel) * norm.plane;
    const float* in = x + offset;
    float* out = y + offset;
    PS_INDEPENDENT_LOOP
    for (Index i = 0; i < norm.plane; ++i) out[i] = (in[i] - mean) * scale + shift;
  }
}

void forward_training(
    const BatchNorm& norm, const float* x, float* y, float* mean, float* variance) {
  const auto count = static_cast<double>(norm.batch * norm.plane);
  for (Index channel = 0; channel < norm.channels; ++channel) {
    const double total = sum_planes(norm, channel, [&](Index offset) {
      return sum(norm.plane, [in = x + offset](Index i) { return in[i]; });
    });
    const auto center = static_cast<float>(total / count);
    // Around the mean, in a second pass: E[x^2] - E[x]^2 would cancel.
    const double squares = sum_planes(norm, channel, [&](Index offset) {
      return sum(norm.plane, [in = x + offset, center](Index i) {
        const float deviation = in[i] - center;
        return deviation * deviation;
      });
    });
    mean[channel] = center;
    variance[channel] = static_cast<float>(squares / count);
    normalize(norm, channel, x, y, center, variance[channel]);
  }
}

void forward_evaluation(
    const BatchNorm& norm, const float* x, float* y, const float* mean, const float* variance) {
  for (Index channel = 0; channel < norm.channels; ++channel) {
    normalize(norm, channel, x, y, mean[channel], variance[channel]);
  }
}

void backward(const BatchNorm& norm, const BatchNormBackward& a) {
  const auto count = static_cast<double>(norm.batch * norm.plane);
  for (Index channel = 0; channel < norm.channels; ++channel) {
    const float mean = a.mean[channel];
    const float inverse = inverse_deviation(a.variance[channel], norm.epsilon);
    const double sum_dy = sum_planes(norm, channel, [&](Index offset) {
      return sum(norm.plane, [dy = a.dy + offset](Index i) { return dy[i]; });
    });
    const double sum_dy_x = sum_planes(norm, channel, [&](Index offset) {
      return sum(norm.plane, [dy = a.dy + offset, x = a.x + offset, mean](Index i) {
        return dy[i] * (x[i] - mean);
      });
    });
    const double sum_dy_normal = sum_dy_x * double{inverse};
    a.dbeta[channel] = static_cast<float>(sum_dy);
    a.dgamma[channel] = static_cast<float>(sum_dy_normal);
    if (a.dx == nullptr) continue;
    // dx = gamma / deviation * (dy - E[dy] - normal * E[dy * normal]).
    const float scale = norm.gamma[channel] * inverse;
    const auto mean_dy = static_cast<float>(sum_dy / count);
    const auto slope = static_cast<float>(sum_dy_normal / count * double{inverse});
    for (Index n = 0; n < norm.batch; ++n) {
      const Index offset = (n * norm.channels + channel) * norm.plane;
      const float* x = a.x + offset;
      const float* dy = a.dy + offset;
      float* dx = a.dx + offset;
      PS_INDEPENDENT_LOOP
      for (Index i = 0; i < norm.plane; ++i) {
        dx[i] = scale * (dy[i] - mean_dy - (x[i] - mean) * slope);
      }
    }
  }
}

}  // namespace

extern const BatchNormOps batch_norm_ops{.forward_training = forward_training,
                                         .forward_evaluation = forward_evaluation,
                                         .backward = backward};

}  // namespace ps::kernels::PS_ISA
