// What the kernels of X_cuda.cu share: division by a number that is known at the launch, several
// floats at a time, and sums over a warp or a block, in an order that is always the same.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/host_device.h"
#include "kernels/launch.cuh"

// Before a loop whose arrays are to live in registers.
#if defined(__CUDACC__)
#define PS_UNROLL _Pragma("unroll")
#else
#define PS_UNROLL
#endif

namespace ps::kernels {

// Quotients by a multiplication, for a divisor that the compiler does not know (Granlund and
// Montgomery, 1994): n / d = (n + high half of n * m) >> s for 0 <= n < 2^63.
class Divisor {
 public:
  // REQUIRES: divisor > 0.
  explicit Divisor(std::int64_t divisor) : divisor_(divisor) {
    while ((std::uint64_t{1} << static_cast<unsigned>(shift_)) <
           static_cast<std::uint64_t>(divisor)) {
      ++shift_;
    }
    const Wide excess = (Wide{1} << static_cast<unsigned>(shift_)) - static_cast<Wide>(divisor);
    multiplier_ = static_cast<std::uint64_t>((excess << 64U) / static_cast<Wide>(divisor)) + 1;
  }

  [[nodiscard]] PS_HOST_DEVICE std::int64_t value() const { return divisor_; }
  [[nodiscard]] PS_HOST_DEVICE std::int64_t quotient(std::int64_t n) const {
    const auto dividend = static_cast<std::uint64_t>(n);
#if defined(__CUDA_ARCH__)
    const std::uint64_t high = __umul64hi(dividend, multiplier_);
#else
    const auto high = static_cast<std::uint64_t>((Wide{dividend} * multiplier_) >> 64U);
#endif
    return static_cast<std::int64_t>((high + dividend) >> static_cast<unsigned>(shift_));
  }

 private:
  __extension__ typedef unsigned __int128 Wide;  // NOLINT(*-use-using): no __extension__ there

  std::int64_t divisor_;
  std::uint64_t multiplier_ = 0;
  int shift_ = 0;
};

// The same for 0 <= n < 2^31, at a third of the instructions.
class SmallDivisor {
 public:
  SmallDivisor() = default;
  // REQUIRES: 0 < divisor < 2^31.
  explicit SmallDivisor(std::int64_t divisor) : divisor_(static_cast<std::int32_t>(divisor)) {
    while ((std::int64_t{1} << static_cast<unsigned>(shift_)) < divisor) ++shift_;
    const auto excess =
        static_cast<std::uint64_t>((std::int64_t{1} << static_cast<unsigned>(shift_)) - divisor);
    multiplier_ =
        static_cast<std::uint32_t>((excess << 32U) / static_cast<std::uint64_t>(divisor)) + 1U;
  }

  [[nodiscard]] PS_HOST_DEVICE std::int32_t value() const { return divisor_; }
  [[nodiscard]] PS_HOST_DEVICE std::int32_t quotient(std::int32_t n) const {
    const auto dividend = static_cast<std::uint32_t>(n);
    const auto high = static_cast<std::uint32_t>((std::uint64_t{dividend} * multiplier_) >> 32U);
    return static_cast<std::int32_t>((high + dividend) >> static_cast<unsigned>(shift_));
  }

 private:
  std::int32_t divisor_ = 1;
  std::uint32_t multiplier_ = 1;
  int shift_ = 0;
};

// Floats that are read and written by one instruction.
template <int kWidth>
struct alignas(static_cast<std::size_t>(kWidth) * sizeof(float)) Pack {
  float at[kWidth];
};

template <int kWidth>
PS_HOST_DEVICE Pack<kWidth> load(const float* from) {
  return *reinterpret_cast<const Pack<kWidth>*>(from);
}
template <int kWidth>
PS_HOST_DEVICE void store(float* to, const Pack<kWidth>& values) {
  *reinterpret_cast<Pack<kWidth>*>(to) = values;
}

// Whether packs of four may be read or written there. Null may.
template <class... Pointers>
bool aligned(const Pointers*... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) % sizeof(Pack<4>) == 0) && ...);
}

#if defined(__CUDACC__) || defined(PS_CUDA_EMULATED)

inline constexpr unsigned kAllLanes = 0xFFFFFFFFU;

__device__ __forceinline__ int lane_index() {
  return static_cast<int>(threadIdx.x) % kWarp;
}
__device__ __forceinline__ int warp_index() {
  return static_cast<int>(threadIdx.x) / kWarp;
}

// Lane 0 gets the sum of the lanes' values.
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
  for (unsigned distance = kWarp / 2; distance > 0; distance /= 2) {
    value += __shfl_down_sync(kAllLanes, value, distance);
  }
  return value;
}

// Thread 0 gets the sum of the block's values; `shared` has a place for each warp. All threads of
// the block call it.
template <class T>
__device__ __forceinline__ T block_sum(T value, T* shared) {
  value = warp_sum(value);
  if (lane_index() == 0) shared[warp_index()] = value;
  __syncthreads();
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  value = static_cast<int>(threadIdx.x) < warps ? shared[threadIdx.x] : T{};
  if (warp_index() == 0) value = warp_sum(value);
  __syncthreads();  // so that `shared` may be used again
  return value;
}

#endif

}  // namespace ps::kernels
