// How kernels are launched. For X_cuda.cu only: compiled by nvcc for a GPU, or by the host's
// compiler for the emulator of tests/support/cuda_host, which supplies <cuda_runtime.h> and CUDA's
// words.
#pragma once

#include <algorithm>
#include <cstdint>

#include <cuda_runtime.h>

#include "kernels/device.h"

namespace ps::kernels {

inline constexpr int kWarp = 32;
inline constexpr int kBlock = 256;  // threads of a block where nothing speaks for another number

struct Grid {
  dim3 blocks{1};
  dim3 threads{kBlock};
  std::size_t shared_bytes = 0;  // dynamic, at most 48 KiB
};

// One thread for each of `count` items, or a grid that strides over them (indices()) if they are
// many.
inline Grid grid_over(std::int64_t count, int threads = kBlock) {
  constexpr std::int64_t kMostBlocks = 4096;  // enough to fill any device several times
  const std::int64_t blocks = (count + threads - 1) / threads;
  return {.blocks = dim3(static_cast<unsigned>(std::clamp<std::int64_t>(blocks, 1, kMostBlocks))),
          .threads = dim3(static_cast<unsigned>(threads))};
}

// Enqueues kernel<<<grid>>>(arguments...) on the stream, whose device must be current
// (DeviceGuard). Arguments are copied now. Throws for a launch that the device refuses.
template <class... Parameters, class... Arguments>
void launch(StreamView stream,
            const Grid& grid,
            void (*kernel)(Parameters...),
            Arguments&&... arguments) {
#if defined(__CUDACC__)
  kernel<<<grid.blocks, grid.threads, grid.shared_bytes, stream.handle()>>>(
      static_cast<Parameters>(static_cast<Arguments&&>(arguments))...);
#else
  cuda_host::launch<Parameters...>(grid.blocks, grid.threads, grid.shared_bytes, stream.handle(),
                                   kernel,
                                   static_cast<Parameters>(static_cast<Arguments&&>(arguments))...);
#endif
  PS_CUDA_CHECK(cudaGetLastError());
}

#if defined(__CUDACC__) || defined(PS_CUDA_EMULATED)
// This thread's number in the whole grid and how many there are: for (i = first; i < count; i +=
// step).
__device__ __forceinline__ std::int64_t thread_index() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ __forceinline__ std::int64_t thread_count() {
  return static_cast<std::int64_t>(gridDim.x) * blockDim.x;
}

// The block's dynamic shared memory (Grid::shared_bytes), aligned to 16.
template <class T>
__device__ __forceinline__ T* dynamic_shared() {
#if defined(__CUDACC__)
  extern __shared__ __align__(16) unsigned char ps_dynamic_shared[];
  return reinterpret_cast<T*>(ps_dynamic_shared);
#else
  return static_cast<T*>(cuda_host::dynamic_shared());
#endif
}
#endif

}  // namespace ps::kernels
