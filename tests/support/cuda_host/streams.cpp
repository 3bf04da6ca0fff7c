// The runtime's API of streams and events, over emulator.h.
#include <memory>

#include "emulator.h"

namespace {

using cuda_host::Emulator;
using cuda_host::lock;
using cuda_host::Work;

int current_device() {
  int device = 0;
  cudaGetDevice(&device);
  return device;
}

cudaError_t may_wait(const char* call, cudaStream_t stream) {
  Emulator& emulator = Emulator::get();
  const auto status = emulator.known(stream);
  return status == cudaSuccess ? emulator.captures.may_wait(call, stream) : status;
}

}  // namespace

// NOLINTBEGIN: the names are CUDA's

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  const auto held = lock();
  if (flags != cudaStreamNonBlocking) {
    return Emulator::get().error(cudaErrorInvalidValue, "a stream that waits for the null stream");
  }
  *stream = Emulator::get().create(current_device());
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const auto held = lock();
  Emulator& emulator = Emulator::get();
  if (const auto status = emulator.known(stream); status != cudaSuccess) return status;
  if (stream->capture != nullptr) {
    return emulator.captures.may_wait("cudaStreamDestroy", stream);
  }
  emulator.destroy(stream);
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const auto held = lock();
  if (const auto status = may_wait("cudaStreamSynchronize", stream); status != cudaSuccess) {
    return status;
  }
  ++Emulator::get().counters.stream_waits;
  Emulator::get().drain(stream);
  return Emulator::get().take_finding();
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const auto held = lock();
  if (const auto status = may_wait("cudaStreamQuery", stream); status != cudaSuccess) {
    return status;
  }
  if (Emulator::get().hangs) return cudaErrorNotReady;
  if (Emulator::get().advance_some()) Emulator::get().drain(stream);
  if (const auto status = Emulator::get().take_finding(); status != cudaSuccess) return status;
  return stream->queue.empty() ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned /*flags*/) {
  const auto held = lock();
  if (const auto status = Emulator::get().check(stream); status != cudaSuccess) return status;
  if (event->last == nullptr) return cudaSuccess;
  return Emulator::get().captures.wait(stream, event->last);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned /*flags*/) {
  *event = new CUevent_st{current_device(), nullptr};
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const auto held = lock();
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const auto held = lock();
  if (const auto status = Emulator::get().check(stream); status != cudaSuccess) return status;
  if (event->device != stream->device) {
    return Emulator::get().error(cudaErrorInvalidResourceHandle, "an event of another device");
  }
  event->last = std::make_shared<cuda_host::Record>(cuda_host::Record{false, stream});
  Emulator::get().push(stream, {.kind = Work::Kind::kRecord, .record = event->last});
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const auto held = lock();
  const auto status = Emulator::get().captures.may_wait("cudaEventSynchronize", event->last.get());
  if (status != cudaSuccess) return status;
  ++Emulator::get().counters.event_waits;
  if (event->last != nullptr) Emulator::get().reach(*event->last);
  return Emulator::get().take_finding();
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  const auto held = lock();
  auto status = Emulator::get().captures.may_wait("cudaEventQuery", event->last.get());
  if (status != cudaSuccess) return status;
  if (Emulator::get().hangs) return cudaErrorNotReady;
  if (Emulator::get().advance_some() && event->last != nullptr) Emulator::get().reach(*event->last);
  if (status = Emulator::get().take_finding(); status != cudaSuccess) return status;
  return event->last == nullptr || event->last->done ? cudaSuccess : cudaErrorNotReady;
}

// NOLINTEND
