// The one place that knows every production transport: makes one by kind.
#pragma once

#include <memory>
#include <string>

#include "net/inproc_transport.h"
#include "net/transport.h"
#include "net/zmq_context.h"

namespace ps::net {

enum class TransportKind { kInproc, kIpc, kTcp, kShm };

struct TransportOptions {
  TransportKind kind = TransportKind::kTcp;
  TransportLimits limits{};
  // ipc and tcp:
  int linger_ms = 500;
  bool allow_insecure_network = false;  // tcp: bind other addresses than loopback, unencrypted
  // shm: per direction and link.
  std::size_t ring_bytes = std::size_t{8} << 20;
};

// What the transports of one session share; each needs only its own.
struct TransportShared {
  std::shared_ptr<InprocHub> hub;       // kInproc
  std::shared_ptr<ZmqContext> context;  // kIpc, kTcp
};

// Throws ps::Error(kUnavailable) when the process has no descriptor left. REQUIRES: the shared part
// of that kind.
std::unique_ptr<Transport> make_transport(const TransportOptions& options,
                                          const TransportShared& shared);

// Where memory comes from that transports of this kind send without copying it, if they can.
AllocateMemory memory_of(TransportKind kind);

// What a node binds: "inproc://*", "tcp://<place>:*" (place: a host), "ipc://<place>/<name>" or
// "shm://<place>/<name>.sock" (place: an absolute directory, mode 0700; the path at most 107
// bytes).
std::string bind_endpoint(TransportKind kind, const std::string& place, const std::string& name);

}  // namespace ps::net
