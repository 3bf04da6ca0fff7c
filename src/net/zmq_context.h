// The ZeroMQ context that transports of one session share. libzmq's own types stay inside src/net.
#pragma once

#include <memory>

namespace ps::net {

class ZmqContext {
 public:
  // Throws ps::Error(kUnavailable) when libzmq is older than 4.3.4 (known holes) or cannot start.
  // Never fork after this.
  explicit ZmqContext(int io_threads = 1);
  // Waits for sockets that linger, at most their linger time. Every transport holds a reference,
  // so no socket is open any more.
  ~ZmqContext();
  ZmqContext(const ZmqContext&) = delete;
  ZmqContext& operator=(const ZmqContext&) = delete;

  struct Impl;
  [[nodiscard]] Impl& impl() noexcept { return *impl_; }  // any thread

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace ps::net
