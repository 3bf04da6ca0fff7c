// Mean and variance of many values in one pass, as exact as in two: values are gathered in groups,
// each about its own mean, and groups are merged (Chan, Golub and LeVeque, 1979). E[x^2] - E[x]^2
// would cancel.
#pragma once

#include "kernels/device_math.cuh"

namespace ps::kernels {

// Packs of a group: what a thread reads at a time.
inline constexpr int kUnroll = 4;

#if defined(__CUDACC__) || defined(PS_CUDA_EMULATED)

// Of `count` values: their mean and the sum of their squared deviations from it. Float64 only where
// differences do not need it: on many devices its operations are rare.
struct Moments {
  double mean;
  double squares;
  float count;
};

__device__ __forceinline__ void merge(Moments* into, const Moments& other) {
  if (other.count == 0.0F) return;
  const auto delta = static_cast<float>(other.mean - into->mean);
  const float share = other.count / (into->count + other.count);
  into->mean += double{delta} * double{share};
  into->squares += other.squares + double{delta * delta * (into->count * share)};
  into->count += other.count;
}

// Lane 0 gets the lanes' together.
__device__ __forceinline__ Moments merge_warp(Moments m) {
  for (unsigned distance = kWarp / 2; distance > 0; distance /= 2) {
    const Moments other{__shfl_down_sync(kAllLanes, m.mean, distance),
                        __shfl_down_sync(kAllLanes, m.squares, distance),
                        __shfl_down_sync(kAllLanes, m.count, distance)};
    merge(&m, other);
  }
  return m;
}

// Thread 0 gets the block's. `shared` has a place for each warp.
__device__ __forceinline__ Moments merge_block(Moments m, Moments* shared) {
  m = merge_warp(m);
  if (lane_index() == 0) shared[warp_index()] = m;
  __syncthreads();
  if (warp_index() != 0) return m;
  m = Moments{};
  if (lane_index() < static_cast<int>(blockDim.x) / kWarp) m = shared[lane_index()];
  return merge_warp(m);
}

// Of the first `packs` of a group.
template <int kWidth>
__device__ __forceinline__ Moments moments_of(const Pack<kWidth> (&group)[kUnroll], int packs) {
  const auto count = static_cast<float>(packs * kWidth);
  float sum = 0.0F;
  for (int i = 0; i < kUnroll; ++i) {
    for (const float value : group[i].at) sum += i < packs ? value : 0.0F;
  }
  const float mean = sum / count;
  float squares = 0.0F;
  for (int i = 0; i < kUnroll; ++i) {
    for (const float value : group[i].at) {
      squares += i < packs ? (value - mean) * (value - mean) : 0.0F;
    }
  }
  return {double{mean}, double{squares}, count};
}

#endif

}  // namespace ps::kernels
