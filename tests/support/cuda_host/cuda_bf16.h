// Stands in for CUDA's <cuda_bf16.h>: a float's upper half and its conversions, which round to
// nearest.
#pragma once

#include <bit>

#include "vector_types.h"

// NOLINTBEGIN: the names are CUDA's

struct __nv_bfloat16_raw {
  unsigned short x;
};

struct __nv_bfloat16 {
  __nv_bfloat16() = default;
  constexpr __nv_bfloat16(__nv_bfloat16_raw raw) : bits(raw.x) {}
  explicit __nv_bfloat16(float value);
  operator __nv_bfloat16_raw() const { return {bits}; }
  operator float() const;

  unsigned short bits;
};
using nv_bfloat16 = __nv_bfloat16;

struct alignas(4) __nv_bfloat162 {
  __nv_bfloat16 x, y;
};
using nv_bfloat162 = __nv_bfloat162;

inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) {
  return __nv_bfloat16(__nv_bfloat16_raw{bits});
}
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 value) {
  return value.bits;
}

inline __nv_bfloat16 __float2bfloat16_rn(float value) {
  const unsigned whole = std::bit_cast<unsigned>(value);
  if ((whole & 0x7FFFFFFFU) > 0x7F800000U) return __ushort_as_bfloat16(0x7FFF);  // no number
  const unsigned rounded = whole + 0x7FFFU + (whole >> 16U & 1U);
  return __ushort_as_bfloat16(static_cast<unsigned short>(rounded >> 16U));
}
inline float __bfloat162float(__nv_bfloat16 value) {
  return std::bit_cast<float>(static_cast<unsigned>(value.bits) << 16U);
}
inline __nv_bfloat16 __float2bfloat16(float value) {
  return __float2bfloat16_rn(value);
}
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) {
  return {__float2bfloat16_rn(x), __float2bfloat16_rn(y)};
}
inline __nv_bfloat162 __float22bfloat162_rn(float2 value) {
  return __floats2bfloat162_rn(value.x, value.y);
}
inline float2 __bfloat1622float2(__nv_bfloat162 value) {
  return {__bfloat162float(value.x), __bfloat162float(value.y)};
}

inline __nv_bfloat16::__nv_bfloat16(float value) : __nv_bfloat16(__float2bfloat16_rn(value)) {}
inline __nv_bfloat16::operator float() const {
  return __bfloat162float(*this);
}

// NOLINTEND
