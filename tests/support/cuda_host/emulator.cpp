#include "emulator.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#include "guard.h"

namespace cuda_host {
namespace {

constexpr std::size_t kAlignment = 256;

struct LastError {
  cudaError_t code = cudaSuccess;
  cudaError_t described = cudaSuccess;
  std::string text;
};
thread_local LastError t_last_error;

// Whether it can be read at all.
bool mapped(const std::byte* memory) {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<std::uintptr_t>(memory) / page * page;
  unsigned char resident = 0;
  return mincore(reinterpret_cast<void*>(address), page, &resident) == 0;
}

}  // namespace

// Device memory is the devices': AddressSanitizer objects to the host's touching it, but in here.
class Emulator::Open {
 public:
  explicit Open([[maybe_unused]] const Emulator& emulator) {
#if defined(__SANITIZE_ADDRESS__)
    emulator_ = &emulator;
    for (const auto& [memory, block] : emulator.blocks_) {
      if (block.device != kHost) ASAN_UNPOISON_MEMORY_REGION(memory, block.bytes);
    }
#endif
  }
  Open(const Open&) = delete;
  Open& operator=(const Open&) = delete;
  ~Open() {
#if defined(__SANITIZE_ADDRESS__)
    for (const auto& [memory, block] : emulator_->blocks_) {
      if (block.device != kHost) ASAN_POISON_MEMORY_REGION(memory, block.bytes);
    }
#endif
  }

 private:
  [[maybe_unused]] const Emulator* emulator_ = nullptr;
};

Emulator& Emulator::get() {
  static auto* emulator = new Emulator;  // never destroyed: static objects may hold its memory
  return *emulator;
}

int Emulator::devices() {
  if (devices_ < 0) {
    const char* text = std::getenv("PS_EMULATED_DEVICES");
    devices_ = text == nullptr ? 0 : std::clamp(std::atoi(text), 0, 64);
  }
  return devices_;
}

cudaError_t Emulator::error(cudaError_t code, const std::string& why) {
  t_last_error = {code, code, why};
  return code;
}

cudaError_t Emulator::take_finding() {
  if (finding.empty()) return cudaSuccess;
  return error(cudaErrorLaunchFailure, std::exchange(finding, {}));
}

cudaError_t Emulator::known(CUstream_st* stream) {
  if (stream == nullptr) {
    return error(cudaErrorInvalidResourceHandle, "the null stream waits for all others: name one");
  }
  const bool known = std::any_of(streams_.begin(), streams_.end(), [stream](const auto& other) {
    return other.get() == stream && !other->destroyed;
  });
  return known ? cudaSuccess : error(cudaErrorInvalidResourceHandle, "there is no such stream");
}

cudaError_t Emulator::check(CUstream_st* stream) {
  if (const auto status = known(stream); status != cudaSuccess) return status;
  if (stream->capture == nullptr || stream->capture->fault.empty()) return cudaSuccess;
  return error(cudaErrorStreamCaptureInvalidated, stream->capture->fault);
}

void Emulator::push(CUstream_st* stream, Work work) {
  if (stream->capture != nullptr) {
    captures.add(stream, std::move(work));
    return;
  }
  if (work.counted != nullptr) ++(counters.*work.counted);
  stream->queue.push_back(std::move(work));
}

CUstream_st* Emulator::create(int device) {
  streams_.push_back(std::make_unique<CUstream_st>());
  streams_.back()->device = device;
  return streams_.back().get();
}

void Emulator::destroy(CUstream_st* stream) {
  stream->destroyed = true;
  if (!stream->queue.empty()) return;
  std::erase_if(streams_, [stream](const auto& other) { return other.get() == stream; });
}

// REQUIRES: it has work, which need not wait.
void Emulator::step(CUstream_st* stream) {
  const Work work = std::move(stream->queue.front());
  stream->queue.pop_front();
  if (work.kind == Work::Kind::kRun) work.run();
  if (work.kind == Work::Kind::kRecord) work.record->done = true;
  if (!finding.empty()) drop_work();
  if (stream->destroyed && stream->queue.empty()) destroy(stream);
}

// Does one piece of its work, or of what that waits for. REQUIRES: it has work.
void Emulator::advance(CUstream_st* stream) {
  while (true) {
    const Work& next = stream->queue.front();
    if (next.kind != Work::Kind::kWait || next.record->done) break;
    stream = next.record->stream;  // recorded before it was waited for, so this ends
  }
  step(stream);
}

// After a fault nothing more runs, but nobody waits in vain.
void Emulator::drop_work() {
  for (const auto& stream : streams_) {
    for (const Work& work : stream->queue) {
      if (work.kind == Work::Kind::kRecord) work.record->done = true;
    }
    stream->queue.clear();
  }
}

CUstream_st* Emulator::any_busy() {
  std::vector<CUstream_st*> busy;
  for (const auto& stream : streams_) {
    if (!stream->queue.empty()) busy.push_back(stream.get());
  }
  if (busy.empty()) return nullptr;
  return busy[choices.below(static_cast<std::uint32_t>(busy.size()))];
}

// Others advance as much as by chance, or only where they must.
void Emulator::drain(CUstream_st* stream) {
  if (stream->queue.empty()) return;
  const Open open(*this);
  const bool alone = choices.below(2) == 0;
  while (!stream->queue.empty()) advance(alone ? stream : any_busy());
  check_guards();
}

void Emulator::reach(const Record& record) {
  if (record.done) return;
  const Open open(*this);
  const bool alone = choices.below(2) == 0;
  while (!record.done) advance(alone ? record.stream : any_busy());
  check_guards();
}

void Emulator::drain_all() {
  if (any_busy() == nullptr) return;
  const Open open(*this);
  while (CUstream_st* stream = any_busy()) advance(stream);
  check_guards();
}

bool Emulator::advance_some() {
  const std::uint32_t most = choices.below(3);
  if (most == 0 || any_busy() == nullptr) return true;  // to open takes time
  const Open open(*this);
  for (std::uint32_t steps = 0; steps < most; ++steps) {
    if (CUstream_st* stream = any_busy()) advance(stream);
  }
  check_guards();
  return false;
}

void Emulator::check_guards() {
  for (const auto& [memory, block] : blocks_) {
    auto* end = const_cast<std::byte*>(memory) + block.bytes;
    if (guard_holds(end)) continue;
    set_guard(end);
    if (!finding.empty()) continue;
    finding = "something wrote beyond the end of an allocation of " + std::to_string(block.bytes) +
              " bytes";
  }
}

cudaError_t Emulator::allocate(void** memory, std::size_t bytes, int device) {
  *memory = nullptr;
  const char* const call = device == kHost ? "cudaHostAlloc" : "cudaMalloc";
  if (const auto status = captures.may_call(call); status != cudaSuccess) return status;
  ++counters.allocations;
  if (bytes == 0) return cudaSuccess;
  if (posix_memalign(memory, kAlignment, bytes + kGuardBytes) != 0) {
    return error(cudaErrorMemoryAllocation, "out of memory");
  }
  auto* first = static_cast<std::byte*>(*memory);
  std::memset(first, poison, bytes);
  set_guard(first + bytes);
  blocks_[first] = {bytes, device};
#if defined(__SANITIZE_ADDRESS__)
  if (device != kHost) ASAN_POISON_MEMORY_REGION(first, bytes);
#endif
  return cudaSuccess;
}

// As CUDA's, waits for all work.
cudaError_t Emulator::release(void* memory, bool pinned) {
  if (memory == nullptr) return cudaSuccess;
  const char* const call = pinned ? "cudaFreeHost" : "cudaFree";
  if (const auto status = captures.may_call(call); status != cudaSuccess) return status;
  drain_all();
  ++counters.frees;
  const auto found = blocks_.find(static_cast<std::byte*>(memory));
  if (found == blocks_.end() || (found->second.device == kHost) != pinned) {
    return error(cudaErrorInvalidValue, "not the start of an allocation of this kind");
  }
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(memory, found->second.bytes);
#endif
  std::memset(memory, poison, found->second.bytes);
  blocks_.erase(found);
  std::free(memory);
  return cudaSuccess;
}

// The block that begins last at or before the address.
const std::pair<const std::byte* const, Block>* Emulator::before(const void* memory) const {
  auto next = blocks_.upper_bound(static_cast<const std::byte*>(memory));
  return next == blocks_.begin() ? nullptr : &*std::prev(next);
}

std::string Emulator::check_device(const void* memory, std::size_t bytes) const {
  const auto* found = before(memory);
  const auto* at = static_cast<const std::byte*>(memory);
  if (found == nullptr || at >= found->first + found->second.bytes) {
    return "is not in device memory (or no longer)";
  }
  if (found->second.device == kHost) return "is in pinned memory, not a device's";
  const auto left = static_cast<std::size_t>(found->first + found->second.bytes - at);
  if (bytes <= left) return "";
  return "reaches " + std::to_string(bytes - left) + " bytes beyond its allocation of " +
         std::to_string(found->second.bytes);
}

std::string Emulator::check_host(const void* memory, std::size_t bytes) const {
  const auto* found = before(memory);
  const auto* at = static_cast<const std::byte*>(memory);
  if (found == nullptr || at >= found->first + found->second.bytes) return "";
  if (found->second.device != kHost) return "is in device memory, not the host's";
  const auto left = static_cast<std::size_t>(found->first + found->second.bytes - at);
  return bytes <= left ? "" : "reaches beyond its allocation";
}

bool Emulator::registered_at(const std::byte* memory) const {
  auto next = registered.upper_bound(memory);
  return next != registered.begin() && memory < std::prev(next)->first + std::prev(next)->second;
}

std::string Emulator::check_argument(const void* word, bool pointer, int device) const {
  // Where programs and their heaps lie; smaller words are numbers.
  constexpr std::uintptr_t kLowest = 0x500000000000;
  constexpr std::uintptr_t kHighest = 0x7fffffffffff;
  const auto* at = static_cast<const std::byte*>(word);
  const auto value = reinterpret_cast<std::uintptr_t>(word);
  if (word == nullptr) return "";
  if (!pointer && (value < kLowest || value > kHighest)) return "";
  const auto* found = before(word);
  if (found != nullptr && at <= found->first + found->second.bytes) {
    const int owner = found->second.device;
    if (owner == device || owner == kHost) return "";
    return "points to memory of device " + std::to_string(owner);
  }
  if (registered_at(at) || (!pointer && !mapped(at))) return "";
  return "points to memory of the host (or that was freed)";
}

void Emulator::reset() {
  drop_work();
  captures.clear();
  finding.clear();
  t_last_error = {};
  refuse_graphs = false;
  hangs = false;
  contexts.clear();
}

cudaError_t last_error(bool forget) {
  const cudaError_t code = t_last_error.code;
  if (forget) t_last_error.code = cudaSuccess;
  return code;
}

const char* describe(cudaError_t code) {
  return code == t_last_error.described ? t_last_error.text.c_str() : nullptr;
}

}  // namespace cuda_host
