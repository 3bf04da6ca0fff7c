// GPUs without CUDA's headers: memory, streams and events that know their device. In a build
// without CUDA the same names exist, there are no devices, and whoever asks for one is told
// kUnavailable (device_none.cpp).
//
// Rules that the types keep: every asynchronous call names its stream; there is no default stream;
// nothing is copied or moved between devices by assignment; memory is handed back by destructors
// only, so what a stream still uses is kept by whoever waits for it. All is allocated at start:
// allocating and freeing device memory may wait for the whole device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

struct CUstream_st;
struct CUevent_st;

namespace ps::kernels {

// Whether this build can use GPUs, be there one or not.
bool built_with_cuda() noexcept;

// Throws Error{kUnavailable}, naming CUDA's error, the call and where it stands. An error of a
// kernel shows at a later call; it says so.
#define PS_CUDA_CHECK(call) ::ps::kernels::check_cuda((call), #call, __FILE__, __LINE__)
void check_cuda(int status, const char* call, const char* file, int line);

// Makes a device the calling thread's for a scope.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device);
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;
  ~DeviceGuard();

 private:
  int previous_;
};

class Event;

// What an asynchronous call takes: some Stream's queue, not owned. It cannot be made from null.
class StreamView {
 public:
  [[nodiscard]] CUstream_st* handle() const noexcept { return handle_; }
  [[nodiscard]] int device() const noexcept { return device_; }
  // What comes after it on this stream begins after the event as last recorded.
  void wait(const Event& event) const;
  // Returns when all that was enqueued is done; throws what went wrong in it.
  void synchronize() const;

 private:
  friend class Stream;
  StreamView(CUstream_st* handle, int device) : handle_(handle), device_(device) {}

  CUstream_st* handle_;
  int device_;
};

// A queue of work on one device, done in order. It does not wait for the device's null stream.
class Stream {
 public:
  explicit Stream(int device);
  Stream(Stream&& other) noexcept;
  Stream& operator=(Stream&&) = delete;
  ~Stream();

  [[nodiscard]] StreamView view() const noexcept { return view_; }
  operator StreamView() const noexcept { return view_; }  // NOLINT: as a string is a view
  void synchronize() const { view_.synchronize(); }

 private:
  StreamView view_;
};

// A point in a stream's work. It measures no time.
class Event {
 public:
  explicit Event(int device);
  Event(Event&& other) noexcept;
  Event& operator=(Event&&) = delete;
  ~Event();

  void record(StreamView stream);
  // Returns when the work before the last record() is done; at once if there was none.
  void synchronize() const;
  [[nodiscard]] bool done() const;
  [[nodiscard]] CUevent_st* handle() const noexcept { return handle_; }

 private:
  CUevent_st* handle_;
  int device_;
};

// Bytes on a device, aligned to 256, zeroed when made. Not to be touched by the host.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(int device, std::size_t bytes);
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
  ~DeviceBuffer();

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  template <class T>
  [[nodiscard]] T* as() const noexcept {
    return reinterpret_cast<T*>(data_);
  }

 private:
  int device_ = 0;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// Host memory that devices copy from and to without a detour, zeroed when made.
class PinnedBuffer {
 public:
  PinnedBuffer() = default;
  explicit PinnedBuffer(std::size_t bytes);
  PinnedBuffer(PinnedBuffer&& other) noexcept;
  PinnedBuffer& operator=(PinnedBuffer&& other) noexcept;
  ~PinnedBuffer();

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  template <class T>
  [[nodiscard]] T* as() const noexcept {
    return reinterpret_cast<T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// Pins host memory of someone else's for its lifetime. Where the driver refuses (a limit, a file's
// pages), pinned() is false and copies take the detour.
class HostRegistration {
 public:
  HostRegistration() = default;
  explicit HostRegistration(std::span<const std::byte> memory);
  HostRegistration(HostRegistration&& other) noexcept;
  HostRegistration& operator=(HostRegistration&& other) noexcept;
  ~HostRegistration();

  [[nodiscard]] bool pinned() const noexcept { return data_ != nullptr; }

 private:
  const std::byte* data_ = nullptr;
};

// Enqueue on `stream` and return; the host's memory is read or written later, until then it must
// stay as it is. From host memory that is not pinned they may take until the copy is done.
void copy_to_device(void* to, const void* from, std::size_t bytes, StreamView stream);
void copy_to_host(void* to, const void* from, std::size_t bytes, StreamView stream);
void copy_on_device(void* to, const void* from, std::size_t bytes, StreamView stream);
// Between devices; peer to peer where they can.
void copy_between(void* to,
                  int to_device,
                  const void* from,
                  int from_device,
                  std::size_t bytes,
                  StreamView stream);
void fill_zero(void* to, std::size_t bytes, StreamView stream);

}  // namespace ps::kernels
