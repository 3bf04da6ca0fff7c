// What the emulated GPU captures, how it replays it, and that it finds what may not be captured.
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <ps/error.h>

#include "kernels/device.h"
#include "kernels/emulated.h"
#include "kernels/launch.cuh"
#include "kernels/recording.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

using Catch::Matchers::Contains;

__global__ void add_kernel(int* to, int value) {
  to[threadIdx.x] += value;
}

__global__ void add_one_kernel(const int* from, int* to) {
  to[threadIdx.x] = from[threadIdx.x] + 1;
}

int first_of(const DeviceBuffer& memory, StreamView stream) {
  int value = -1;
  copy_to_host(&value, memory.data(), sizeof(int), stream);
  stream.synchronize();
  return value;
}

void begin(StreamView stream) {
  REQUIRE(cudaStreamBeginCapture(stream.handle(), cudaStreamCaptureModeThreadLocal) == cudaSuccess);
}

cudaError_t end(StreamView stream) {
  cudaGraph_t graph = nullptr;
  const cudaError_t status = cudaStreamEndCapture(stream.handle(), &graph);
  CHECK((graph != nullptr) == (status == cudaSuccess));
  if (graph != nullptr) cudaGraphDestroy(graph);
  return status;
}

cudaStreamCaptureStatus state(StreamView stream) {
  cudaStreamCaptureStatus status{};
  CHECK(cudaStreamIsCapturing(stream.handle(), &status) == cudaSuccess);
  return status;
}

}  // namespace

TEST_CASE("cuda_host: a graph keeps its kernels' arguments, and every launch is counted",
          "[unit]") {
  const Emulated emulated;
  const Stream stream(0);
  const DeviceBuffer memory(0, 64);
  int value = 5;
  const cuda_host::Counters before = cuda_host::counters();
  Recording recording = Recording::of(stream, [&] {
    launch(stream, {.threads = dim3(16)}, add_kernel, memory.as<int>(), value);
    launch(stream, {.threads = dim3(16)}, add_kernel, memory.as<int>(), 2);
    fill_zero(memory.data() + 4, 4, stream);
  });
  value = 100;
  const cuda_host::Counters made = cuda_host::counters();
  CHECK(made.launches == before.launches);
  CHECK(made.copies == before.copies);
  CHECK(made.allocations - before.allocations == 1);
  CHECK(first_of(memory, stream) == 0);
  for (int i = 0; i < 3; ++i) recording.launch(stream);
  CHECK(first_of(memory, stream) == 21);
  const cuda_host::Counters after = cuda_host::counters();
  CHECK(after.graph_launches - made.graph_launches == 3);
  CHECK(after.launches - made.launches == 6);
  CHECK(after.copies - made.copies == 3 + 2);
  CHECK(after.allocations == made.allocations);
}

TEST_CASE("cuda_host: a graph is late, outlives its handle and does not overtake itself",
          "[unit]") {
  const Emulated emulated(1, GENERATE(1U, 2U, 3U, 4U, 5U));
  const Stream stream(0);
  const DeviceBuffer memory(0, 64);
  const Stream other(0);
  int seen = -1;
  {
    Recording recording = Recording::of(stream, [&] {
      launch(stream, {.threads = dim3(16)}, add_kernel, memory.as<int>(), 1);
      copy_to_host(&seen, memory.data(), sizeof(int), stream);
    });
    recording.launch(stream);
    recording.launch(other);
    CHECK(seen == -1);
  }
  other.synchronize();
  CHECK(seen == 2);
}

namespace {

// A graph of two streams, the second of which reads what the first writes.
int handed_over(bool wait) {
  const Stream first(0);
  const Stream second(0);
  const DeviceBuffer a(0, 64);
  const DeviceBuffer b(0, 64);
  const DeviceBuffer c(0, 64);
  Event begun(0);
  Event written(0);
  Event read(0);
  Recording recording = Recording::of(first, [&] {
    begun.record(first);
    second.view().wait(begun);
    launch(first, {.threads = dim3(16)}, add_one_kernel, a.as<int>(), b.as<int>());
    written.record(first);
    if (wait) second.view().wait(written);
    launch(second, {.threads = dim3(16)}, add_one_kernel, b.as<int>(), c.as<int>());
    read.record(second);
    first.view().wait(read);
  });
  recording.launch(first);
  return first_of(c, first);
}

}  // namespace

TEST_CASE("cuda_host: a missing wait within a graph shows within some seeds", "[unit]") {
  int wrong = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const Emulated emulated(1, seed);
    CHECK(handed_over(true) == 2);
    if (handed_over(false) != 2) ++wrong;
  }
  CHECK(wrong > 0);
}

namespace {

// What a thread may not call while it captures `stream`, and a word of what it is told.
struct Misuse {
  const char* word;
  std::function<cudaError_t()> call;
};

std::vector<Misuse> misuses(
    cudaStream_t stream, cudaStream_t side, cudaEvent_t outside, cudaEvent_t within, void* memory) {
  static void* made;
  static char host[64];
  return {
      {"cudaStreamSynchronize", [=] { return cudaStreamSynchronize(stream); }},
      {"cudaStreamSynchronize", [=] { return cudaStreamSynchronize(side); }},
      {"cudaStreamQuery", [=] { return cudaStreamQuery(stream); }},
      {"cudaStreamDestroy", [=] { return cudaStreamDestroy(stream); }},
      {"cudaEventSynchronize", [=] { return cudaEventSynchronize(outside); }},
      {"cudaEventQuery", [=] { return cudaEventQuery(within); }},
      {"cudaDeviceSynchronize", [] { return cudaDeviceSynchronize(); }},
      {"cudaMalloc", [] { return cudaMalloc(&made, 64); }},
      {"cudaHostAlloc", [] { return cudaMallocHost(&made, 64); }},
      {"cudaFree", [=] { return cudaFree(memory); }},
      {"cudaHostRegister", [] { return cudaHostRegister(host, 64, 0); }},
      {"from outside", [=] { return cudaStreamWaitEvent(stream, outside); }},
  };
}

}  // namespace

TEST_CASE("cuda_host: finds what a thread may not do while it captures", "[unit]") {
  const Emulated emulated;
  const Stream stream(0);
  const Stream side(0);
  const DeviceBuffer memory(0, 64);
  Event outside(0);
  outside.record(side);
  Event within(0);
  const cudaStream_t handle = stream.view().handle();
  for (const Misuse& misuse :
       misuses(handle, side.view().handle(), outside.handle(), within.handle(), memory.data())) {
    CAPTURE(misuse.word);
    CHECK(state(stream) == cudaStreamCaptureStatusNone);
    begin(stream);
    within.record(stream);
    CHECK(state(stream) == cudaStreamCaptureStatusActive);
    CHECK(misuse.call() != cudaSuccess);
    CHECK_THAT(cudaGetErrorString(cudaGetLastError()), Contains(misuse.word));
    CHECK(state(stream) == cudaStreamCaptureStatusInvalidated);
    CHECK(cudaMemsetAsync(memory.data(), 0, 4, handle) == cudaErrorStreamCaptureInvalidated);
    CHECK(end(stream) == cudaErrorStreamCaptureInvalidated);
    CHECK_THAT(cudaGetErrorString(cudaGetLastError()), Contains(misuse.word));
    CHECK(state(stream) == cudaStreamCaptureStatusNone);
    CHECK(first_of(memory, stream) == 0);
  }
}

TEST_CASE("cuda_host: a wait that is planted in recorded work is named", "[unit]") {
  const Emulated emulated;
  const Stream stream(0);
  const DeviceBuffer memory(0, 64);
  CHECK_THROWS_WITH(Recording::of(stream,
                                  [&] {
                                    launch(stream, {.threads = dim3(16)}, add_kernel,
                                           memory.as<int>(), 1);
                                    first_of(memory, stream);
                                  }),
                    Contains("cudaErrorStreamCaptureUnsupported") &&
                        Contains("cudaStreamQuery of a stream that captures"));
  CHECK(first_of(memory, stream) == 0);
}

TEST_CASE("cuda_host: captures end where they began, joined, by their thread", "[unit]") {
  const Emulated emulated(1);
  const Stream stream(0);
  const Stream side(0);
  const DeviceBuffer memory(0, 64);
  Event event(0);
  CHECK(end(stream) == cudaErrorIllegalState);
  const auto fork = [&] {
    begin(stream);
    event.record(stream);
    side.view().wait(event);
    CHECK(state(side) == cudaStreamCaptureStatusActive);
  };
  fork();
  CHECK(end(side) == cudaErrorStreamCaptureUnmatched);
  CHECK(end(stream) == cudaErrorStreamCaptureInvalidated);
  fork();
  CHECK(end(stream) == cudaErrorStreamCaptureUnjoined);
  fork();
  event.record(side);
  stream.view().wait(event);
  CHECK(end(stream) == cudaSuccess);
  fork();
  event.record(side);
  stream.view().wait(event);
  fill_zero(memory.data(), 4, side);  // after the join
  CHECK(end(stream) == cudaErrorStreamCaptureUnjoined);
  CHECK(state(side) == cudaStreamCaptureStatusNone);
  begin(stream);
  std::thread([&] { CHECK(end(stream) == cudaErrorStreamCaptureWrongThread); }).join();
  CHECK(end(stream) == cudaSuccess);
}

TEST_CASE("cuda_host: two captures do not meet, and their events end with them", "[unit]") {
  const Emulated emulated;
  const Stream stream(0);
  const Stream other(0);
  Event event(0);
  begin(stream);
  begin(other);
  event.record(stream);
  CHECK(cudaStreamWaitEvent(other.view().handle(), event.handle()) == cudaErrorStreamCaptureMerge);
  CHECK(end(stream) == cudaErrorStreamCaptureInvalidated);
  CHECK(end(other) == cudaErrorStreamCaptureInvalidated);
  CHECK(cudaEventQuery(event.handle()) == cudaErrorCapturedEvent);
  CHECK(cudaStreamWaitEvent(other.view().handle(), event.handle()) == cudaErrorCapturedEvent);
  event.record(other);
  CHECK(cudaEventSynchronize(event.handle()) == cudaSuccess);
}

TEST_CASE("cuda_host: other threads may allocate and wait meanwhile", "[unit]") {
  const Emulated emulated;
  const Stream stream(0);
  begin(stream);
  std::thread([] {
    const DeviceBuffer memory(0, 64);
    CHECK(first_of(memory, Stream(0)) == 0);
    CHECK(cudaDeviceSynchronize() == cudaErrorStreamCaptureUnsupported);  // it is the device's
  }).join();
  CHECK(end(stream) == cudaErrorStreamCaptureInvalidated);
}

TEST_CASE("cuda_host: a graph's memory must be there when it is launched", "[unit]") {
  const Emulated emulated;
  const Stream stream(0);
  DeviceBuffer memory(0, 64);
  const bool kernel = GENERATE(true, false);
  Recording recording = Recording::of(stream, [&] {
    if (kernel) launch(stream, {.threads = dim3(16)}, add_kernel, memory.as<int>(), 1);
    if (!kernel) fill_zero(memory.data(), memory.size(), stream);
  });
  recording.launch(stream);
  memory = DeviceBuffer();
  { const DeviceBuffer gone(std::move(memory)); }
  CHECK_THROWS_WITH(recording.launch(stream), Contains("in a graph"));
}

TEST_CASE("cuda_host: refuses graphs in graphs, on other devices, and products that allocate",
          "[unit]") {
  const Emulated emulated(2);
  const Stream stream(0);
  const Stream side(0);
  const DeviceBuffer memory(0, 3 * sizeof(float));
  Recording recording = Recording::of(side, [] {});
  CHECK_THROWS_WITH(Recording::of(stream, [&] { recording.launch(stream); }),
                    Contains("a graph within a graph"));
  CHECK_THROWS_WITH(recording.launch(Stream(1)), Contains("a stream of device 0"));
  cublasHandle_t blas = nullptr;
  REQUIRE(cublasCreate(&blas) == CUBLAS_STATUS_SUCCESS);
  cublasSetStream(blas, stream.view().handle());
  const auto multiply = [&] {
    const float one = 1.0F;
    auto* const m = memory.as<float>();
    return cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, m, 1, m + 1, 1, &one, m + 2,
                       1);
  };
  CHECK(multiply() == CUBLAS_STATUS_SUCCESS);
  begin(stream);
  CHECK(multiply() == CUBLAS_STATUS_ALLOC_FAILED);
  CHECK(end(stream) == cudaErrorStreamCaptureInvalidated);
  const DeviceBuffer workspace(0, 1024);
  cublasSetWorkspace(blas, workspace.data(), workspace.size());
  begin(stream);
  CHECK(multiply() == CUBLAS_STATUS_SUCCESS);
  CHECK(end(stream) == cudaSuccess);
  cublasDestroy(blas);
}

}  // namespace ps::kernels
