// CUDA's words inside kernels: qualifiers, indices, barriers, collectives, atomics, intrinsics.
#pragma once

#include <cstdint>
#include <cstring>
#include <math.h>
#include <type_traits>

#include "vector_types.h"

#define __global__
#define __device__
#define __host__
#define __constant__ const
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

// Static storage in a section of its own, which is filled with the poison before each block. gcc
// drops an attribute `section` in templates, but not this one; clang has it the other way round.
// AddressSanitizer sees overruns of those in kernels of unnamed namespaces only: have them there.
#if defined(__clang__)
#define __shared__ static __attribute__((section(".noinit")))
#else
#define __shared__ static __attribute__((noinit))
#endif

// The running thread's; kernels only read them.
extern uint3 threadIdx;
extern uint3 blockIdx;
extern dim3 blockDim;
extern dim3 gridDim;
inline constexpr int warpSize = 32;

namespace cuda_host {

enum class Barrier : std::uint8_t { kPlain, kOr, kAnd, kCount };

// Where a barrier or collective stands: filled in by the compiler at the call.
struct Site {
  const char* word;
  const char* function;
  const char* file;
  int line;
};

// The block's barrier. Returns what the kind makes of all threads' values.
int block_barrier(Barrier kind, int value, const Site& site);

// Every lane of the mask gives a value and gets that of lane `source` (of its own warp).
std::uint64_t warp_exchange(unsigned mask, std::uint64_t value, int source, const Site& site);
// Every lane of the mask gives a truth and gets all, a bit a lane.
unsigned warp_vote(unsigned mask, bool value, const Site& site);
int lane() noexcept;
// Which lane a shuffle reads from, or the caller's own.
int source_in_segment(int wanted, int width) noexcept;

[[noreturn]] void trap(const char* why);

// The block's dynamic shared memory, exactly as large as the launch asked for.
void* dynamic_shared() noexcept;

template <class T>
T exchange(unsigned mask, T value, int source, const Site& site) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t));
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = warp_exchange(mask, bits, source, site);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace cuda_host

// The last parameters of every such word.
#define CUDA_HOST_SITE                                                              \
  const char *function = __builtin_FUNCTION(), const char *file = __builtin_FILE(), \
             int line = __builtin_LINE()

inline void __syncthreads(CUDA_HOST_SITE) {
  cuda_host::block_barrier(cuda_host::Barrier::kPlain, 0, {"__syncthreads", function, file, line});
}
inline int __syncthreads_or(int value, CUDA_HOST_SITE) {
  return cuda_host::block_barrier(cuda_host::Barrier::kOr, value,
                                  {"__syncthreads_or", function, file, line});
}
inline int __syncthreads_and(int value, CUDA_HOST_SITE) {
  return cuda_host::block_barrier(cuda_host::Barrier::kAnd, value,
                                  {"__syncthreads_and", function, file, line});
}
inline int __syncthreads_count(int value, CUDA_HOST_SITE) {
  return cuda_host::block_barrier(cuda_host::Barrier::kCount, value,
                                  {"__syncthreads_count", function, file, line});
}

inline void __syncwarp(unsigned mask = 0xFFFFFFFFU, CUDA_HOST_SITE) {
  cuda_host::warp_vote(mask, false, {"__syncwarp", function, file, line});
}
inline unsigned __ballot_sync(unsigned mask, int value, CUDA_HOST_SITE) {
  return cuda_host::warp_vote(mask, value != 0, {"__ballot_sync", function, file, line});
}
inline int __any_sync(unsigned mask, int value, CUDA_HOST_SITE) {
  return cuda_host::warp_vote(mask, value != 0, {"__any_sync", function, file, line}) != 0;
}
inline int __all_sync(unsigned mask, int value, CUDA_HOST_SITE) {
  return cuda_host::warp_vote(mask, value != 0, {"__all_sync", function, file, line}) == mask;
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, CUDA_HOST_SITE) {
  const int from = (cuda_host::lane() & ~(width - 1)) | (source & (width - 1));
  return cuda_host::exchange(mask, value, from, {"__shfl_sync", function, file, line});
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, CUDA_HOST_SITE) {
  const int from = cuda_host::lane() - static_cast<int>(delta);
  return cuda_host::exchange(mask, value, cuda_host::source_in_segment(from, width),
                             {"__shfl_up_sync", function, file, line});
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, CUDA_HOST_SITE) {
  const int from = cuda_host::lane() + static_cast<int>(delta);
  return cuda_host::exchange(mask, value, cuda_host::source_in_segment(from, width),
                             {"__shfl_down_sync", function, file, line});
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, CUDA_HOST_SITE) {
  // A later segment is out of reach, an earlier one is not.
  const int from = cuda_host::lane() ^ lanes;
  const int last = cuda_host::lane() | (width - 1);
  return cuda_host::exchange(mask, value, from <= last ? from : cuda_host::lane(),
                             {"__shfl_xor_sync", function, file, line});
}
#undef CUDA_HOST_SITE

#include "intrinsics.h"
