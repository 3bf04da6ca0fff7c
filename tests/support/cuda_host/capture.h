// Streams that capture: what is pushed to them is kept for a graph. Under the emulator's lock.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "work.h"

namespace cuda_host {

// One of a capture's streams.
struct Branch {
  CUstream_st* stream;
  // How many works of each branch come before what is captured next, its own included.
  std::vector<std::size_t> seen;
};

struct Node {
  std::size_t branch;
  Work work;
};

struct Capture {
  std::uint64_t id;
  std::thread::id thread;
  std::string fault;             // why it is invalid, or nothing
  std::vector<Branch> branches;  // the first is of the stream where it began
  std::vector<Node> nodes;       // in the order of their calls: a record before its waits
};

class Captures {
 public:
  void begin(CUstream_st* stream);
  // Of any of its streams. They capture no longer; whether it can become a graph, the caller finds.
  std::shared_ptr<Capture> end(CUstream_st* stream);

  // REQUIRES: the stream captures.
  void add(CUstream_st* stream, Work work);
  // The stream waits, within a capture or outside of one, and may so become one's branch.
  cudaError_t wait(CUstream_st* stream, const std::shared_ptr<Record>& record);

  // Remembers the error, which makes the capture (null: none) invalid.
  static cudaError_t refuse(Capture* capture, cudaError_t code, const std::string& why);
  // What the host may not do with a stream or an event of a capture, nor while its thread captures.
  cudaError_t may_wait(const char* call, const CUstream_st* stream);
  cudaError_t may_wait(const char* call, const Record* record);
  cudaError_t may_call(const char* call);
  // For a wait for all of a device's streams.
  cudaError_t may_wait_for_device(const char* call, int device);

  void clear();

 private:
  [[nodiscard]] std::shared_ptr<Capture> find(std::uint64_t id) const;
  static void join(CUstream_st* stream, const std::shared_ptr<Capture>& capture);

  std::uint64_t last_id_ = 0;
  std::vector<std::shared_ptr<Capture>> active_;
};

// Names a branch whose work the first one has not waited for, or nothing.
std::string unjoined(const Capture& capture);

}  // namespace cuda_host
