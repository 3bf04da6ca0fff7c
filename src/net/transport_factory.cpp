#include "net/transport_factory.h"

#include "net/shared_memory.h"
#include "net/shm_transport.h"
#include "net/zmq_transport.h"

namespace ps::net {

std::unique_ptr<Transport> make_transport(const TransportOptions& options,
                                          const TransportShared& shared) {
  switch (options.kind) {
    case TransportKind::kInproc:
      return std::make_unique<InprocTransport>(shared.hub, options.limits);
    case TransportKind::kShm:
      return std::make_unique<ShmTransport>(
          ShmOptions{.limits = options.limits, .ring_bytes = options.ring_bytes});
    case TransportKind::kIpc:
    case TransportKind::kTcp:
      break;
  }
  PS_ASSERT(shared.context != nullptr, "tcp and ipc transports need a ZeroMQ context");
  return std::make_unique<ZmqTransport>(
      shared.context,
      ZmqOptions{.scheme = options.kind == TransportKind::kTcp ? ZmqOptions::Scheme::kTcp
                                                               : ZmqOptions::Scheme::kIpc,
                 .limits = options.limits,
                 .linger_ms = options.linger_ms,
                 .allow_insecure_network = options.allow_insecure_network});
}

AllocateMemory memory_of(TransportKind kind) {
  return kind == TransportKind::kShm ? &allocate_shared : &Memory::allocate;
}

std::string bind_endpoint(TransportKind kind, const std::string& place, const std::string& name) {
  switch (kind) {
    case TransportKind::kInproc:
      return "inproc://*";
    case TransportKind::kIpc:
      return "ipc://" + place + "/" + name;
    case TransportKind::kShm:
      return "shm://" + place + "/" + name + ".sock";
    case TransportKind::kTcp:
      break;
  }
  const bool ipv6 = place.find(':') != std::string::npos;
  return "tcp://" + (ipv6 ? "[" + place + "]" : place) + ":*";
}

}  // namespace ps::net
