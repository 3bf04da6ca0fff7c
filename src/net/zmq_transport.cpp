#include "net/zmq_transport.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <string>
#include <sys/socket.h>
#include <unordered_map>
#include <unordered_set>

#include <ps/error.h>

#include "base/wakeup.h"
#include "net/descriptor.h"
#include "net/endpoint.h"
#include "net/full_links.h"
#include "net/owner_thread.h"
#include "net/unix_socket.h"
#include "net/zmq_socket.h"

namespace ps::net {
namespace {

// Tags of the descriptors in the epoll set; an own link's socket has the link's number.
constexpr std::uint64_t kRouterTag = kAcceptedBit;
constexpr std::uint64_t kWakeTag = kAcceptedBit | 1;
constexpr std::uint64_t kTimerTag = kAcceptedBit | 2;

constexpr int kRetryMs = 1;           // until a full ROUTER link is tried again
constexpr int kRefusedAtOnce = 256;   // malformed messages dropped in one receive()
constexpr unsigned kLookAround = 32;  // messages between two looks at the other sockets
constexpr std::size_t kForgotten = 65536;

// libzmq gives a peer that sends no id of its own the bytes {0, 32-bit counter}, and does not let
// two live connections share an id. So the counter is the link's number, and there is no table that
// a peer could fill; ids of any other form are refused.
constexpr std::size_t kRoutingIdBytes = 5;

std::array<std::byte, kRoutingIdBytes> routing_id_of(Link link) {
  std::array<std::byte, kRoutingIdBytes> id{};
  const auto number = static_cast<std::uint32_t>(link);
  std::memcpy(id.data() + 1, &number, sizeof number);
  return id;
}

std::optional<Link> link_of(const zmq::message_t& id) {
  const auto* const bytes = static_cast<const std::byte*>(id.data());
  if (id.size() != kRoutingIdBytes || bytes[0] != std::byte{0}) return std::nullopt;
  std::uint32_t number = 0;
  std::memcpy(&number, bytes + 1, sizeof number);
  return kAcceptedBit | number;
}

// The connections that disconnect() gave up although libzmq cannot close them: at most kForgotten,
// beyond that the oldest is heard again.
class ForgottenLinks {
 public:
  [[nodiscard]] bool contains(Link link) const { return links_.contains(link); }
  void add(Link link) {
    if (!links_.insert(link).second) return;
    order_.push_back(link);
    if (order_.size() <= kForgotten) return;
    links_.erase(order_.front());
    order_.pop_front();
  }

 private:
  std::unordered_set<Link> links_;
  std::deque<Link> order_;
};

struct Socket {
  zmq::socket_t zmq;
  std::uint64_t tag = 0;
  bool ready = false;        // is in Impl::ready
  bool leaves_host = false;  // its peers may be on other hosts
};

}  // namespace

// Readiness: a socket's ZMQ_FD turns readable when commands wait for it, and every call on the
// socket may consume them. So a socket that was called is "ready" until a receive on it finds
// nothing, and receive() returns false only when no socket is ready and no ZMQ_FD readable.
struct ZmqTransport::Impl {
  enum class Read { kMessage, kNothing, kRefused };

  Impl(std::shared_ptr<ZmqContext> context_in, const ZmqOptions& options_in)
      : context(std::move(context_in)), options(options_in) {
    epoll.add(wakeup.fd(), kWakeTag);
    epoll.add(timer.fd(), kTimerTag);
  }

  std::string bind_tcp(const std::string& endpoint) PS_REQUIRES(thread);
  std::string bind_ipc(const std::string& endpoint) PS_REQUIRES(thread);
  void add_socket(Socket& socket) PS_REQUIRES(thread);
  void close(Link link) PS_REQUIRES(thread);
  Socket* find(std::uint64_t tag) PS_REQUIRES(thread);
  void mark_ready(Socket& socket) PS_REQUIRES(thread);
  bool look_around() PS_REQUIRES(thread);
  bool remind_full() PS_REQUIRES(thread);
  Read read(Socket& socket, Link& from, Frames& frames) PS_REQUIRES(thread);
  SendResult send(Socket& socket, Link link, const Frames& frames) PS_REQUIRES(thread);

  const std::shared_ptr<ZmqContext> context;  // outlives the sockets
  const ZmqOptions options;
  Wakeup wakeup;  // synchronises itself
  OwnerThread thread;

  Epoll epoll PS_GUARDED_BY(thread);
  Timer timer PS_GUARDED_BY(thread);
  SocketPath ipc_path PS_GUARDED_BY(thread);
  std::unique_ptr<Socket> router PS_GUARDED_BY(thread);
  std::unordered_map<Link, std::unique_ptr<Socket>> dealers PS_GUARDED_BY(thread);
  std::deque<std::uint64_t> ready PS_GUARDED_BY(thread);  // tags, in turn
  ForgottenLinks forgotten PS_GUARDED_BY(thread);
  FullLinks full PS_GUARDED_BY(thread);
  unsigned taken_since_look PS_GUARDED_BY(thread) = 0;
  std::atomic<std::uint64_t> refused{0};
};

ZmqTransport::ZmqTransport(std::shared_ptr<ZmqContext> context, const ZmqOptions& options)
    : impl_(std::make_unique<Impl>(std::move(context), options)) {
  PS_ASSERT(options.limits.queued_messages > 0, "0 would mean no limit to libzmq");
}

ZmqTransport::~ZmqTransport() = default;

int ZmqTransport::fd() const noexcept PS_THREAD_ATTRIBUTE(no_thread_safety_analysis) {
  return impl_->epoll.fd();  // never changes
}

bool ZmqTransport::needs_checksum(Link link) const noexcept {
  impl_->thread.check();
  const Socket* const socket = impl_->find(link >= kAcceptedBit ? kRouterTag : link);
  return socket != nullptr && socket->leaves_host;
}

std::uint64_t ZmqTransport::refused_messages() const noexcept {
  return impl_->refused.load(std::memory_order_relaxed);
}

std::string ZmqTransport::bind(const std::string& endpoint) {
  impl_->thread.check_or_unowned();
  PS_ASSERT(!impl_->router, "a transport is bound at most once");
  return impl_->options.scheme == ZmqOptions::Scheme::kTcp ? impl_->bind_tcp(endpoint)
                                                           : impl_->bind_ipc(endpoint);
}

std::string ZmqTransport::Impl::bind_tcp(const std::string& endpoint) {
  const std::string_view host = tcp_host_of(address_of(endpoint, "tcp"));
  if (!is_loopback(host) && !options.allow_insecure_network) {
    throw Error(ErrorCode::kUnavailable,
                "refused to listen at " + endpoint +
                    ": without encryption, whoever reaches this port can stop the job and change "
                    "its weights; bind 127.0.0.1 or [::1], or, on a network where everyone is "
                    "trusted, set allow_insecure_network");
  }
  auto socket = std::make_unique<Socket>();
  socket->zmq = make_router(*context, options, host.find(':') != std::string_view::npos);
  socket->tag = kRouterTag;
  socket->leaves_host = !is_loopback(host);
  try {
    socket->zmq.bind(endpoint);
  } catch (const zmq::error_t& error) {
    const bool malformed = error.num() == EINVAL;
    throw Error(
        malformed ? ErrorCode::kInvalidArgument : ErrorCode::kUnavailable,
        "cannot listen at " + endpoint + ": " + error.what() +
            (error.num() == EADDRINUSE
                 ? "; choose another port, or * for any free one"
                 : "; expected a numeric address of this machine, as in tcp://127.0.0.1:*"));
  }
  add_socket(*socket);
  router = std::move(socket);
  return router->zmq.get(zmq::sockopt::last_endpoint);
}

std::string ZmqTransport::Impl::bind_ipc(const std::string& endpoint) {
  // Our own listening socket: libzmq's would take the path from a listener that is alive.
  UnixListener listener =
      listen_unix(std::string(address_of(endpoint, "ipc")), SOCK_STREAM, endpoint);
  auto socket = std::make_unique<Socket>();
  socket->zmq = make_router(*context, options, false);
  socket->tag = kRouterTag;
  socket->zmq.set(zmq::sockopt::use_fd, listener.socket.get());
  try {
    socket->zmq.bind(endpoint);
  } catch (const zmq::error_t& error) {
    throw Error(ErrorCode::kUnavailable, "cannot listen at " + endpoint + ": " + error.what());
  }
  static_cast<void>(listener.socket.release());  // libzmq closes it
  add_socket(*socket);
  router = std::move(socket);
  ipc_path = std::move(listener.path);
  return endpoint;
}

void ZmqTransport::Impl::add_socket(Socket& socket) {
  epoll.add(socket.zmq.get(zmq::sockopt::fd), socket.tag);
  mark_ready(socket);
}

void ZmqTransport::connect(Link link, const std::string& endpoint) {
  impl_->thread.check();
  require_own_link(link);
  bool ipv6 = false;
  bool leaves_host = false;
  if (impl_->options.scheme == ZmqOptions::Scheme::kTcp) {
    const std::string_view host = tcp_host_of(address_of(endpoint, "tcp"));
    ipv6 = host.find(':') != std::string_view::npos;
    leaves_host = !is_loopback(host);
  } else {
    require_socket_path(std::string(address_of(endpoint, "ipc")));
  }
  disconnect(link);
  auto socket = std::make_unique<Socket>();
  socket->zmq = make_dealer(*impl_->context, impl_->options, ipv6);
  socket->tag = link;
  socket->leaves_host = leaves_host;
  try {
    socket->zmq.connect(endpoint);
  } catch (const zmq::error_t& error) {
    throw Error(ErrorCode::kInvalidArgument, "cannot connect to " + endpoint + ": " + error.what());
  }
  impl_->add_socket(*socket);
  impl_->dealers[link] = std::move(socket);
}

void ZmqTransport::disconnect(Link link) {
  impl_->thread.check();
  impl_->full.remove(link);
  if (link >= kAcceptedBit) {
    impl_->forgotten.add(link);
    return;
  }
  impl_->close(link);
}

void ZmqTransport::Impl::close(Link link) {
  const auto found = dealers.find(link);
  if (found == dealers.end()) return;
  Socket& socket = *found->second;
  socket.zmq.set(zmq::sockopt::linger, 0);  // or old messages arrive after the renewed link's
  epoll.remove(socket.zmq.get(zmq::sockopt::fd));
  std::erase(ready, socket.tag);
  dealers.erase(found);
}

Socket* ZmqTransport::Impl::find(std::uint64_t tag) {
  if (tag == kRouterTag) return router.get();
  const auto found = dealers.find(tag);
  return found == dealers.end() ? nullptr : found->second.get();
}

void ZmqTransport::Impl::mark_ready(Socket& socket) {
  if (socket.ready) return;
  socket.ready = true;
  ready.push_back(socket.tag);
}

SendResult ZmqTransport::send(Link link, const Frames& frames) {
  impl_->thread.check();
  require_fits(frames, impl_->options.limits);
  impl_->full.remove(link);
  const bool accepted = link >= kAcceptedBit;
  Socket* const socket = impl_->find(accepted ? kRouterTag : link);
  if (socket == nullptr || impl_->forgotten.contains(link)) return SendResult::kUnreachable;
  impl_->mark_ready(*socket);
  const SendResult result = impl_->send(*socket, link, frames);
  if (result == SendResult::kFull) impl_->full.add(link);
  return result;
}

// Only the first part can be refused: libzmq keeps room for the rest of a message. If the
// connection breaks in between, a ROUTER drops the rest silently; a DEALER says kAgain and forgets
// the first part, so nothing was taken.
SendResult ZmqTransport::Impl::send(Socket& socket, Link link, const Frames& frames) {
  if (link >= kAcceptedBit) {
    const auto id = routing_id_of(link);
    zmq::message_t part(id.data(), id.size());
    const ZmqOutcome outcome = send_part(socket.zmq, part, true);
    if (outcome == ZmqOutcome::kUnroutable) return SendResult::kUnreachable;
    if (outcome == ZmqOutcome::kAgain) return SendResult::kFull;
  }
  zmq::message_t header = to_message(frames.header);
  if (send_part(socket.zmq, header, true) != ZmqOutcome::kDone) return SendResult::kFull;
  zmq::message_t payload = to_message(frames.payload);
  if (send_part(socket.zmq, payload, false) != ZmqOutcome::kDone) return SendResult::kFull;
  return SendResult::kSent;
}

bool ZmqTransport::receive(Link& from, Frames& frames) {
  impl_->thread.check();
  int refused = 0;
  do {
    if (++impl_->taken_since_look >= kLookAround) impl_->look_around();
    while (!impl_->ready.empty()) {
      Socket* const socket = impl_->find(impl_->ready.front());
      impl_->ready.pop_front();
      socket->ready = false;
      const Impl::Read result = impl_->read(*socket, from, frames);
      if (result != Impl::Read::kNothing) impl_->mark_ready(*socket);
      if (result == Impl::Read::kMessage) return true;
      if (result == Impl::Read::kRefused && ++refused == kRefusedAtOnce) {
        impl_->wakeup.ring();  // the owner has other work too
        return false;
      }
    }
  } while (impl_->look_around() || impl_->remind_full());
  return false;
}

// Marks the sockets whose descriptors are readable; false when there are none.
bool ZmqTransport::Impl::look_around() {
  taken_since_look = 0;
  std::array<std::uint64_t, 64> tags{};
  const std::size_t count = epoll.ready(tags);
  for (const std::uint64_t tag : std::span(tags).first(count)) {
    if (tag == kWakeTag) {
      wakeup.clear();
    } else if (tag == kTimerTag) {
      timer.clear();
    } else if (Socket* const socket = find(tag)) {
      mark_ready(*socket);
    }
  }
  return !ready.empty();
}

// For senders that were refused: wakes the owner when there is room. A ROUTER does not tell which
// of its peers has room, so its links are simply tried again soon. True when a socket turned out to
// have something to receive.
bool ZmqTransport::Impl::remind_full() {
  if (full.empty()) return false;
  full.remind([&](Link link) {
    thread.check();  // for the static analysis
    if (link >= kAcceptedBit) {
      timer.arm_ms(kRetryMs);
      return true;
    }
    Socket* const socket = find(link);
    const int events = socket->zmq.get(zmq::sockopt::events);
    if ((events & ZMQ_POLLIN) != 0) mark_ready(*socket);
    const bool room = (events & ZMQ_POLLOUT) != 0;
    if (room) wakeup.ring();
    return room;
  });
  return !ready.empty();
}

// libzmq hands out a message only when all its parts are there. Parts beyond those that belong are
// read and freed one by one.
ZmqTransport::Impl::Read ZmqTransport::Impl::read(Socket& socket, Link& from, Frames& frames) {
  const bool is_router = socket.tag == kRouterTag;
  const std::size_t expected = is_router ? 3 : 2;
  std::array<zmq::message_t, 3> parts;
  std::size_t count = 0;
  for (bool more = true; more; ++count) {
    zmq::message_t part;
    if (!receive_part(socket.zmq, part)) {
      if (count == 0) return Read::kNothing;
      break;
    }
    more = part.more();
    if (count < expected) parts[count] = std::move(part);
  }
  const std::optional<Link> link =
      is_router ? link_of(parts[0]) : std::optional<Link>(Link{socket.tag});
  if (link && forgotten.contains(*link)) return Read::kRefused;
  zmq::message_t& header = parts[expected - 2];
  if (count != expected || !link || header.size() > options.limits.max_header_bytes ||
      parts[expected - 1].size() > options.limits.max_payload_bytes) {
    refused.fetch_add(1, std::memory_order_relaxed);
    return Read::kRefused;
  }
  from = *link;
  frames = {to_buffer(std::move(header)), to_buffer(std::move(parts[expected - 1]))};
  return Read::kMessage;
}

}  // namespace ps::net
