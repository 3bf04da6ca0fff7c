// One or four floats of a thread, for kernels whose arrays are aligned to 16 bytes or are not. For
// X_cuda.cu only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/launch.cuh"

namespace ps::kernels {

inline bool aligned16(const void* address) {
  return reinterpret_cast<std::uintptr_t>(address) % 16 == 0;
}

template <unsigned kWidth>
struct Floats {
  float at[kWidth];
};

// REQUIRES: an address aligned to kWidth floats.
template <unsigned kWidth>
__device__ __forceinline__ Floats<kWidth> load_aligned(const float* from) {
  if constexpr (kWidth == 4) {
    const float4 four = *reinterpret_cast<const float4*>(from);
    return {four.x, four.y, four.z, four.w};
  } else {
    return {*from};
  }
}

// From any address that is a multiple of 4. All threads of a warp take one branch.
template <unsigned kWidth>
__device__ __forceinline__ Floats<kWidth> load_any(const float* from) {
  if constexpr (kWidth == 4) {
    if (reinterpret_cast<std::uintptr_t>(from) % 16 == 0) return load_aligned<4>(from);
    return {from[0], from[1], from[2], from[3]};
  } else {
    return {*from};
  }
}

template <unsigned kWidth>
__device__ __forceinline__ void store_aligned(float* to, const Floats<kWidth>& values) {
  if constexpr (kWidth == 4) {
    *reinterpret_cast<float4*>(to) =
        make_float4(values.at[0], values.at[1], values.at[2], values.at[3]);
  } else {
    *to = values.at[0];
  }
}

// body(Width<n>{}, first): once for every `kWidth` of the elements, and for each of the rest alone.
template <unsigned kN>
struct Width {
  static constexpr unsigned kValue = kN;
};

template <unsigned kWidth, class Body>
__device__ __forceinline__ void for_each(std::size_t size, const Body& body) {
  const auto step = static_cast<std::size_t>(thread_count());
  const auto first = static_cast<std::size_t>(thread_index());
  const std::size_t whole = size / kWidth;
  for (std::size_t i = first; i < whole; i += step) body(Width<kWidth>{}, i * kWidth);
  if constexpr (kWidth > 1) {
    for (std::size_t i = whole * kWidth + first; i < size; i += step) body(Width<1>{}, i);
  }
}

}  // namespace ps::kernels
