// Late gradients, infinities and sums of squares on a GPU.
#include <cstdint>

#include "kernels/finite_math.h"
#include "kernels/float4_cuda.cuh"
#include "kernels/update_cuda.h"
#include "kernels/update_math.h"

namespace ps::kernels::gpu {
namespace {

// DC-ASGD with a fixed lambda, as the adaptive kind is called.
struct ConstantCompensation {
  float lambda = 0.0F;

  PS_HOST_DEVICE float operator()(float g, float w, float pulled, float& /*mean_square*/) const {
    return compensated(g, w, pulled, lambda);
  }
};

template <unsigned kWidth, class Rule>
__device__ __forceinline__ void compensate_at(const CompensatePass& pass,
                                              const Rule& rule,
                                              float* mean_square,
                                              std::size_t i) {
  Floats<kWidth> g = load_any<kWidth>(pass.gradient + i);
  const Floats<kWidth> w = load_aligned<kWidth>(pass.weights + i);
  const Floats<kWidth> pulled = load_aligned<kWidth>(pass.pulled + i);
  Floats<kWidth> square{};
  if (mean_square != nullptr) square = load_aligned<kWidth>(mean_square + i);
#pragma unroll
  for (unsigned j = 0; j < kWidth; ++j) {
    g.at[j] = rule(g.at[j], w.at[j], pulled.at[j], square.at[j]);
  }
  store_aligned<kWidth>(pass.out + i, g);
  if (mean_square != nullptr) store_aligned<kWidth>(mean_square + i, square);
}

template <unsigned kWidth, class Rule>
__global__ void compensate_kernel(const CompensatePass pass, const Rule rule, float* mean_square) {
  for_each<kWidth>(pass.size, [&](auto width, std::size_t i) {
    compensate_at<decltype(width)::kValue>(pass, rule, mean_square, i);
  });
}

template <class Rule>
void run_compensation(const CompensatePass& pass,
                      const Rule& rule,
                      float* mean_square,
                      StreamView stream) {
  if (pass.size == 0) return;
  const DeviceGuard guard(stream.device());
  const auto size = static_cast<std::int64_t>(pass.size);
  if (aligned16(pass.weights) && aligned16(pass.pulled) && aligned16(pass.out) &&
      aligned16(mean_square)) {
    launch(stream, grid_over((size + 3) / 4), compensate_kernel<4, Rule>, pass, rule, mean_square);
  } else {
    launch(stream, grid_over(size), compensate_kernel<1, Rule>, pass, rule, mean_square);
  }
}

template <unsigned kWidth>
__global__ void finite_kernel(const float* values, std::size_t size, std::uint32_t* not_finite) {
  std::uint32_t seen = 0;
  for_each<kWidth>(size, [&](auto width, std::size_t i) {
    for (const float x : load_aligned<decltype(width)::kValue>(values + i).at) {
      seen |= finite_mark(x);
    }
  });
  if (!is_finite_mark(seen)) atomicOr(not_finite, 1U);
}

// The pattern of norm.h: 16 threads are the lanes of a block of 4096 values, and two such blocks
// share a warp (the second may lie behind the end: it then has no values).
constexpr int kLanes = 16;
constexpr std::size_t kValues = 4096;

__global__ void block_squares_kernel(const float* values,
                                     std::size_t size,
                                     double* sums,
                                     std::size_t blocks) {
  const auto thread = static_cast<std::size_t>(thread_index());
  const auto step = static_cast<std::size_t>(thread_count()) / kLanes;
  const std::size_t lane = thread % kLanes;
  const std::size_t half = thread / kLanes % 2;
  for (std::size_t pair = thread / kLanes - half; pair < blocks; pair += step) {
    const std::size_t start = (pair + half) * kValues;
    const std::size_t end = start + kValues < size ? start + kValues : size;
    double sum = 0.0;
#pragma unroll 8
    for (std::size_t i = start + lane; i < end; i += kLanes) {
      const double value = values[i];
      sum += value * value;
    }
    double block = 0.0;
    for (int l = 0; l < kLanes; ++l) block += __shfl_sync(0xFFFFFFFFU, sum, l, kLanes);
    if (lane == 0 && pair + half < blocks) sums[pair + half] = block;
  }
}

// One block of threads: all fetch, the first adds, in order.
__global__ void add_in_order_kernel(const double* sums, std::size_t count, double* result) {
  constexpr std::size_t kTile = 1024;
  __shared__ double tile[kTile];
  double total = 0.0;
  for (std::size_t start = 0; start < count; start += kTile) {
    const std::size_t here = count - start < kTile ? count - start : kTile;
    for (std::size_t i = threadIdx.x; i < here; i += blockDim.x) tile[i] = sums[start + i];
    __syncthreads();
    if (threadIdx.x == 0) {
#pragma unroll 8
      for (std::size_t i = 0; i < here; ++i) total += tile[i];
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) *result = total;
}

}  // namespace

void compensate(const CompensatePass& pass, float lambda, StreamView stream) {
  run_compensation(pass, ConstantCompensation{.lambda = lambda}, nullptr, stream);
}

void compensate(const CompensatePass& pass,
                const AdaptiveCompensation& rule,
                float* mean_square,
                StreamView stream) {
  run_compensation(pass, rule, mean_square, stream);
}

void check_finite(const float* values,
                  std::size_t size,
                  std::uint32_t* not_finite,
                  StreamView stream) {
  if (size == 0) return;
  const DeviceGuard guard(stream.device());
  const auto count = static_cast<std::int64_t>(size);
  if (aligned16(values)) {
    launch(stream, grid_over((count + 3) / 4), finite_kernel<4>, values, size, not_finite);
  } else {
    launch(stream, grid_over(count), finite_kernel<1>, values, size, not_finite);
  }
}

void squares(
    const float* values, std::size_t size, double* workspace, double* result, StreamView stream) {
  const DeviceGuard guard(stream.device());
  const std::size_t blocks = squares_workspace(size);
  if (blocks > 0) {
    launch(stream, grid_over(static_cast<std::int64_t>(blocks) * kLanes), block_squares_kernel,
           values, size, workspace, blocks);
  }
  launch(stream, Grid{}, add_in_order_kernel, workspace, blocks, result);
}

}  // namespace ps::kernels::gpu
