// The emulated GPU runs kernels as a GPU does: indices, barriers, collectives, atomics, streams.
// What it finds in wrong ones: cuda_host_bugs_test.cpp.
#include <cstdint>
#include <numeric>
#include <thread>
#include <vector>

#include <cuda_runtime.h>

#include "kernels/device.h"
#include "kernels/emulated.h"
#include "kernels/launch.cuh"
#include "support/catch.h"

namespace ps::kernels {
namespace {

// What a kernel of one block computed, an int a thread.
template <class Kernel>
std::vector<int> run_block(unsigned threads, Kernel kernel) {
  const Stream stream(0);
  const DeviceBuffer out(0, threads * sizeof(int));
  std::vector<int> host(threads, -1);
  launch(stream, {.threads = dim3(threads)}, kernel, out.as<int>());
  copy_to_host(host.data(), out.data(), out.size(), stream);
  stream.synchronize();
  return host;
}

template <class T>
__global__ void sum_kernel(const T* __restrict__ x, T* y, std::int64_t n) {
  __shared__ T tile[kBlock];
  T sum = 0;
  for (std::int64_t i = thread_index(); i < n; i += thread_count()) sum += x[i];
  tile[threadIdx.x] = sum;
  __syncthreads();
  for (unsigned k = blockDim.x / 2; k > 0; k /= 2) {
    if (threadIdx.x < k) tile[threadIdx.x] += tile[threadIdx.x + k];
    __syncthreads();
  }
  if (threadIdx.x == 0) y[blockIdx.x] = tile[0];
}

}  // namespace

TEST_CASE("cuda_host: a grid adds up with barriers and shared memory", "[unit]") {
  const Emulated emulated;
  const Stream stream(0);
  const std::int64_t n = GENERATE(1, 31, 257, 10'007, 50'000);
  const DeviceBuffer x(0, static_cast<std::size_t>(n) * sizeof(float));
  const DeviceBuffer y(0, 4096 * sizeof(float));
  const std::vector<float> ones(static_cast<std::size_t>(n), 1.0F);
  std::vector<float> sums(4096);
  copy_to_device(x.data(), ones.data(), x.size(), stream);
  launch(stream, grid_over(n), sum_kernel<float>, x.as<float>(), y.as<float>(), n);
  copy_to_host(sums.data(), y.data(), y.size(), stream);
  stream.synchronize();
  CHECK(std::accumulate(sums.begin(), sums.end(), 0.0) == static_cast<double>(n));
}

namespace {

__global__ void count_cells(int* cells) {
  const unsigned x = blockIdx.x * blockDim.x + threadIdx.x;
  const unsigned y = blockIdx.y * blockDim.y + threadIdx.y;
  const unsigned z = blockIdx.z * blockDim.z + threadIdx.z;
  const unsigned width = gridDim.x * blockDim.x;
  const unsigned height = gridDim.y * blockDim.y;
  cells[(z * height + y) * width + x] += 1;
}

}  // namespace

TEST_CASE("cuda_host: grids and blocks have three dimensions", "[unit]") {
  const Emulated emulated;
  const Stream stream(0);
  const dim3 blocks(3, 5, 2);
  const dim3 threads(7, 2, 3);
  const DeviceBuffer cells(0, 21 * 10 * 6 * sizeof(int));
  std::vector<int> host(21 * 10 * 6);
  launch(stream, {.blocks = blocks, .threads = threads}, count_cells, cells.as<int>());
  copy_to_host(host.data(), cells.data(), cells.size(), stream);
  stream.synchronize();
  CHECK(host == std::vector<int>(host.size(), 1));
}

namespace {

constexpr unsigned kAll = 0xFFFFFFFFU;

__global__ void shuffle_kernel(int* out) {
  const int self = static_cast<int>(threadIdx.x);
  int sum = self;
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(kAll, sum, lanes);
  const int first = __shfl_sync(kAll, self, 0, 8);
  const int wrapped = __shfl_sync(kAll, self, 11, 8);
  const int above = __shfl_up_sync(kAll, self, 3U, 16);
  const int below = __shfl_down_sync(kAll, self, 3U, 16);
  const double half = __shfl_xor_sync(kAll, self + 0.5, 1);
  const int base = self / 32 * 32;
  bool right = sum == 32 * base + 496 && first == self / 8 * 8 && wrapped == self / 8 * 8 + 3;
  right = right && above == (self % 16 < 3 ? self : self - 3);
  right = right && below == (self % 16 >= 13 ? self : self + 3);
  right = right && half == (self ^ 1) + 0.5;
  right = right && __shfl_xor_sync(kAll, self, 8, 8) == (self % 32 < 8    ? self
                                                         : self % 16 >= 8 ? self - 8
                                                                          : self);
  out[threadIdx.x] = right ? 1 : 0;
}

__global__ void vote_kernel(int* out) {
  const unsigned lane = threadIdx.x % 32;
  bool right = __ballot_sync(kAll, lane % 2) == 0xAAAAAAAAU;
  right = right && __any_sync(kAll, lane == 7) == 1 && __any_sync(kAll, 0) == 0;
  right = right && __all_sync(kAll, 1) == 1 && __all_sync(kAll, lane != 7) == 0;
  __syncwarp();
  if (lane < 5) {  // half a warp's words
    right = right && __ballot_sync(0x1FU, lane != 2) == 0x1BU;
    right = right && __shfl_xor_sync(0x1FU, lane, 1) == (lane == 4 ? 0xFFFFFFFFU : lane ^ 1U);
  }
  right = right && __syncthreads_or(threadIdx.x == 3) == 1 && __syncthreads_or(0) == 0;
  right = right && __syncthreads_and(threadIdx.x != 3) == 0 && __syncthreads_and(1) == 1;
  right = right && __syncthreads_count(threadIdx.x % 4 == 0) == static_cast<int>(blockDim.x / 4);
  out[threadIdx.x] = right ? 1 : 0;
}

__global__ void atomic_kernel(int* out) {
  __shared__ int sum, most, least;
  __shared__ unsigned long long turns;
  if (threadIdx.x == 0) {
    sum = 0;
    most = 0;
    least = 1000;
    turns = 0;
  }
  __syncthreads();
  const int self = static_cast<int>(threadIdx.x);
  atomicAdd(&sum, 1);
  atomicMax(&most, self);
  atomicMin(&least, self);
  unsigned long long seen = turns;
  while (true) {
    const unsigned long long old = atomicCAS(&turns, seen, seen + 1);
    if (old == seen) break;
    seen = old;
  }
  __syncthreads();
  const int last = static_cast<int>(blockDim.x) - 1;
  out[threadIdx.x] = sum == last + 1 && most == last && least == 0 && turns == blockDim.x ? 1 : 0;
}

}  // namespace

TEST_CASE("cuda_host: shuffles stay in their segments", "[unit]") {
  const Emulated emulated(1, GENERATE(1U, 2U, 3U));
  CHECK(run_block(128, shuffle_kernel) == std::vector<int>(128, 1));
}

TEST_CASE("cuda_host: warps and blocks vote", "[unit]") {
  const Emulated emulated(1, GENERATE(1U, 2U, 3U));
  CHECK(run_block(64, vote_kernel) == std::vector<int>(64, 1));
}

TEST_CASE("cuda_host: atomics count every thread", "[unit]") {
  const Emulated emulated(1, GENERATE(1U, 2U, 3U));
  CHECK(run_block(96, atomic_kernel) == std::vector<int>(96, 1));
}

namespace {

__global__ void reverse_kernel(int* out) {
  int* const tile = dynamic_shared<int>();
  tile[threadIdx.x] = static_cast<int>(threadIdx.x);
  __syncthreads();
  out[threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}

__global__ void fill_kernel(int* to, std::int64_t n, int value) {
  for (std::int64_t i = thread_index(); i < n; i += thread_count()) to[i] = value;
}

}  // namespace

TEST_CASE("cuda_host: dynamic shared memory is the block's", "[unit]") {
  const Emulated emulated;
  const Stream stream(0);
  const DeviceBuffer out(0, 33 * sizeof(int));
  std::vector<int> host(33);
  launch(stream, {.threads = dim3(33), .shared_bytes = 33 * sizeof(int)}, reverse_kernel,
         out.as<int>());
  copy_to_host(host.data(), out.data(), out.size(), stream);
  stream.synchronize();
  for (int i = 0; i < 33; ++i) CHECK(host[static_cast<std::size_t>(i)] == 32 - i);
}

TEST_CASE("cuda_host: nothing runs before somebody waits, and arguments are copied", "[unit]") {
  const Emulated emulated;
  const Stream stream(0);
  const DeviceBuffer memory(0, 4 * sizeof(int));
  int value = 5;
  std::vector<int> host(4, -1);
  launch(stream, grid_over(4), fill_kernel, memory.as<int>(), std::int64_t{4}, value);
  value = 6;
  copy_to_host(host.data(), memory.data(), memory.size(), stream);
  CHECK(host == std::vector<int>(4, -1));
  stream.synchronize();
  CHECK(host == std::vector<int>(4, 5));
}

TEST_CASE("cuda_host: several threads use streams of their own", "[unit]") {
  const Emulated emulated(2);
  std::vector<int> sums(4);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t, &sums] {
      const DeviceGuard guard(t % 2);
      const Stream stream(t % 2);
      const DeviceBuffer memory(t % 2, 1000 * sizeof(int));
      std::vector<int> host(1000);
      for (int i = 0; i < 10; ++i) {
        launch(stream, grid_over(1000), fill_kernel, memory.as<int>(), std::int64_t{1000}, t + i);
        copy_to_host(host.data(), memory.data(), memory.size(), stream);
        stream.synchronize();
        sums[static_cast<std::size_t>(t)] += std::accumulate(host.begin(), host.end(), 0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < 4; ++t) CHECK(sums[static_cast<std::size_t>(t)] == 1000 * (10 * t + 45));
}

TEST_CASE("cuda_host: counts launches, copies, allocations and waits", "[unit]") {
  const Emulated emulated;
  const Stream stream(0);
  const DeviceBuffer memory(0, 64);
  Event event(0);
  const cuda_host::Counters before = cuda_host::counters();
  launch(stream, grid_over(4), fill_kernel, memory.as<int>(), std::int64_t{4}, 1);
  fill_zero(memory.data(), 64, stream);
  event.record(stream);
  event.synchronize();
  stream.synchronize();
  const cuda_host::Counters after = cuda_host::counters();
  CHECK(after.launches - before.launches == 1);
  CHECK(after.copies - before.copies == 1);
  CHECK(after.allocations == before.allocations);
  CHECK(after.frees == before.frees);
  CHECK(after.device_waits == before.device_waits);
  CHECK(after.stream_waits - before.stream_waits == 1);
  CHECK(after.event_waits - before.event_waits == 1);
}

}  // namespace ps::kernels
