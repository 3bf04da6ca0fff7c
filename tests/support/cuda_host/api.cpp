// The runtime's API of devices, memory and copies, and what tests ask of the emulator, over
// emulator.h. Streams and events: streams.cpp; graphs: graph.cpp.
#include <algorithm>
#include <cstring>
#include <utility>

#include "emulator.h"
#include "grid.h"

namespace {

using cuda_host::Counters;
using cuda_host::Emulator;
using cuda_host::lock;

thread_local int t_device = 0;
thread_local bool t_has_context = false;  // before it has, t_device says little

// Says which pointer is wrong, or nothing.
std::string copy_fault(const void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  const Emulator& emulator = Emulator::get();
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  std::string why = to_device ? emulator.check_device(to, bytes) : emulator.check_host(to, bytes);
  if (!why.empty()) return "where a copy goes " + why;
  why = from_device ? emulator.check_device(from, bytes) : emulator.check_host(from, bytes);
  return why.empty() ? "" : "where a copy comes from " + why;
}

std::string fill_fault(const void* to, std::size_t bytes) {
  const std::string why = Emulator::get().check_device(to, bytes);
  return why.empty() ? "" : "what is to be filled " + why;
}

cudaError_t enqueue_copy(
    void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  Emulator& emulator = Emulator::get();
  if (const auto status = emulator.check(stream); status != cudaSuccess) return status;
  if (bytes == 0) return cudaSuccess;
  const std::string why = copy_fault(to, from, bytes, kind);
  if (!why.empty()) return emulator.error(cudaErrorInvalidValue, why);
  emulator.push(stream, {.run = [=] { std::memcpy(to, from, bytes); },
                         .counted = &Counters::copies,
                         .fault = [=] { return copy_fault(to, from, bytes, kind); }});
  return cudaSuccess;
}

std::string launch_fault(const cuda_host::Launch& launch) {
  const dim3& b = launch.blocks;
  const dim3& t = launch.threads;
  if (b.x == 0 || b.y == 0 || b.z == 0 || t.x == 0 || t.y == 0 || t.z == 0) {
    return "a grid or block without threads";
  }
  if (t.x > 1024 || t.y > 1024 || t.z > 64 || t.x * t.y * t.z > 1024) {
    return "more than 1024 threads a block";
  }
  if (b.x > 0x7FFFFFFFU || b.y > 0xFFFFU || b.z > 0xFFFFU) return "too many blocks";
  if (launch.shared_bytes > 48U * 1024U) return "more than 48 KiB of shared memory";
  if (launch.stream->device != t_device) return "the stream is of a device that is not current";
  return "";
}

std::string argument_fault(const std::vector<cuda_host::Word>& words, int device) {
  for (const cuda_host::Word& word : words) {
    const std::string bad = Emulator::get().check_argument(word.value, word.pointer, device);
    if (!bad.empty()) return "an argument of a kernel " + bad;
  }
  return "";
}

}  // namespace

namespace cuda_host {

void enqueue(const Launch& launch, const std::vector<Word>& words, std::function<void()> thread) {
  const auto held = lock();
  Emulator& emulator = Emulator::get();
  if (emulator.check(launch.stream) != cudaSuccess) return;
  const std::string why = launch_fault(launch);
  if (!why.empty()) {
    emulator.error(cudaErrorInvalidConfiguration, why);
    return;
  }
  const int device = launch.stream->device;
  const std::string bad = argument_fault(words, device);
  if (!bad.empty()) {
    emulator.error(cudaErrorInvalidValue, bad);
    return;
  }
  emulator.push(launch.stream, {.run =
                                    [launch, thread = std::move(thread)] {
                                      Emulator& running = Emulator::get();
                                      running.launched.add(launch.kernel);
                                      running.finding = run_grid(launch, thread, running.choices);
                                    },
                                .counted = &Counters::launches,
                                .fault = [=] { return argument_fault(words, device); }});
}

void set_devices(int count) {
  const auto held = lock();
  Emulator::get().set_devices(count);
}

void seed(std::uint64_t value) {
  const auto held = lock();
  Emulator::get().choices.seed(value);
}

void set_poison(unsigned char pattern) {
  const auto held = lock();
  Emulator::get().poison = pattern;
  set_shared_poison(pattern);
}

void refuse_registration(bool refuse) {
  const auto held = lock();
  Emulator::get().refuse_registration = refuse;
}

void refuse_graphs(bool refuse) {
  const auto held = lock();
  Emulator::get().refuse_graphs = refuse;
}

void hang(bool hang) {
  const auto held = lock();
  Emulator::get().hangs = hang;
}

bool has_context(int device) {
  const auto held = lock();
  return Emulator::get().contexts.contains(device);
}

void reset() {
  const auto held = lock();
  t_device = 0;
  t_has_context = false;
  Emulator::get().reset();
}

Counters counters() {
  const auto held = lock();
  return Emulator::get().counters;
}

}  // namespace cuda_host

// NOLINTBEGIN: the names are CUDA's

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidResourceHandle:
      return "cudaErrorInvalidResourceHandle";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    case cudaErrorIllegalState:
      return "cudaErrorIllegalState";
    case cudaErrorNotReady:
      return "cudaErrorNotReady";
    case cudaErrorNotSupported:
      return "cudaErrorNotSupported";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated:
      return "cudaErrorStreamCaptureInvalidated";
    case cudaErrorStreamCaptureMerge:
      return "cudaErrorStreamCaptureMerge";
    case cudaErrorStreamCaptureUnmatched:
      return "cudaErrorStreamCaptureUnmatched";
    case cudaErrorStreamCaptureUnjoined:
      return "cudaErrorStreamCaptureUnjoined";
    case cudaErrorStreamCaptureIsolation:
      return "cudaErrorStreamCaptureIsolation";
    case cudaErrorCapturedEvent:
      return "cudaErrorCapturedEvent";
    case cudaErrorStreamCaptureWrongThread:
      return "cudaErrorStreamCaptureWrongThread";
    default:
      return "an error of CUDA";
  }
}

const char* cudaGetErrorString(cudaError_t error) {
  const char* text = cuda_host::describe(error);
  return text == nullptr ? cudaGetErrorName(error) : text;
}

cudaError_t cudaGetLastError() {
  return cuda_host::last_error(true);
}
cudaError_t cudaPeekAtLastError() {
  return cuda_host::last_error(false);
}

cudaError_t cudaGetDeviceCount(int* count) {
  const auto held = lock();
  *count = Emulator::get().devices();
  return *count > 0 ? cudaSuccess
                    : Emulator::get().error(cudaErrorNoDevice, "no device is emulated");
}

cudaError_t cudaGetDevice(int* device) {
  *device = t_device;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  const auto held = lock();
  if (device < 0 || device >= Emulator::get().devices()) {
    return Emulator::get().error(cudaErrorInvalidDevice, "invalid device ordinal");
  }
  t_device = device;
  t_has_context = true;
  Emulator::get().contexts.insert(device);
  return cudaSuccess;
}

int cuCtxGetCurrent(CUctx_st** context) {
  static CUctx_st* const some = reinterpret_cast<CUctx_st*>(&t_device);
  *context = t_has_context ? some : nullptr;
  return 0;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  const auto held = lock();
  if (device < 0 || device >= Emulator::get().devices()) {
    return Emulator::get().error(cudaErrorInvalidDevice, "invalid device ordinal");
  }
  *properties = {.name = "emulated device",
                 .totalGlobalMem = std::size_t{1} << 33U,
                 .sharedMemPerBlock = 48U * 1024U,
                 .warpSize = 32,
                 .maxThreadsPerBlock = 1024,
                 .multiProcessorCount = 4,
                 .major = 8,
                 .minor = 0};
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp properties{};
  const auto status = cudaGetDeviceProperties(&properties, device);
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      *value = properties.maxThreadsPerBlock;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = static_cast<int>(properties.sharedMemPerBlock);
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = properties.multiProcessorCount;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = properties.major;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = properties.minor;
      break;
  }
  return status;
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  *can = device != peer ? 1 : 0;
  return cudaSuccess;
}
cudaError_t cudaDeviceEnablePeerAccess(int /*peer*/, unsigned /*flags*/) {
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  const auto held = lock();
  Emulator& emulator = Emulator::get();
  const auto status = emulator.captures.may_wait_for_device("cudaDeviceSynchronize", t_device);
  if (status != cudaSuccess) return status;
  ++emulator.counters.device_waits;
  emulator.drain_all();
  return emulator.take_finding();
}

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  const auto held = lock();
  if (t_device >= Emulator::get().devices()) {
    return Emulator::get().error(cudaErrorNoDevice, "no device is emulated");
  }
  return Emulator::get().allocate(memory, bytes, t_device);
}
cudaError_t cudaFree(void* memory) {
  const auto held = lock();
  return Emulator::get().release(memory, false);
}
cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned /*flags*/) {
  const auto held = lock();
  return Emulator::get().allocate(memory, bytes, cuda_host::kHost);
}
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
  return cudaHostAlloc(memory, bytes, cudaHostAllocDefault);
}
cudaError_t cudaFreeHost(void* memory) {
  const auto held = lock();
  return Emulator::get().release(memory, true);
}

cudaError_t cudaHostRegister(void* memory, std::size_t bytes, unsigned /*flags*/) {
  const auto held = lock();
  Emulator& emulator = Emulator::get();
  const auto status = emulator.captures.may_call("cudaHostRegister");
  if (status != cudaSuccess) return status;
  if (emulator.refuse_registration) {
    return emulator.error(cudaErrorMemoryAllocation, "registration is refused");
  }
  auto* first = static_cast<const std::byte*>(memory);
  if (memory == nullptr || bytes == 0) {
    return emulator.error(cudaErrorInvalidValue, "nothing to register");
  }
  for (const auto& [other, size] : emulator.registered) {
    if (first < other + size && other < first + bytes) {
      return emulator.error(cudaErrorHostMemoryAlreadyRegistered, "registered already");
    }
  }
  ++emulator.counters.allocations;
  emulator.registered[first] = bytes;
  return cudaSuccess;
}

cudaError_t cudaHostUnregister(void* memory) {
  const auto held = lock();
  Emulator& emulator = Emulator::get();
  const auto status = emulator.captures.may_call("cudaHostUnregister");
  if (status != cudaSuccess) return status;
  emulator.drain_all();
  ++emulator.counters.frees;
  const auto erased = emulator.registered.erase(static_cast<const std::byte*>(memory));
  return erased != 0 ? cudaSuccess
                     : emulator.error(cudaErrorHostMemoryNotRegistered, "is not registered");
}

cudaError_t cudaMemcpyAsync(
    void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  const auto held = lock();
  return enqueue_copy(to, from, bytes, kind, stream);
}

cudaError_t cudaMemcpyPeerAsync(void* to,
                                int /*to_device*/,
                                const void* from,
                                int /*from_device*/,
                                std::size_t bytes,
                                cudaStream_t stream) {
  const auto held = lock();
  return enqueue_copy(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  const auto held = lock();
  Emulator& emulator = Emulator::get();
  if (const auto status = emulator.check(stream); status != cudaSuccess) return status;
  if (bytes == 0) return cudaSuccess;
  const std::string why = fill_fault(to, bytes);
  if (!why.empty()) return emulator.error(cudaErrorInvalidValue, why);
  emulator.push(stream, {.run = [=] { std::memset(to, value, bytes); },
                         .counted = &Counters::copies,
                         .fault = [=] { return fill_fault(to, bytes); }});
  return cudaSuccess;
}

// NOLINTEND
