#include "net/shm_transport.h"

#include <algorithm>
#include <array>
#include <bit>
#include <sys/socket.h>

#include <ps/error.h>

#include "net/endpoint.h"

namespace ps::net {
namespace {

constexpr std::size_t kMinRingBytes = 4096;
constexpr std::size_t kMaxRingBytes = std::size_t{1} << 30;
constexpr std::size_t kMaxGreetings = 128;      // accepted sockets that have not said HELLO yet
constexpr std::size_t kMaxConnections = 16384;  // of both kinds
constexpr unsigned kLookAround = 32;            // messages between two looks at the descriptors
constexpr int kFirstRetryMs = 5;
constexpr int kMaxRetryMs = 500;

ShmOptions rounded(ShmOptions options) {
  options.ring_bytes = std::bit_ceil(std::clamp(options.ring_bytes, kMinRingBytes, kMaxRingBytes));
  return options;
}

}  // namespace

ShmTransport::ShmTransport(const ShmOptions& options)
    : options_(rounded(options)), epoll_fd_(epoll_.fd()) {
  watch(wakeup_.fd(), Kind::kWakeup, 0);
  watch(timer_.fd(), Kind::kTimer, 0);
}

ShmTransport::~ShmTransport() = default;

std::string ShmTransport::bind(const std::string& endpoint) {
  thread_.check_or_unowned();
  PS_ASSERT(!listener_.socket, "a transport is bound at most once");
  listener_ = listen_unix(std::string(address_of(endpoint, "shm")), SOCK_SEQPACKET, endpoint);
  watch(listener_.socket.get(), Kind::kListener, 0);
  return endpoint;
}

std::uint64_t ShmTransport::watch(int fd, Kind kind, Link link) {
  const std::uint64_t tag = ++last_tag_;
  epoll_.add(fd, tag);
  sources_.emplace(tag, Source{kind, link});
  return tag;
}

void ShmTransport::unwatch(int fd, std::uint64_t tag) {
  epoll_.remove(fd);
  sources_.erase(tag);
}

void ShmTransport::connect(Link link, const std::string& endpoint) {
  thread_.check();
  require_own_link(link);
  const std::string path(address_of(endpoint, "shm"));
  require_socket_path(path);
  disconnect(link);
  Connection& connection = connections_[link];
  connection.path = path;
  if (try_connect(link, connection)) return;
  retry_ms_ = 0;  // a new peer is probably about to come up
  wait_for_listener();
}

bool ShmTransport::try_connect(Link link, Connection& connection) {
  auto socket = connect_unix(connection.path);
  if (!socket) return false;
  connection.channel = ShmChannel::open(std::move(*socket), options_.ring_bytes, options_.limits);
  return connection.channel && attach(link, connection);
}

void ShmTransport::wait_for_listener() {
  retry_ms_ = std::clamp(2 * retry_ms_, kFirstRetryMs, kMaxRetryMs);
  timer_.arm_ms(retry_ms_);
}

void ShmTransport::connect_waiting() {
  bool all = true;
  for (auto& [link, connection] : connections_) {
    if (!connection.channel && !try_connect(link, connection)) all = false;
  }
  if (!all) wait_for_listener();
}

// The connection has a socket and a channel: listens to both, or gives both up when the system
// cannot.
bool ShmTransport::attach(Link link, Connection& connection) {
  connection.peer_gone = false;
  connection.broken = false;
  try {
    connection.socket_tag = watch(connection.channel->socket_fd(), Kind::kSocket, link);
    connection.doorbell_tag = watch(connection.channel->doorbell_fd(), Kind::kDoorbell, link);
  } catch (const Error&) {
    detach(connection);
    return false;
  }
  mark_ready(link, connection);
  return true;
}

void ShmTransport::detach(Connection& connection) {
  if (!connection.channel) return;
  if (connection.channel->socket_fd() >= 0)
    unwatch(connection.channel->socket_fd(), connection.socket_tag);
  unwatch(connection.channel->doorbell_fd(), connection.doorbell_tag);
  connection.channel.reset();
}

void ShmTransport::mark_ready(Link link, Connection& connection) {
  if (connection.ready) return;
  connection.ready = true;
  ready_.push_back(link);
}

// The connection is over: an own link looks for its listener again, another one is forgotten.
void ShmTransport::lose(Link link, Connection& connection) {
  if (connection.broken) links_cut_.fetch_add(1, std::memory_order_relaxed);
  detach(connection);
  if (link >= kAcceptedBit) {
    full_.remove(link);
    std::erase(ready_, link);
    connections_.erase(link);
  } else {
    wait_for_listener();  // not at once: a listener that refuses us would keep us busy
  }
}

void ShmTransport::disconnect(Link link) {
  thread_.check();
  full_.remove(link);
  const auto found = connections_.find(link);
  if (found == connections_.end()) return;
  detach(found->second);
  std::erase(ready_, link);
  connections_.erase(found);
}

SendResult ShmTransport::send(Link link, const Frames& frames) {
  thread_.check();
  require_fits(frames, options_.limits);
  full_.remove(link);
  const auto found = connections_.find(link);
  if (found == connections_.end()) return SendResult::kUnreachable;
  Connection& connection = found->second;
  if (connection.channel && !connection.peer_gone && !connection.broken) {
    ShmChannel& channel = *connection.channel;
    bool sound = !channel.full() || channel.flush();
    if (sound && !channel.full()) {
      sound = channel.send(frames);
      if (sound) return SendResult::kSent;
    }
    if (!sound) {
      connection.broken = true;
      mark_ready(link, connection);  // receive() cuts it
    }
  }
  if (link >= kAcceptedBit && (connection.peer_gone || connection.broken)) {
    return SendResult::kUnreachable;
  }
  full_.add(link);
  return SendResult::kFull;
}

bool ShmTransport::receive(Link& from, Frames& frames) {
  thread_.check();
  for (;;) {
    if (ready_.empty() || ++taken_since_look_ >= kLookAround) look_around();
    if (ready_.empty()) break;
    const Link link = ready_.front();
    ready_.pop_front();
    Connection& connection = connections_.at(link);
    connection.ready = false;
    if (!connection.channel) continue;
    const auto result =
        connection.broken ? ShmChannel::Read::kBroken : connection.channel->read(frames);
    if (result == ShmChannel::Read::kMessage) {
      from = link;
      retry_ms_ = 0;
      mark_ready(link, connection);
      return true;
    }
    connection.broken = result == ShmChannel::Read::kBroken;
    if (connection.broken || connection.peer_gone) lose(link, connection);
  }
  const bool room_again = full_.remind([this](Link link) {
    thread_.check();  // for the static analysis
    const auto found = connections_.find(link);
    return found == connections_.end() || (found->second.channel && !found->second.channel->full());
  });
  if (room_again) wakeup_.ring();
  return false;
}

void ShmTransport::look_around() {
  taken_since_look_ = 0;
  std::array<std::uint64_t, 64> tags{};
  const std::size_t count = epoll_.ready(tags);
  for (const std::uint64_t tag : std::span(tags).first(count)) handle(tag);
}

void ShmTransport::handle(std::uint64_t tag) {
  const auto source = sources_.find(tag);
  if (source == sources_.end()) return;  // closed by an event before this one
  const auto [kind, link] = source->second;
  switch (kind) {
    case Kind::kWakeup:
      return wakeup_.clear();
    case Kind::kTimer:
      timer_.clear();
      return connect_waiting();
    case Kind::kListener:
      return accept_sockets();
    case Kind::kGreeting:
      return greet(tag);
    case Kind::kSocket: {
      Connection& connection = connections_.at(link);
      if (connection.channel->hears()) return;
      unwatch(connection.channel->socket_fd(), tag);
      connection.channel->hang_up();
      connection.peer_gone = true;
      return mark_ready(link, connection);
    }
    case Kind::kDoorbell: {
      Connection& connection = connections_.at(link);
      connection.channel->clear_doorbell();
      if (!connection.channel->flush()) connection.broken = true;
      return mark_ready(link, connection);
    }
  }
}

void ShmTransport::accept_sockets() {
  for (;;) {
    Descriptor socket(
        ::accept4(listener_.socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) return;
    if (!same_user(socket.get()) || connections_.size() >= kMaxConnections) {
      links_cut_.fetch_add(1, std::memory_order_relaxed);
      continue;
    }
    if (greeting_order_.size() >= kMaxGreetings) drop_greeting(greeting_order_.front());
    const std::uint64_t tag = watch(socket.get(), Kind::kGreeting, 0);
    greetings_.emplace(tag, std::move(socket));
    greeting_order_.push_back(tag);
  }
}

void ShmTransport::drop_greeting(std::uint64_t tag) {
  const auto found = greetings_.find(tag);
  unwatch(found->second.get(), tag);
  greetings_.erase(found);
  std::erase(greeting_order_, tag);
}

void ShmTransport::greet(std::uint64_t tag) {
  ShmHello hello{.magic = 0, .version = 0, .ring_bytes = 0};
  std::array<Descriptor, kHelloFds> fds;
  const int socket = greetings_.at(tag).get();
  const Received received =
      receive_with_fds(socket, std::as_writable_bytes(std::span(&hello, 1)), fds);
  if (received == Received::kNothing) return;
  Descriptor kept = std::move(greetings_.at(tag));
  unwatch(kept.get(), tag);
  greetings_.erase(tag);
  std::erase(greeting_order_, tag);
  std::unique_ptr<ShmChannel> channel;
  if (received == Received::kPacket) {
    channel = ShmChannel::accept(hello, std::move(fds), std::move(kept), options_.limits);
  }
  if (!channel) {
    links_cut_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const Link link = next_accepted_++;
  Connection& connection = connections_[link];
  connection.channel = std::move(channel);
  if (!attach(link, connection)) connections_.erase(link);
}

}  // namespace ps::net
