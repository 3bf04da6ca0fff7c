// Binary cross-entropy of a logit, plain and focal, for CPU and GPU. Exactly rounded operations
// only, like exponential(): the same bits everywhere, and loops over them vectorise.
#pragma once

#include <cstdint>

#include "kernels/activation_math.h"
#include "kernels/host_device.h"

namespace ps::kernels {

// atanh(s) for |s| <= 1/3, relative error below 2e-7: s + s^3 Q(s^2), Q minimax of degree 3.
PS_HOST_DEVICE float inverse_tanh(float s) {
  const float w = s * s;
  float q = 1.4012229e-1F;
  q = q * w + 1.3999571e-1F;
  q = q * w + 2.0010850e-1F;
  q = q * w + 3.3333207e-1F;
  return s + s * w * q;
}

// ln(1 + z) for z in [0, 1], with a small relative error at small z too.
PS_HOST_DEVICE float log_one_plus(float z) {
  return 2.0F * inverse_tanh(z / (2.0F + z));
}

// ln(x) for a positive, normal x.
PS_HOST_DEVICE float logarithm(float x) {
  constexpr std::int32_t kSqrtHalf = 0x3F3504F3;
  constexpr float kLn2 = 0.693147181F;
  const auto bits = __builtin_bit_cast(std::int32_t, x);
  const std::int32_t exponent = (bits - kSqrtHalf) >> 23;
  // In [sqrt(1/2), sqrt(2)).
  const auto mantissa = __builtin_bit_cast(float, bits - exponent * (1 << 23));
  const float s = (mantissa - 1.0F) / (mantissa + 1.0F);
  return static_cast<float>(exponent) * kLn2 + 2.0F * inverse_tanh(s);
}

// What a loss needs of a logit x, from one exponential. NaN stays NaN in all of them.
struct Sigmoid {
  float yes;   // 1 / (1 + e^-x)
  float no;    // 1 / (1 + e^x): its complement, exact where `yes` rounds to 1
  float tail;  // ln(1 + e^-|x|)

  PS_HOST_DEVICE static Sigmoid of(float x) {
    const float e = exponential(x < 0.0F ? x : -x);
    const float large = 1.0F / (1.0F + e);
    const float small = e * large;
    return {
        .yes = x < 0.0F ? small : large, .no = x < 0.0F ? large : small, .tail = log_one_plus(e)};
  }
};

PS_HOST_DEVICE float sigmoid(float x) {
  return 1.0F / (1.0F + exponential(-x));
}

struct LossTerm {
  float loss;
  float gradient;  // by the logit
};

// p t softplus(-x) + (1 - t) softplus(x), p = positive_weight.
struct BinaryCrossEntropy {
  float positive_weight = 1.0F;

  PS_HOST_DEVICE LossTerm operator()(float x, float t) const { return of(x, t, Sigmoid::of(x)); }

  PS_HOST_DEVICE LossTerm of(float x, float t, const Sigmoid& s) const {
    const float yes_weight = positive_weight * t;
    const float no_weight = 1.0F - t;
    const float softplus = (x > 0.0F ? x : 0.0F) + s.tail;
    const float softplus_of_minus = (x < 0.0F ? -x : 0.0F) + s.tail;
    return {.loss = yes_weight * softplus_of_minus + no_weight * softplus,
            .gradient = no_weight * s.yes - yes_weight * s.no};
  }
};

// The cross-entropy times (t / 4 + (1 - t) 3 / 4) (1 - p_t)^gamma, p_t = t s + (1 - t)(1 - s) with
// s = sigmoid(x): what is right already counts less (Lin et al., Focal Loss, 2017).
struct FocalCrossEntropy {
  float positive_weight = 1.0F;
  float gamma = 1.5F;

  PS_HOST_DEVICE LossTerm operator()(float x, float t) const {
    const Sigmoid s = Sigmoid::of(x);
    const LossTerm plain = BinaryCrossEntropy{positive_weight}.of(x, t, s);
    // 1 - p_t without cancellation, and large enough for the logarithm.
    const float error = t * s.no + (1.0F - t) * s.yes;
    const float bounded = error < 1e-35F ? 1e-35F : error;
    const float factor = (t * 0.25F + (1.0F - t) * 0.75F) * exponential(gamma * logarithm(bounded));
    // d(1 - p_t)/dx = (1 - 2 t) s (1 - s), and s (1 - s) <= 1 - p_t.
    const float slope = gamma * (1.0F - 2.0F * t) * (s.yes * s.no / bounded);
    return {.loss = factor * plain.loss,
            .gradient = factor * (plain.gradient + slope * plain.loss)};
  }
};

}  // namespace ps::kernels
