// Sums and maxima within a block, for the detectors' kernels: trees of a fixed shape, so that every
// run has the same bits. All threads of the block take part, all get the result.
#pragma once

#include <cstdint>

#include "kernels/launch.cuh"

namespace ps::kernels {

#if defined(__CUDACC__) || defined(PS_CUDA_EMULATED)

inline constexpr unsigned kAllLanes = 0xFFFFFFFFU;

struct Plus {
  __device__ __forceinline__ double operator()(double a, double b) const { return a + b; }
};
struct Larger {
  __device__ __forceinline__ unsigned long long operator()(unsigned long long a,
                                                           unsigned long long b) const {
    return a > b ? a : b;
  }
};

// `join` is commutative to the bit.
template <class T, class Join>
__device__ __forceinline__ T warp_join(T x, const Join& join) {
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) {
    x = join(x, __shfl_xor_sync(kAllLanes, x, lanes));
  }
  return x;
}

// nothing: what joins without a change.
template <int kThreads, class T, class Join>
__device__ __forceinline__ T block_join(T x, T nothing, const Join& join) {
  __shared__ T of_warps[static_cast<unsigned>(kThreads / kWarp)];
  const auto lane = static_cast<int>(threadIdx.x) % kWarp;
  x = warp_join(x, join);
  __syncthreads();  // what was joined before has been read
  if (lane == 0) of_warps[threadIdx.x / kWarp] = x;
  __syncthreads();
  return warp_join(lane < kThreads / kWarp ? of_warps[lane] : nothing, join);
}

template <int kThreads>
__device__ __forceinline__ double block_sum(double x) {
  return block_join<kThreads>(x, 0.0, Plus{});
}
template <int kThreads>
__device__ __forceinline__ unsigned long long block_max(unsigned long long x) {
  return block_join<kThreads>(x, 0ULL, Larger{});
}

// The sum of an array, by one block.
template <int kThreads>
__device__ __forceinline__ double block_sum_of(const double* from, std::int64_t count) {
  double sum = 0.0;
  for (std::int64_t i = threadIdx.x; i < count; i += kThreads) sum += from[i];
  return block_sum<kThreads>(sum);
}

#endif

}  // namespace ps::kernels
