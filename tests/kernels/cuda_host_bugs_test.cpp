// The emulated GPU finds bugs that are planted here, each in the smallest kernel that has it.
#include <cstdint>
#include <cstdio>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <cuda_runtime.h>

#include <ps/error.h>

#include "kernels/device.h"
#include "kernels/emulated.h"
#include "kernels/launch.cuh"
#include "support/catch.h"

namespace ps::kernels {
namespace {

using Catch::Matchers::Contains;

constexpr unsigned kAll = 0xFFFFFFFFU;

// What waiting for the kernel says; empty if it is content.
template <class Kernel>
std::string finding(Kernel kernel, const Grid& grid) {
  const Stream stream(0);
  const DeviceBuffer out(0, 256 * sizeof(int));
  try {
    launch(stream, grid, kernel, out.as<int>());
    stream.synchronize();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// The results of one block of 64 threads.
template <class Kernel>
std::vector<int> results(Kernel kernel, std::size_t shared_bytes = 0) {
  const Stream stream(0);
  const DeviceBuffer out(0, 64 * sizeof(int));
  std::vector<int> host(64);
  launch(stream, {.threads = dim3(64), .shared_bytes = shared_bytes}, kernel, out.as<int>());
  copy_to_host(host.data(), out.data(), out.size(), stream);
  stream.synchronize();
  return host;
}

// Whether the body ends its process: what AddressSanitizer finds does.
template <class Body>
bool dies(Body body) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    std::fclose(stderr);  // its report is not this test's
    close(STDERR_FILENO);
    body();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status != 0;
}

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kAddressSanitizer = true;
#else
constexpr bool kAddressSanitizer = false;
#endif

template <bool kBarrier>
__global__ void neighbour_kernel(int* out) {
  __shared__ int tile[64];
  tile[threadIdx.x] = static_cast<int>(threadIdx.x);
  if (kBarrier) __syncthreads();
  out[threadIdx.x] = tile[63 - threadIdx.x];
}

__global__ void early_exit_kernel(int* out) {
  if (threadIdx.x >= 40) return;
  out[threadIdx.x] = 1;
  __syncthreads();
}

__global__ void two_barriers_kernel(int* out) {
  if (threadIdx.x % 2 == 0) {
    __syncthreads();
  } else {
    out[threadIdx.x] = 1;
    __syncthreads();
  }
}

__global__ void lost_lane_kernel(int* out) {
  if (threadIdx.x % 32 == 9) return;
  out[threadIdx.x] = __shfl_xor_sync(kAll, static_cast<int>(threadIdx.x), 1);
}

__global__ void two_masks_kernel(int* out) {
  const unsigned mask = threadIdx.x == 4 ? 0xFFU : kAll;
  out[threadIdx.x] = __any_sync(mask, 1);
}

__global__ void small_warp_kernel(int* out) {
  out[threadIdx.x] = __any_sync(kAll, 1);
}

__global__ void trap_kernel(int* out) {
  out[0] = 1;
  if (blockIdx.x == 2 && threadIdx.x == 5) __trap();
  __syncthreads();
}

__global__ void content_kernel(int* out) {
  out[threadIdx.x] = 7;
}

}  // namespace

TEST_CASE("cuda_host: finds a missing barrier within some seeds", "[unit]") {
  std::vector<int> expected(64);
  for (int i = 0; i < 64; ++i) expected[static_cast<std::size_t>(i)] = 63 - i;
  int wrong = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const Emulated emulated(1, seed);
    CHECK(results(neighbour_kernel<true>) == expected);
    if (results(neighbour_kernel<false>) != expected) ++wrong;
  }
  CHECK(wrong > 0);
}

TEST_CASE("cuda_host: names the kernel and threads of a divergent barrier", "[unit]") {
  const Emulated emulated(1, GENERATE(1U, 2U, 3U));
  const std::string ended = finding(early_exit_kernel, {.threads = dim3(64)});
  CHECK_THAT(ended, Contains("threads 0-39 wait at __syncthreads in early_exit_kernel") &&
                        Contains("threads 40-63 have ended") && Contains("block (0, 0, 0)") &&
                        Contains("cuda_host_bugs_test.cpp"));
  CHECK_THAT(finding(two_barriers_kernel, {.threads = dim3(4)}),
             Contains("threads 0-0 wait at __syncthreads in two_barriers_kernel"));
}

TEST_CASE("cuda_host: a collective needs every lane of its mask", "[unit]") {
  const Emulated emulated(1, GENERATE(1U, 2U, 3U));
  CHECK_THAT(finding(lost_lane_kernel, {.threads = dim3(64)}),
             Contains("__shfl_xor_sync in lost_lane_kernel") && Contains("lane 9") &&
                 Contains("has ended"));
  CHECK_THAT(finding(two_masks_kernel, {.threads = dim3(32)}), Contains("another mask"));
  CHECK_THAT(finding(small_warp_kernel, {.threads = dim3(20)}),
             Contains("lane 20, which the block does not have"));
}

TEST_CASE("cuda_host: after a fault it works on", "[unit]") {
  const Emulated emulated;
  CHECK_THAT(finding(trap_kernel, {.blocks = dim3(4), .threads = dim3(64)}),
             Contains("block (2, 0, 0)") && Contains("thread 5: __trap"));
  CHECK(results(content_kernel) == std::vector<int>(64, 7));
}

namespace {

__global__ void past_the_end_kernel(int* out) {
  out[256 + threadIdx.x] = 1;
}

__global__ void past_dynamic_kernel(int* out) {
  int* const tile = dynamic_shared<int>();
  tile[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = tile[0];
}

__global__ void past_static_kernel(int* out) {
  __shared__ int tile[64];
  __shared__ int other[64];
  int* volatile at = tile;  // out of the compiler's sight
  other[threadIdx.x] = 1;
  __syncthreads();
  at[threadIdx.x + 1] = 1;
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x] + other[threadIdx.x];
}

}  // namespace

TEST_CASE("cuda_host: finds a write beyond device memory", "[unit]") {
  const Emulated emulated;
  std::string said;
  const auto body = [&said] { said = finding(past_the_end_kernel, {.threads = dim3(1)}); };
  if (kAddressSanitizer) {
    CHECK(dies(body));
  } else {
    body();
    CHECK_THAT(said, Contains("beyond the end of an allocation of 1024 bytes"));
  }
}

TEST_CASE("cuda_host: finds a write beyond shared memory", "[unit]") {
  const Emulated emulated;
  std::string said;
  const auto body = [&said] {
    said = finding(past_dynamic_kernel, {.threads = dim3(64), .shared_bytes = 63 * sizeof(int)});
  };
  if (kAddressSanitizer) {
    CHECK(dies(body));
    CHECK(dies([] { finding(past_static_kernel, {.threads = dim3(64)}); }));
  } else {
    body();
    CHECK_THAT(said, Contains("beyond its 252 bytes of dynamic shared memory"));
  }
}

TEST_CASE("cuda_host: AddressSanitizer keeps the host away from device memory", "[unit]") {
  const Emulated emulated;
  const DeviceBuffer memory(0, 64);
  const auto body = [&memory] { *static_cast<volatile int*>(memory.as<int>()) = 1; };
  CHECK(dies(body) == kAddressSanitizer);
}

namespace {

__global__ void unwritten_static_kernel(int* out) {
  __shared__ int tile[64];
  if (threadIdx.x != 3) tile[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = tile[63 - threadIdx.x];
}

template <class T>
__global__ void unwritten_template_kernel(T* out) {
  __shared__ T tile[64];
  if (threadIdx.x != 3) tile[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = tile[63 - threadIdx.x];
}

__global__ void unwritten_dynamic_kernel(int* out) {
  int* const tile = dynamic_shared<int>();
  if (threadIdx.x != 3) tile[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = tile[63 - threadIdx.x];
}

}  // namespace

TEST_CASE("cuda_host: shared memory holds the poison until it is written", "[unit]") {
  const Emulated emulated;
  const unsigned poison = GENERATE(0x00U, 0x5AU, 0xFFU);
  const auto kernel =
      GENERATE(unwritten_static_kernel, unwritten_template_kernel<int>, unwritten_dynamic_kernel);
  std::vector<int> expected(64, 1);
  expected[60] = static_cast<int>(0x01010101U * poison);
  cuda_host::set_poison(static_cast<unsigned char>(poison));
  for (int i = 0; i < 3; ++i) CHECK(results(kernel, 256) == expected);
}

TEST_CASE("cuda_host: every block finds shared memory poisoned", "[unit]") {
  const Emulated emulated;
  const Stream stream(0);
  const DeviceBuffer out(0, 64 * sizeof(int));
  const unsigned poison = GENERATE(0x00U, 0x5AU);
  cuda_host::set_poison(static_cast<unsigned char>(poison));
  std::vector<int> host(64);
  launch(stream, {.blocks = dim3(37), .threads = dim3(64)}, unwritten_static_kernel, out.as<int>());
  copy_to_host(host.data(), out.data(), out.size(), stream);
  stream.synchronize();
  CHECK(host[60] == static_cast<int>(0x01010101U * poison));
}

namespace {

__global__ void add_one_kernel(const int* from, int* to) {
  to[threadIdx.x] = from[threadIdx.x] + 1;
}

// Two streams, the second of which reads what the first writes.
int handed_over(bool wait) {
  const Stream first(0);
  const Stream second(0);
  const DeviceBuffer a(0, 64);
  const DeviceBuffer b(0, 64);
  const DeviceBuffer c(0, 64);
  Event written(0);
  int result = -1;
  launch(first, {.threads = dim3(16)}, add_one_kernel, a.as<int>(), b.as<int>());
  written.record(first);
  if (wait) second.view().wait(written);
  launch(second, {.threads = dim3(16)}, add_one_kernel, b.as<int>(), c.as<int>());
  copy_to_host(&result, c.data(), sizeof(int), second);
  second.synchronize();
  return result;
}

}  // namespace

TEST_CASE("cuda_host: a missing wait between streams shows within some seeds", "[unit]") {
  int wrong = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const Emulated emulated(1, seed);
    CHECK(handed_over(true) == 2);
    if (handed_over(false) != 2) ++wrong;
  }
  CHECK(wrong > 0);
}

TEST_CASE("cuda_host: host memory that is reused too early shows", "[unit]") {
  const Emulated emulated;
  const Stream stream(0);
  const DeviceBuffer memory(0, sizeof(int));
  int from = 1;
  int to = 0;
  copy_to_device(memory.data(), &from, sizeof(int), stream);
  from = 2;
  copy_to_host(&to, memory.data(), sizeof(int), stream);
  stream.synchronize();
  CHECK(to == 2);
}

TEST_CASE("cuda_host: knows whose memory a pointer is in", "[unit]") {
  const Emulated emulated(2);
  const Stream stream(0);
  const DeviceBuffer memory(0, 64);
  const DeviceBuffer other(1, 64);
  std::vector<int> host(16);
  CHECK_THROWS_WITH(copy_to_device(host.data(), host.data(), 64, stream),
                    Contains("is not in device memory"));
  CHECK_THROWS_WITH(copy_to_device(memory.data(), memory.data(), 64, stream),
                    Contains("is in device memory, not the host's"));
  CHECK_THROWS_WITH(copy_to_host(host.data(), memory.data() + 4, 64, stream),
                    Contains("4 bytes beyond"));
  CHECK_THROWS_WITH(launch(stream, {}, content_kernel, host.data()),
                    Contains("memory of the host"));
  CHECK_THROWS_WITH(launch(stream, {}, content_kernel, other.as<int>()),
                    Contains("memory of device 1"));
  std::byte* freed = nullptr;
  {
    const DeviceBuffer gone(0, 64);
    freed = gone.data();
  }
  CHECK_THROWS_WITH(fill_zero(freed, 64, stream), Contains("or no longer"));
}

namespace {

struct Pair {
  const int* from;
  int* to;
};

__global__ void pair_kernel(Pair pair) {
  pair.to[threadIdx.x] = pair.from[threadIdx.x];
}

}  // namespace

TEST_CASE("cuda_host: sees a host pointer within a structure", "[unit]") {
  const Emulated emulated;
  const Stream stream(0);
  const DeviceBuffer memory(0, 64);
  const std::vector<int> host(16);
  launch(stream, {.threads = dim3(16)}, pair_kernel, Pair{memory.as<int>(), memory.as<int>()});
  stream.synchronize();
  CHECK_THROWS_WITH(
      launch(stream, {.threads = dim3(16)}, pair_kernel, Pair{host.data(), memory.as<int>()}),
      Contains("memory of the host"));
}

TEST_CASE("cuda_host: refuses what a device refuses", "[unit]") {
  const Emulated emulated(2);
  const Stream stream(0);
  const Stream other(1);
  const DeviceBuffer out(0, 64);
  const auto tries = [&](const Grid& grid, const Stream& on) {
    launch(on, grid, content_kernel, out.as<int>());
  };
  CHECK_THROWS_WITH(tries({.blocks = dim3(0)}, stream), Contains("without threads"));
  CHECK_THROWS_WITH(tries({.threads = dim3(1025)}, stream), Contains("1024"));
  CHECK_THROWS_WITH(tries({.blocks = dim3(1, 65536)}, stream), Contains("too many"));
  CHECK_THROWS_WITH(tries({.shared_bytes = 49153}, stream), Contains("48 KiB"));
  CHECK_THROWS_WITH(tries({}, other), Contains("not current"));
  CHECK(cudaMemsetAsync(out.data(), 0, 4, nullptr) == cudaErrorInvalidResourceHandle);
  CHECK_THAT(cudaGetErrorString(cudaGetLastError()), Contains("null stream"));
}

}  // namespace ps::kernels
