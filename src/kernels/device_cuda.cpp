// device.h over CUDA's runtime, a GPU's or the emulated one.
#include <atomic>
#include <chrono>
#include <cstring>
#include <dlfcn.h>
#include <thread>
#include <utility>

#include <cuda_runtime.h>

#include <ps/device.h>
#include <ps/error.h>

#include "kernels/device.h"

struct CUctx_st;  // the driver's, whose header the runtime's does not include

namespace ps {
namespace {

std::atomic<std::chrono::milliseconds> deadline{std::chrono::seconds(120)};

// A wait for a device has run out of time since the last one that did not.
std::atomic<bool> lost{false};

}  // namespace

void set_cuda_deadline(std::chrono::milliseconds given) noexcept {
  deadline = given;
}

int cuda_device_count() noexcept {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();  // no driver or no device is not a later call's error
  return 0;
}

std::string cuda_device_name(int index) {
  cudaDeviceProp properties{};
  PS_CUDA_CHECK(cudaGetDeviceProperties(&properties, index));
  return properties.name;
}

std::string why_no_cuda() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess) {
    return count > 0 ? "" : "CUDA finds no device (is CUDA_VISIBLE_DEVICES empty?)";
  }
  cudaGetLastError();
  return std::string("CUDA cannot be used here: ") + cudaGetErrorString(status);
}

namespace kernels {
namespace {

// For destructors: an error here has shown or will show elsewhere, and at the end of a program the
// runtime may be gone already.
void ignore(cudaError_t status) noexcept {
  if (status != cudaSuccess) cudaGetLastError();
}

constexpr int kNone = -1;

// Whether a device is current to this thread. Only the driver knows: the runtime has loaded it, and
// ps is not linked with it, since programs shall start without one.
bool thread_has_context() {
  CUctx_st* context = nullptr;
#if defined(PS_CUDA_EMULATED)
  return cuCtxGetCurrent(&context) == 0 && context != nullptr;
#else
  using GetCurrent = int (*)(CUctx_st**);
  static const auto get_current = [] {
    void* const driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
    return driver == nullptr ? nullptr
                             : reinterpret_cast<GetCurrent>(dlsym(driver, "cuCtxGetCurrent"));
  }();
  return get_current == nullptr || (get_current(&context) == 0 && context != nullptr);
#endif
}

// Makes a device the current one for a destructor, where it can.
class QuietGuard {
 public:
  explicit QuietGuard(int device) noexcept {
    if (thread_has_context()) ignore(cudaGetDevice(&previous_));
    ignore(cudaSetDevice(device));
  }
  QuietGuard(const QuietGuard&) = delete;
  QuietGuard& operator=(const QuietGuard&) = delete;
  ~QuietGuard() {
    if (previous_ != kNone) ignore(cudaSetDevice(previous_));
  }

 private:
  int previous_ = kNone;
};

CUstream_st* make_stream(int device) {
  const DeviceGuard guard(device);
  cudaStream_t stream = nullptr;
  PS_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return stream;
}

CUevent_st* make_event(int device) {
  const DeviceGuard guard(device);
  cudaEvent_t event = nullptr;
  PS_CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return event;
}

// Asks until the work is done. CUDA's own waits ask as well, but have no deadline.
template <class Query>
void wait_until(const Query& done, const char* call, int device) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begun = Clock::now();
  cudaError_t status = done();
  while (status == cudaErrorNotReady) {
    const auto waited = Clock::now() - begun;
    if (waited > deadline.load()) {
      lost = true;
      throw Error(ErrorCode::kTimeout,
                  "cuda:" + std::to_string(device) + " has not finished its work within " +
                      std::to_string(std::chrono::duration<double>(waited).count()) +
                      " s: it hangs, or a step takes longer than ps::set_cuda_deadline() allows");
    }
    std::this_thread::yield();
    status = done();
  }
  check_cuda(status, call, __FILE__, __LINE__);
  if (lost.load(std::memory_order_relaxed)) lost = false;
}

}  // namespace

bool built_with_cuda() noexcept {
  return true;
}

void check_cuda(int status, const char* call, const char* file, int line) {
  const auto error = static_cast<cudaError_t>(status);
  if (error == cudaSuccess) return;
  std::string text = std::string(cudaGetErrorName(error)) + " (" + cudaGetErrorString(error) +
                     ") of " + call + " at " + file + ":" + std::to_string(line);
  if (error == cudaErrorLaunchFailure || error == cudaErrorAssert) {
    text += "; it may come from an earlier kernel";
  }
  cudaGetLastError();  // told once
  throw Error(ErrorCode::kUnavailable, text);
}

// Where no device was current the runtime says 0. To make that one current afterwards would give
// the process a context there, hundreds of MiB of a device that it may not use at all.
DeviceGuard::DeviceGuard(int device) : previous_(kNone) {
  int current = 0;
  PS_CUDA_CHECK(cudaGetDevice(&current));
  const bool has_context = thread_has_context();
  if (has_context && current == device) return;
  PS_CUDA_CHECK(cudaSetDevice(device));
  if (has_context) previous_ = current;
}

DeviceGuard::~DeviceGuard() {
  if (previous_ != kNone) ignore(cudaSetDevice(previous_));
}

void StreamView::wait(const Event& event) const {
  PS_CUDA_CHECK(cudaStreamWaitEvent(handle_, event.handle(), 0));
}

void StreamView::synchronize() const {
  wait_until([&] { return cudaStreamQuery(handle_); }, "cudaStreamQuery", device_);
  PS_CUDA_CHECK(cudaStreamSynchronize(handle_));  // at once
}

Stream::Stream(int device) : view_(make_stream(device), device) {}

Stream::Stream(Stream&& other) noexcept
    : view_(std::exchange(other.view_.handle_, nullptr), other.view_.device_) {}

Stream::~Stream() {
  if (view_.handle() != nullptr) ignore(cudaStreamDestroy(view_.handle()));
}

Event::Event(int device) : handle_(make_event(device)), device_(device) {}

Event::Event(Event&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), device_(other.device_) {}

Event::~Event() {
  if (handle_ != nullptr) ignore(cudaEventDestroy(handle_));
}

void Event::record(StreamView stream) {
  PS_CUDA_CHECK(cudaEventRecord(handle_, stream.handle()));
}

void Event::synchronize() const {
  wait_until([&] { return cudaEventQuery(handle_); }, "cudaEventQuery", device_);
  PS_CUDA_CHECK(cudaEventSynchronize(handle_));  // at once
}

bool Event::done() const {
  const cudaError_t status = cudaEventQuery(handle_);
  if (status == cudaErrorNotReady) return false;
  check_cuda(status, "cudaEventQuery", __FILE__, __LINE__);
  return true;
}

DeviceBuffer::DeviceBuffer(int device, std::size_t bytes) : device_(device), size_(bytes) {
  if (bytes == 0) return;
  const Stream stream(device);  // there is no default stream
  const DeviceGuard guard(device);
  void* memory = nullptr;
  PS_CUDA_CHECK(cudaMalloc(&memory, bytes));
  DeviceBuffer made;  // frees it if what follows throws
  made.device_ = device;
  made.data_ = static_cast<std::byte*>(memory);
  fill_zero(memory, bytes, stream);
  stream.synchronize();
  data_ = std::exchange(made.data_, nullptr);
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : device_(other.device_),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

DeviceBuffer::~DeviceBuffer() {
  if (data_ == nullptr || lost) return;
  const QuietGuard guard(device_);
  ignore(cudaFree(data_));
}

PinnedBuffer::PinnedBuffer(std::size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  void* memory = nullptr;
  PS_CUDA_CHECK(cudaHostAlloc(&memory, bytes, cudaHostAllocPortable));
  std::memset(memory, 0, bytes);
  data_ = static_cast<std::byte*>(memory);
}

PinnedBuffer::PinnedBuffer(PinnedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

PinnedBuffer& PinnedBuffer::operator=(PinnedBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

PinnedBuffer::~PinnedBuffer() {
  if (data_ != nullptr && !lost) ignore(cudaFreeHost(data_));
}

HostRegistration::HostRegistration(std::span<const std::byte> memory) {
  if (memory.empty()) return;
  // CUDA takes what it pins for writable; it writes to it only where a copy says so.
  auto* first = const_cast<std::byte*>(memory.data());
  const cudaError_t status = cudaHostRegister(first, memory.size(), cudaHostRegisterPortable);
  if (status == cudaSuccess) data_ = memory.data();
  ignore(status);
}

HostRegistration::HostRegistration(HostRegistration&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)) {}

HostRegistration& HostRegistration::operator=(HostRegistration&& other) noexcept {
  std::swap(data_, other.data_);
  return *this;
}

HostRegistration::~HostRegistration() {
  if (data_ != nullptr && !lost) ignore(cudaHostUnregister(const_cast<std::byte*>(data_)));
}

void copy_to_device(void* to, const void* from, std::size_t bytes, StreamView stream) {
  PS_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream.handle()));
}

void copy_to_host(void* to, const void* from, std::size_t bytes, StreamView stream) {
  PS_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream.handle()));
}

void copy_on_device(void* to, const void* from, std::size_t bytes, StreamView stream) {
  PS_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream.handle()));
}

void copy_between(void* to,
                  int to_device,
                  const void* from,
                  int from_device,
                  std::size_t bytes,
                  StreamView stream) {
  PS_CUDA_CHECK(cudaMemcpyPeerAsync(to, to_device, from, from_device, bytes, stream.handle()));
}

void fill_zero(void* to, std::size_t bytes, StreamView stream) {
  PS_CUDA_CHECK(cudaMemsetAsync(to, 0, bytes, stream.handle()));
}

}  // namespace kernels
}  // namespace ps
