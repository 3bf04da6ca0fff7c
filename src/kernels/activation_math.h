// The activations' arithmetic, for CPU and GPU.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace ps::kernels {

// e^x with a relative error below 2e-7; x beyond +-87 counts as +-87 and NaN stays NaN. Made of
// exactly rounded operations only, so that every device computes the same bits and loops over it
// vectorise (libm's does neither).
PS_HOST_DEVICE float exponential(float exponent) {
  constexpr float kLog2e = 1.44269504F;
  // ln 2 in two parts; n times the first is exact.
  constexpr float kLn2High = 0.693359375F;
  constexpr float kLn2Low = -2.12194440e-4F;
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
  constexpr float kRounder = 12582912.0F;
  // Limited as an integer: GCC would follow a float's constant limit through all that comes, and
  // lanes that are thrown away would then divide into denormals, at ten times the price.
  constexpr std::int32_t kSign = INT32_MIN;
  constexpr std::int32_t kLimit = 0x42AE0000;  // 87.0F
  const auto bits = __builtin_bit_cast(std::int32_t, exponent);
  const std::int32_t magnitude = bits & ~kSign;
  const float x =
      __builtin_bit_cast(float, (magnitude < kLimit ? magnitude : kLimit) | (bits & kSign));
  const float rounded = x * kLog2e + kRounder;
  const float n = rounded - kRounder;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  // Minimax polynomial of e^r on |r| <= ln(2) / 2 (S. Moshier's Cephes, expf).
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  const auto power = __builtin_bit_cast(std::uint32_t, rounded) -
                     __builtin_bit_cast(std::uint32_t, kRounder) + 127U;
  return exponent == exponent ? p * __builtin_bit_cast(float, power << 23U) : exponent;
}

struct Relu {
  PS_HOST_DEVICE float forward(float x) const { return x > 0.0F ? x : 0.0F; }
  PS_HOST_DEVICE float backward(float x, float dy) const { return x > 0.0F ? dy : 0.0F; }
};

struct LeakyRelu {
  float slope;
  PS_HOST_DEVICE float forward(float x) const { return x > 0.0F ? x : slope * x; }
  PS_HOST_DEVICE float backward(float x, float dy) const { return x > 0.0F ? dy : slope * dy; }
};

// In two steps, for loops that take one at a time: e = e^-x first.
struct Silu {
  PS_HOST_DEVICE float forward(float x) const { return forward(x, exponential(-x)); }
  PS_HOST_DEVICE float backward(float x, float dy) const {
    return backward(x, dy, exponential(-x));
  }
  PS_HOST_DEVICE static float forward(float x, float e) { return x / (1.0F + e); }
  // s = sigmoid(x): f' = s + x s (1 - s).
  PS_HOST_DEVICE static float backward(float x, float dy, float e) {
    const float s = 1.0F / (1.0F + e);
    return dy * (s + x * s * (1.0F - s));
  }
};

}  // namespace ps::kernels
