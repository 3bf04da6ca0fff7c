// Bytes there and back without ps: what a step's pushes and pulls could at best take. Each way of
// travelling knows nothing of the others; two processes, with a malloc that gives no page back,
// offer them all.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <sys/types.h>
#include <vector>

#include "net/descriptor.h"

namespace psbench {

struct RawSizes {
  std::size_t bytes;  // one way, of one exchange
  std::size_t frame;  // what travels at once; the last one may be shorter

  [[nodiscard]] std::size_t frames() const { return (bytes + frame - 1) / frame; }
  [[nodiscard]] std::size_t frame_at(std::size_t i) const {
    return i + 1 < frames() ? frame : bytes - i * frame;
  }
};

// Made before the two processes part; each then calls its side.
class RawPath {
 public:
  RawPath() = default;
  virtual ~RawPath() = default;
  RawPath(const RawPath&) = delete;
  RawPath& operator=(const RawPath&) = delete;

  // Sends every frame back, until the process ends.
  virtual void serve() = 0;
  // All of `from` to the other process and back. Where the way ends in memory of the caller, that
  // is `to`.
  virtual void exchange(std::span<const std::byte> from, std::span<std::byte> to) = 0;
};

// A byte stream: TCP through the loopback, or a unix socket.
enum class Stream { kTcp, kUnix };
std::unique_ptr<RawPath> raw_stream(const RawSizes& sizes, Stream kind);
// DEALER to ROUTER, frames sent from where they lie; "tcp" or "ipc".
std::unique_ptr<RawPath> raw_zmq(const RawSizes& sizes, const std::string& scheme);
// Shared memory: each side copies a frame in once, the other reads it there.
std::unique_ptr<RawPath> raw_shared(const RawSizes& sizes);
// memcpy of one thread, one way.
std::unique_ptr<RawPath> raw_memcpy();

class RawPeers {
 public:
  // Forks. REQUIRES: the process has one thread. Throws std::system_error.
  explicit RawPeers(const RawSizes& sizes);
  ~RawPeers();
  RawPeers(const RawPeers&) = delete;
  RawPeers& operator=(const RawPeers&) = delete;

  // "memcpy", "tcp", "unix", "zmq_tcp", "zmq_ipc", "shm".
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  // Exchanges by one way for so long, at least one after one to warm up: what each took, seconds.
  // Throws std::runtime_error when a process has ended.
  std::vector<double> run(std::size_t way, double seconds);

 private:
  std::vector<std::string> names_;
  ps::net::Descriptor control_;
  std::vector<pid_t> processes_;
};

}  // namespace psbench
