#include "net/zmq_socket.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include <ps/error.h>

#include "base/assert.h"

namespace ps::net {
namespace {

// Below this a copy is cheaper than a shared reference, and does not pin a whole receive buffer.
constexpr std::size_t kCopiedBytes = 4096;
constexpr std::size_t kReceiveAlignment = 8;
constexpr int kMaxSockets = 16384;
constexpr int kBacklog = 4096;

// What a message in flight holds. The flag orders its making before its release on libzmq's thread;
// libzmq does so too, but ThreadSanitizer cannot see into it.
struct Reference {
  explicit Reference(std::shared_ptr<const void> owner_in) : owner(std::move(owner_in)) {}
  std::shared_ptr<const void> owner;
  std::atomic<bool> handed_over{false};
};

// Runs on an I/O thread: drops the reference and does nothing else.
void release(void* /*data*/, void* hint) {
  auto* const reference = static_cast<Reference*>(hint);
  PS_ASSERT(reference->handed_over.load(std::memory_order_acquire), "it was made before");
  delete reference;
}

zmq::socket_t make_socket(ZmqContext& context,
                          zmq::socket_type type,
                          const ZmqOptions& options,
                          bool ipv6) {
  namespace opt = zmq::sockopt;
  try {
    zmq::socket_t socket(context.impl().context, type);
    socket.set(opt::linger, options.linger_ms);  // first: the default is for ever
    // Counts messages of one peer; bytes are bounded by credits above. Never 0, which is no limit.
    const int queued = static_cast<int>(options.limits.queued_messages);
    socket.set(opt::sndhwm, queued);
    socket.set(opt::rcvhwm, queued);
    // Per frame, checked before memory is taken.
    socket.set(opt::maxmsgsize,
               static_cast<std::int64_t>(
                   std::max(options.limits.max_header_bytes, options.limits.max_payload_bytes)));
    socket.set(opt::handshake_ivl, 5000);
    // Slow enough for a long frame on a slow line: only a complete message proves life.
    socket.set(opt::heartbeat_ivl, 10'000);
    socket.set(opt::heartbeat_timeout, 30'000);
    socket.set(opt::heartbeat_ttl, 60'000);
    socket.set(opt::tcp_keepalive, 1);
    socket.set(opt::tcp_keepalive_idle, 10);
    socket.set(opt::tcp_keepalive_intvl, 3);
    socket.set(opt::tcp_keepalive_cnt, 3);
    socket.set(opt::tcp_maxrt, 10'000);  // keepalive does not fire while data is unacknowledged
    socket.set(opt::sndtimeo, 0);
    socket.set(opt::rcvtimeo, 0);
    socket.set(opt::ipv6, ipv6 ? 1 : 0);
    return socket;
  } catch (const zmq::error_t& error) {
    throw Error(ErrorCode::kUnavailable, std::string("cannot make a ZeroMQ socket: ") +
                                             error.what() + "; raise the limit of open files");
  }
}

}  // namespace

ZmqContext::ZmqContext(int io_threads) : impl_(std::make_unique<Impl>()) {
  int major = 0;
  int minor = 0;
  int patch = 0;
  zmq::version(&major, &minor, &patch);
  if (std::tuple(major, minor, patch) < std::tuple(4, 3, 4)) {
    throw Error(ErrorCode::kUnavailable, "libzmq " + std::to_string(major) + "." +
                                             std::to_string(minor) + "." + std::to_string(patch) +
                                             " has known security holes; install 4.3.4 or newer");
  }
  try {
    impl_->context.set(zmq::ctxopt::io_threads, io_threads);
    impl_->context.set(zmq::ctxopt::max_sockets, kMaxSockets);
    impl_->context.set(zmq::ctxopt::blocky, 0);
  } catch (const zmq::error_t& error) {
    throw Error(ErrorCode::kUnavailable, std::string("cannot set up ZeroMQ: ") + error.what());
  }
}

ZmqContext::~ZmqContext() {
  impl_->context.shutdown();
}

zmq::socket_t make_router(ZmqContext& context, const ZmqOptions& options, bool ipv6) {
  zmq::socket_t socket = make_socket(context, zmq::socket_type::router, options, ipv6);
  socket.set(zmq::sockopt::router_mandatory, 1);  // or what cannot be routed vanishes silently
  socket.set(zmq::sockopt::router_handover, 0);   // or anyone steals a session by its id
  socket.set(zmq::sockopt::backlog, kBacklog);
  return socket;
}

zmq::socket_t make_dealer(ZmqContext& context, const ZmqOptions& options, bool ipv6) {
  zmq::socket_t socket = make_socket(context, zmq::socket_type::dealer, options, ipv6);
  socket.set(zmq::sockopt::immediate, 1);  // or what is queued reaches the peer's next incarnation
  socket.set(zmq::sockopt::reconnect_ivl, 100);
  socket.set(zmq::sockopt::reconnect_ivl_max, 5000);
  socket.set(zmq::sockopt::connect_timeout, 3000);
  return socket;
}

zmq::message_t to_message(const Buffer& buffer) {
  if (buffer.size() < kCopiedBytes) return {buffer.data(), buffer.size()};
  auto reference = std::make_unique<Reference>(buffer.owner());
  reference->handed_over.store(true, std::memory_order_release);
  zmq::message_t message(const_cast<std::byte*>(buffer.data()), buffer.size(), release,
                         reference.get());
  static_cast<void>(reference.release());  // the message owns it now
  return message;
}

Buffer to_buffer(zmq::message_t&& message) {
  const auto bytes = [](const zmq::message_t& from) {
    return std::span(static_cast<const std::byte*>(from.data()), from.size());
  };
  const bool aligned = reinterpret_cast<std::uintptr_t>(message.data()) % kReceiveAlignment == 0;
  if (message.size() < kCopiedBytes || !aligned) return Buffer::copy_of(bytes(message));
  auto owner = std::make_shared<zmq::message_t>(std::move(message));
  const auto view = bytes(*owner);
  return {std::move(owner), view};
}

ZmqOutcome send_part(zmq::socket_t& socket, zmq::message_t& part, bool more) {
  const int flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);
  int rc = 0;
  do {
    rc = zmq_msg_send(part.handle(), socket.handle(), flags);
  } while (rc < 0 && zmq_errno() == EINTR);
  if (rc >= 0) return ZmqOutcome::kDone;
  if (zmq_errno() == EHOSTUNREACH) return ZmqOutcome::kUnroutable;
  PS_ASSERT(zmq_errno() == EAGAIN, "a ZeroMQ socket is open and used as its type allows");
  return ZmqOutcome::kAgain;
}

bool receive_part(zmq::socket_t& socket, zmq::message_t& part) {
  int rc = 0;
  do {
    rc = zmq_msg_recv(part.handle(), socket.handle(), ZMQ_DONTWAIT);
  } while (rc < 0 && zmq_errno() == EINTR);
  if (rc >= 0) return true;
  PS_ASSERT(zmq_errno() == EAGAIN, "a ZeroMQ socket is open and used as its type allows");
  return false;
}

}  // namespace ps::net
