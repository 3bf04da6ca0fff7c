// The devices' state: memory, streams, events. All of it is under one lock, which every function of
// the API takes; what is here is to be called with it held.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "capture.h"
#include "cuda_runtime.h"
#include "launch_list.h"
#include "random.h"
#include "work.h"

struct CUstream_st {
  int device;
  bool destroyed = false;  // and is forgotten when its work is done
  std::deque<cuda_host::Work> queue;
  std::shared_ptr<cuda_host::Capture> capture;  // null while it captures nothing
  std::size_t branch = 0;                       // of the capture
};

struct CUevent_st {
  int device;
  std::shared_ptr<cuda_host::Record> last;  // null before the first
};

namespace cuda_host {

inline constexpr int kHost = -1;

struct Block {
  std::size_t bytes = 0;
  int device = kHost;  // or the host's, pinned
};

class Emulator {
 public:
  static Emulator& get();
  std::mutex& mutex() { return mutex_; }

  int devices();
  void set_devices(int count) { devices_ = count; }

  // Remembers the error for cudaGetLastError with the reason as its string, and returns it.
  cudaError_t error(cudaError_t code, const std::string& why);
  // What kernels have met since somebody last asked; success if nothing.
  cudaError_t take_finding();

  // Whether the stream is one: the null stream is not.
  cudaError_t known(CUstream_st* stream);
  // And whether it takes work: one whose capture is invalid does not.
  cudaError_t check(CUstream_st* stream);
  // Into its queue, or into what it captures.
  void push(CUstream_st* stream, Work work);
  // Work is done until nothing is left of the stream's, or the record is reached, or nothing is
  // left at all. Others may get ahead meanwhile.
  void drain(CUstream_st* stream);
  void reach(const Record& record);
  void drain_all();
  // Does what a question may find done; true where all that is asked for is to be found done.
  bool advance_some();
  CUstream_st* create(int device);
  // Its work is done all the same.
  void destroy(CUstream_st* stream);

  cudaError_t allocate(void** memory, std::size_t bytes, int device);
  cudaError_t release(void* memory, bool pinned);
  // What is wrong with these bytes as a device's memory, or as the host's; empty if nothing is.
  [[nodiscard]] std::string check_device(const void* memory, std::size_t bytes) const;
  [[nodiscard]] std::string check_host(const void* memory, std::size_t bytes) const;

  // What is wrong with a kernel's argument on the device, a pointer or a word of a structure that
  // may be one; empty if nothing is.
  [[nodiscard]] std::string check_argument(const void* word, bool pointer, int device) const;

  void reset();

  std::map<const std::byte*, std::size_t> registered;
  Counters counters{};
  Choices choices;
  Captures captures;
  LaunchList launched;
  unsigned char poison = 0xFF;
  bool refuse_registration = false;
  bool refuse_graphs = false;
  bool hangs = false;
  std::set<int> contexts;  // devices that have one
  std::string finding;

 private:
  class Open;

  void step(CUstream_st* stream);
  void advance(CUstream_st* stream);
  CUstream_st* any_busy();
  void drop_work();
  void check_guards();
  [[nodiscard]] bool registered_at(const std::byte* memory) const;
  [[nodiscard]] const std::pair<const std::byte* const, Block>* before(const void* memory) const;

  std::mutex mutex_;
  int devices_ = -1;
  std::vector<std::unique_ptr<CUstream_st>> streams_;
  std::map<const std::byte*, Block> blocks_;
};

inline std::unique_lock<std::mutex> lock() {
  return std::unique_lock(Emulator::get().mutex());
}

// This thread's last error, and its reason; null if that is not known.
cudaError_t last_error(bool forget);
const char* describe(cudaError_t code);

}  // namespace cuda_host
