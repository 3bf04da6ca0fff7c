// The codecs' arithmetic on single values, in integers and float32, for the CPU and GPU kernels:
// without branches, so that compilers make vectors of it, and without conversion instructions, so
// that the bits are one machine's as another's. Formats: codec.h.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace ps::kernels {

PS_HOST_DEVICE std::uint32_t bits_of(float x) {
  return __builtin_bit_cast(std::uint32_t, x);
}
PS_HOST_DEVICE float float_of(std::uint32_t bits) {
  return __builtin_bit_cast(float, bits);
}
PS_HOST_DEVICE std::uint32_t magnitude_bits(float x) {
  return bits_of(x) & 0x7FFFFFFFU;
}

constexpr std::uint32_t kInfinityBits = 0x7F800000U;
constexpr std::uint32_t kNanBits = 0x7FC00000U;

// What error feedback keeps of p after `sent` has gone.
PS_HOST_DEVICE float residual_of(float p, float sent) {
  const float lost = p - sent;
  return magnitude_bits(lost) < kInfinityBits ? lost : 0.0F;
}

// --- 16 bits

PS_HOST_DEVICE std::uint16_t to_fp16(float x) {
  const std::uint32_t magnitude = magnitude_bits(x);
  // Normal: half of the last kept place, to even, is added; the exponent's bias goes from 127
  // to 15.
  const std::uint32_t rounded = magnitude + 0x0FFFU + (magnitude >> 13 & 1U);
  const std::uint32_t normal = (rounded - 0x38000000U) >> 13;
  // Subnormal: 0.5 has the last place of fp16's subnormals, so this addition rounds to them.
  const std::uint32_t small = bits_of(float_of(magnitude) + 0.5F) - 0x3F000000U;
  const std::uint32_t nan = 0x7E00U | (magnitude >> 13 & 0x3FFU);
  std::uint32_t half = magnitude < 0x38800000U ? small : normal;  // below 2^-14
  half = magnitude >= 0x47800000U ? 0x7C00U : half;               // 2^16 and more
  half = magnitude > kInfinityBits ? nan : half;
  return static_cast<std::uint16_t>(half | (bits_of(x) >> 16 & 0x8000U));
}

PS_HOST_DEVICE float from_fp16(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000U) << 16;
  const std::uint32_t magnitude = (half & 0x7FFFU) << 13;
  const std::uint32_t normal = magnitude + 0x38000000U;
  // 2^-14 (1 + m) - 2^-14: exact, and no subnormal float32 on the way.
  const std::uint32_t small = bits_of(float_of(magnitude + 0x38800000U) - 0x1p-14F);
  std::uint32_t bits = magnitude < 0x00800000U ? small : normal;
  bits = magnitude >= 0x0F800000U ? magnitude | kInfinityBits : bits;
  return float_of(bits | sign);
}

PS_HOST_DEVICE std::uint16_t to_bf16(float x) {
  const std::uint32_t bits = bits_of(x);
  const std::uint32_t rounded = (bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16;
  const std::uint32_t nan = bits >> 16 | 0x40U;  // quiet: its payload may lie in the lower half
  return static_cast<std::uint16_t>(magnitude_bits(x) > kInfinityBits ? nan : rounded);
}

PS_HOST_DEVICE float from_bf16(std::uint16_t half) {
  return float_of(static_cast<std::uint32_t>(half) << 16);
}

struct Fp16 {
  PS_HOST_DEVICE static std::uint16_t encode(float x) { return to_fp16(x); }
  PS_HOST_DEVICE static float decode(std::uint16_t half) { return from_fp16(half); }
};

struct Bf16 {
  PS_HOST_DEVICE static std::uint16_t encode(float x) { return to_bf16(x); }
  PS_HOST_DEVICE static float decode(std::uint16_t half) { return from_bf16(half); }
};

// --- int8

// 127 and 128 times it are finite, and it has 17 significant bits.
constexpr std::uint32_t kLargestScaleBits = 0x7BFFFF80U;

// A block's scale from the largest magnitude_bits() of its values: a 127th, rounded up to 17
// significant bits; a NaN if they are not all finite.
PS_HOST_DEVICE std::uint32_t int8_scale_bits(std::uint32_t largest) {
  const std::uint32_t up = (bits_of(float_of(largest) / 127.0F) + 127U) & ~127U;
  const std::uint32_t scale = up < kLargestScaleBits ? up : kLargestScaleBits;
  return largest < kInfinityBits ? scale : kNanBits;
}

// What decoding accepts: for the sign codec anything finite and not negative.
PS_HOST_DEVICE bool is_int8_scale(std::uint32_t bits) {
  return bits <= kLargestScaleBits;
}
PS_HOST_DEVICE bool is_sign_scale(std::uint32_t bits) {
  return bits < kInfinityBits;
}

// floor(x + u) for an exact sum, with rest = 1 - u in (0, 1]; 1/2 rounds to nearest. x may pass
// +-127 by a little: a scale is a rounded quotient, too. Comparisons as numbers, not as branches,
// or gcc 12 follows them one by one and makes no vectors.
PS_HOST_DEVICE std::int32_t round_by(float x, float rest) {
  const auto whole = static_cast<std::int32_t>(x);  // towards zero
  const std::int32_t below = whole - static_cast<std::int32_t>(x < static_cast<float>(whole));
  const std::int32_t code =
      below + static_cast<std::int32_t>(x - static_cast<float>(below) >= rest);
  const std::int32_t not_above = code > 127 ? 127 : code;
  return not_above < -127 ? -127 : not_above;
}

// --- Random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC'11), as base/random.h has it, here for vectors and GPUs.

struct PhiloxWords {
  std::uint32_t at[4];
};

// The products' halves one by one, as vectors multiply.
PS_HOST_DEVICE void philox_round(PhiloxWords& c, std::uint32_t key0, std::uint32_t key1) {
  constexpr std::uint32_t kMultiplier0 = 0xD2511F53U;
  constexpr std::uint32_t kMultiplier1 = 0xCD9E8D57U;
  const auto high0 = static_cast<std::uint32_t>(std::uint64_t{kMultiplier0} * c.at[0] >> 32);
  const auto high1 = static_cast<std::uint32_t>(std::uint64_t{kMultiplier1} * c.at[2] >> 32);
  const std::uint32_t low0 = kMultiplier0 * c.at[0];
  const std::uint32_t low1 = kMultiplier1 * c.at[2];
  c.at[0] = high1 ^ c.at[1] ^ key0;
  c.at[1] = low1;
  c.at[2] = high0 ^ c.at[3] ^ key1;
  c.at[3] = low0;
}

// ps::philox(key, counter, 0).
PS_HOST_DEVICE PhiloxWords philox_words(std::uint64_t key, std::uint64_t counter) {
  PhiloxWords c{
      {static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32), 0, 0}};
  const auto key0 = static_cast<std::uint32_t>(key);
  const auto key1 = static_cast<std::uint32_t>(key >> 32);
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9U;
  constexpr std::uint32_t kWeyl1 = 0xBB67AE85U;
  philox_round(c, key0, key1);
  philox_round(c, key0 + kWeyl0, key1 + kWeyl1);
  philox_round(c, key0 + 2 * kWeyl0, key1 + 2 * kWeyl1);
  philox_round(c, key0 + 3 * kWeyl0, key1 + 3 * kWeyl1);
  philox_round(c, key0 + 4 * kWeyl0, key1 + 4 * kWeyl1);
  philox_round(c, key0 + 5 * kWeyl0, key1 + 5 * kWeyl1);
  philox_round(c, key0 + 6 * kWeyl0, key1 + 6 * kWeyl1);
  philox_round(c, key0 + 7 * kWeyl0, key1 + 7 * kWeyl1);
  philox_round(c, key0 + 8 * kWeyl0, key1 + 8 * kWeyl1);
  philox_round(c, key0 + 9 * kWeyl0, key1 + 9 * kWeyl1);
  return c;
}

// Stochastic rounding of a block of 256: value i takes word i / 64 of counter 64 block + i % 64, so
// that neighbours' numbers come from neighbouring counters. 1 - u of 24 bits, for round_by().
constexpr int kPhiloxStride = 64;

PS_HOST_DEVICE float rest_of(std::uint32_t word) {
  return static_cast<float>(static_cast<std::int32_t>((word >> 8) + 1U)) * 0x1p-24F;
}

}  // namespace ps::kernels
