// Stands in for CUDA's <cuda_fp16.h>: the 16-bit float and its conversions, which round to nearest.
#pragma once

#include <bit>
#include <math.h>

#include "vector_types.h"

// NOLINTBEGIN: the names are CUDA's

struct __half_raw {
  unsigned short x;
};

struct __half {
  __half() = default;
  constexpr __half(__half_raw raw) : bits(raw.x) {}
  explicit __half(float value);
  operator __half_raw() const { return {bits}; }
  operator float() const;

  unsigned short bits;
};
using half = __half;

struct alignas(4) __half2 {
  __half x, y;
};
using half2 = __half2;

inline __half __ushort_as_half(unsigned short bits) {
  return __half(__half_raw{bits});
}
inline unsigned short __half_as_ushort(__half value) {
  return value.bits;
}

inline __half __float2half_rn(float value) {
  const unsigned whole = std::bit_cast<unsigned>(value);
  const unsigned sign = whole >> 16U & 0x8000U;
  const unsigned size = whole & 0x7FFFFFFFU;
  unsigned bits = 0;
  if (size > 0x7F800000U) {
    return __ushort_as_half(0x7FFF);  // no number
  } else if (size >= 0x477FF000U) {   // nearer to 65536 than to 65504
    bits = 0x7C00U;
  } else if (size < 0x38800000U) {  // a multiple of 2^-24
    bits = static_cast<unsigned>(rintf(std::bit_cast<float>(size) * 0x1p24F));
  } else {
    bits = (size - 0x38000000U + 0xFFFU + (size >> 13U & 1U)) >> 13U;
  }
  return __ushort_as_half(static_cast<unsigned short>(sign | bits));
}
inline float __half2float(__half value) {
  const unsigned sign = (value.bits & 0x8000U) << 16U;
  const unsigned exponent = value.bits >> 10U & 0x1FU;
  const unsigned fraction = value.bits & 0x3FFU;
  if (exponent == 0) {
    const float size = static_cast<float>(fraction) * 0x1p-24F;
    return std::bit_cast<float>(std::bit_cast<unsigned>(size) | sign);
  }
  const unsigned wide = exponent == 0x1FU ? 0xFFU : exponent + 112U;
  return std::bit_cast<float>(sign | wide << 23U | fraction << 13U);
}
inline __half __float2half(float value) {
  return __float2half_rn(value);
}
inline __half2 __floats2half2_rn(float x, float y) {
  return {__float2half_rn(x), __float2half_rn(y)};
}
inline __half2 __float22half2_rn(float2 value) {
  return __floats2half2_rn(value.x, value.y);
}
inline float2 __half22float2(__half2 value) {
  return {__half2float(value.x), __half2float(value.y)};
}

inline __half::__half(float value) : __half(__float2half_rn(value)) {}
inline __half::operator float() const {
  return __half2float(*this);
}

// NOLINTEND
