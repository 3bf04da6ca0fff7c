// Many floats to 16 bits and back, as codec_math.h does one. To be included only by files that are
// compiled per instruction set (isa.h). Written out for AVX2, because GCC 12 narrows vectors to 16
// bits at a quarter of the speed. F16C rounds as to_fp16() does, and keeps the same bits of a NaN.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <cstddef>
#include <cstdint>

#include "kernels/codec_math.h"
#include "kernels/reduce_cpu.h"

namespace ps::kernels::PS_ISA {

// A number at any byte address, as it may lie in a message.
using PackedHalf __attribute__((aligned(1), may_alias)) = std::uint16_t;

#if defined(__AVX2__)

struct Vector16 {
  __m256 low, high;
};

inline __attribute__((always_inline)) __m256i encode16(Fp16 /*half*/, Vector16 x) {
  constexpr int kNearestEven = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return _mm256_set_m128i(_mm256_cvtps_ph(x.high, kNearestEven),
                          _mm256_cvtps_ph(x.low, kNearestEven));
}

inline __attribute__((always_inline)) __m256i to_bf16(__m256 x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i upper = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
  const __m256i half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF));
  const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, half), 16);
  const __m256i nan = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
  const __m256 is_nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
  return _mm256_blendv_epi8(rounded, nan, _mm256_castps_si256(is_nan));
}

inline __attribute__((always_inline)) __m256i encode16(Bf16 /*half*/, Vector16 x) {
  // Packing goes by halves of a register: their middle quarters change places.
  const __m256i packed = _mm256_packus_epi32(to_bf16(x.low), to_bf16(x.high));
  return _mm256_permute4x64_epi64(packed, 0xD8);
}

inline __attribute__((always_inline)) Vector16 decode16(Fp16 /*half*/, __m256i x) {
  return {_mm256_cvtph_ps(_mm256_castsi256_si128(x)),
          _mm256_cvtph_ps(_mm256_extracti128_si256(x, 1))};
}

inline __attribute__((always_inline)) __m256 from_bf16(__m128i x) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
}

inline __attribute__((always_inline)) Vector16 decode16(Bf16 /*half*/, __m256i x) {
  return {from_bf16(_mm256_castsi256_si128(x)), from_bf16(_mm256_extracti128_si256(x, 1))};
}

#endif

template <class Half>
PS_HOST_DEVICE void to_halves(const PackedFloat* from, std::size_t count, PackedHalf* to) {
  std::size_t i = 0;
#if defined(__AVX2__)
  for (; i + 16 <= count; i += 16) {
    const auto* floats = reinterpret_cast<const float*>(from + i);
    const Vector16 x{_mm256_loadu_ps(floats), _mm256_loadu_ps(floats + 8)};
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), encode16(Half{}, x));
  }
#endif
  for (; i < count; ++i) to[i] = Half::encode(from[i]);
}

// NaNs may have other payloads than decode() gives them.
template <class Half>
PS_HOST_DEVICE void from_halves(const PackedHalf* from, std::size_t count, float* to) {
  std::size_t i = 0;
#if defined(__AVX2__)
  for (; i + 16 <= count; i += 16) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i));
    const Vector16 x = decode16(Half{}, halves);
    _mm256_storeu_ps(to + i, x.low);
    _mm256_storeu_ps(to + i + 8, x.high);
  }
#endif
  for (; i < count; ++i) to[i] = Half::decode(from[i]);
}

}  // namespace ps::kernels::PS_ISA
