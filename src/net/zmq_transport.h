// Transport over ZeroMQ: a ROUTER where this side binds, one DEALER per link that it opens.
// libzmq is a pipe that may drop and may fall silent: identity, retries and liveness live above.
#pragma once

#include <cstdint>
#include <memory>

#include "net/transport.h"
#include "net/zmq_context.h"

namespace ps::net {

struct ZmqOptions {
  enum class Scheme { kTcp, kIpc };
  Scheme scheme = Scheme::kTcp;  // the only one this transport's endpoints may have
  TransportLimits limits{};
  // How long the context keeps trying to send what was queued when the transport was destroyed.
  int linger_ms = 500;
  // Without encryption anyone who reaches the port can stop the job and change the weights, so
  // other addresses than loopback are refused unless this is set.
  bool allow_insecure_network = false;
};

// Endpoints: "tcp://host:port" ("tcp://127.0.0.1:*" binds a free port) or "ipc:///absolute/path".
// Received buffers are aligned to 8 bytes at least. After a protocol error libzmq may leave an own
// link silent for good (libzmq#4196): the owner notices, and connects the link anew.
class ZmqTransport final : public Transport {
 public:
  // Throws ps::Error(kUnavailable) when the process has no descriptor left.
  ZmqTransport(std::shared_ptr<ZmqContext> context, const ZmqOptions& options);
  ~ZmqTransport() override;
  ZmqTransport(const ZmqTransport&) = delete;
  ZmqTransport& operator=(const ZmqTransport&) = delete;

  std::string bind(const std::string& endpoint) override;
  void connect(Link link, const std::string& endpoint) override;
  void disconnect(Link link) override;
  SendResult send(Link link, const Frames& frames) override;
  bool receive(Link& from, Frames& frames) override;
  [[nodiscard]] int fd() const noexcept override;
  [[nodiscard]] bool needs_checksum(Link link) const noexcept override;

  // How many messages were dropped because they were not two frames within the limits, or their
  // sender had chosen its own routing id.
  [[nodiscard]] std::uint64_t refused_messages() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ps::net
