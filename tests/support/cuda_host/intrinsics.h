// CUDA's functions inside kernels that need no other thread: atomics (one thread runs at a time),
// cached loads, bits, roundings. Included by words.h.
#pragma once

#include <bit>
#include <cstdint>
#include <math.h>

// NOLINTBEGIN: the names are CUDA's

#define CUDA_HOST_ATOMICS(T)                       \
  inline T atomicAdd(T* at, T value) {             \
    const T old = *at;                             \
    *at = static_cast<T>(old + value);             \
    return old;                                    \
  }                                                \
  inline T atomicExch(T* at, T value) {            \
    const T old = *at;                             \
    *at = value;                                   \
    return old;                                    \
  }                                                \
  inline T atomicMax(T* at, T value) {             \
    const T old = *at;                             \
    *at = old < value ? value : old;               \
    return old;                                    \
  }                                                \
  inline T atomicMin(T* at, T value) {             \
    const T old = *at;                             \
    *at = value < old ? value : old;               \
    return old;                                    \
  }                                                \
  inline T atomicCAS(T* at, T expected, T value) { \
    const T old = *at;                             \
    if (old == expected) *at = value;              \
    return old;                                    \
  }                                                \
  inline T atomicOr(T* at, T value) {              \
    const T old = *at;                             \
    *at = old | value;                             \
    return old;                                    \
  }                                                \
  inline T atomicAnd(T* at, T value) {             \
    const T old = *at;                             \
    *at = old & value;                             \
    return old;                                    \
  }
CUDA_HOST_ATOMICS(int)
CUDA_HOST_ATOMICS(unsigned)
CUDA_HOST_ATOMICS(unsigned long long)
#undef CUDA_HOST_ATOMICS

inline float atomicAdd(float* at, float value) {
  const float old = *at;
  *at = old + value;
  return old;
}
inline double atomicAdd(double* at, double value) {
  const double old = *at;
  *at = old + value;
  return old;
}
inline float atomicExch(float* at, float value) {
  const float old = *at;
  *at = value;
  return old;
}
inline unsigned atomicInc(unsigned* at, unsigned limit) {
  const unsigned old = *at;
  *at = old >= limit ? 0 : old + 1;
  return old;
}

inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline void __trap() {
  cuda_host::trap("__trap");
}

#define CUDA_HOST_LOAD(name) \
  template <class T>         \
  T name(const T* from) {    \
    return *from;            \
  }
CUDA_HOST_LOAD(__ldg)
CUDA_HOST_LOAD(__ldca)
CUDA_HOST_LOAD(__ldcg)
CUDA_HOST_LOAD(__ldcs)
CUDA_HOST_LOAD(__ldcv)
CUDA_HOST_LOAD(__ldlu)
#undef CUDA_HOST_LOAD

#define CUDA_HOST_STORE(name) \
  template <class T>          \
  void name(T* to, T value) { \
    *to = value;              \
  }
CUDA_HOST_STORE(__stcg)
CUDA_HOST_STORE(__stcs)
CUDA_HOST_STORE(__stwb)
CUDA_HOST_STORE(__stwt)
#undef CUDA_HOST_STORE

#define CUDA_HOST_MIN_MAX(T)           \
  constexpr T min(T a, T b) noexcept { \
    return b < a ? b : a;              \
  }                                    \
  constexpr T max(T a, T b) noexcept { \
    return a < b ? b : a;              \
  }
CUDA_HOST_MIN_MAX(int)
CUDA_HOST_MIN_MAX(unsigned)
CUDA_HOST_MIN_MAX(long)
CUDA_HOST_MIN_MAX(unsigned long)
CUDA_HOST_MIN_MAX(long long)
CUDA_HOST_MIN_MAX(unsigned long long)
#undef CUDA_HOST_MIN_MAX
// As fminf: what is not a number loses.
inline float min(float a, float b) noexcept {
  return fminf(a, b);
}
inline float max(float a, float b) noexcept {
  return fmaxf(a, b);
}
inline double min(double a, double b) noexcept {
  return fmin(a, b);
}
inline double max(double a, double b) noexcept {
  return fmax(a, b);
}

inline int __float_as_int(float x) noexcept {
  return std::bit_cast<int>(x);
}
inline unsigned __float_as_uint(float x) noexcept {
  return std::bit_cast<unsigned>(x);
}
inline float __int_as_float(int x) noexcept {
  return std::bit_cast<float>(x);
}
inline float __uint_as_float(unsigned x) noexcept {
  return std::bit_cast<float>(x);
}
inline long long __double_as_longlong(double x) noexcept {
  return std::bit_cast<long long>(x);
}
inline double __longlong_as_double(long long x) noexcept {
  return std::bit_cast<double>(x);
}

inline int __popc(unsigned x) noexcept {
  return std::popcount(x);
}
inline int __popcll(unsigned long long x) noexcept {
  return std::popcount(x);
}
inline int __clz(int x) noexcept {
  return std::countl_zero(static_cast<unsigned>(x));
}
inline int __clzll(long long x) noexcept {
  return std::countl_zero(static_cast<unsigned long long>(x));
}
inline int __ffs(int x) noexcept {
  return __builtin_ffs(x);
}
inline int __ffsll(long long x) noexcept {
  return __builtin_ffsll(x);
}
inline unsigned __umulhi(unsigned a, unsigned b) noexcept {
  return static_cast<unsigned>((static_cast<std::uint64_t>(a) * b) >> 32U);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) noexcept {
  __extension__ using Wide = unsigned __int128;
  return static_cast<unsigned long long>((static_cast<Wide>(a) * b) >> 64U);
}

inline float rsqrtf(float x) noexcept {
  return 1.0F / sqrtf(x);
}
inline double rsqrt(double x) noexcept {
  return 1.0 / sqrt(x);
}
inline float __fadd_rn(float a, float b) noexcept {
  return a + b;
}
inline float __fsub_rn(float a, float b) noexcept {
  return a - b;
}
inline float __fmul_rn(float a, float b) noexcept {
  return a * b;
}
inline float __fdiv_rn(float a, float b) noexcept {
  return a / b;
}
inline float __frcp_rn(float x) noexcept {
  return 1.0F / x;
}
inline float __fsqrt_rn(float x) noexcept {
  return sqrtf(x);
}
inline float __fmaf_rn(float a, float b, float c) noexcept {
  return fmaf(a, b, c);
}
inline double __dadd_rn(double a, double b) noexcept {
  return a + b;
}
inline double __dmul_rn(double a, double b) noexcept {
  return a * b;
}
inline double __fma_rn(double a, double b, double c) noexcept {
  return fma(a, b, c);
}
// The fast ones: here as exact as the others.
inline float __expf(float x) noexcept {
  return expf(x);
}
inline float __logf(float x) noexcept {
  return logf(x);
}
inline float __fdividef(float a, float b) noexcept {
  return a / b;
}
inline float __saturatef(float x) noexcept {
  return fminf(fmaxf(x, 0.0F), 1.0F);
}

inline int __float2int_rn(float x) noexcept {
  return static_cast<int>(rintf(x));
}
inline int __float2int_rz(float x) noexcept {
  return static_cast<int>(x);
}
inline int __float2int_rd(float x) noexcept {
  return static_cast<int>(floorf(x));
}
inline int __float2int_ru(float x) noexcept {
  return static_cast<int>(ceilf(x));
}
inline float __int2float_rn(int x) noexcept {
  return static_cast<float>(x);
}
inline float __uint2float_rn(unsigned x) noexcept {
  return static_cast<float>(x);
}
inline float __ll2float_rn(long long x) noexcept {
  return static_cast<float>(x);
}
inline float __double2float_rn(double x) noexcept {
  return static_cast<float>(x);
}

// NOLINTEND
