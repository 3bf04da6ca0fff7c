// Transport through shared memory between processes of one user on one host. Frames are copied into
// a ring and out of it, but for large payloads in memory of allocate_shared(), which the peer reads
// where they lie; a unix socket introduces the two sides and shows the death of one.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/wakeup.h"
#include "net/full_links.h"
#include "net/owner_thread.h"
#include "net/shm_channel.h"
#include "net/transport.h"

namespace ps::net {

struct ShmOptions {
  TransportLimits limits{};
  // Per direction and link opened here; rounded up to a power of two, 4 KiB to 1 GiB. Messages may
  // be larger. The memory is touched when the link opens.
  std::size_t ring_bytes = std::size_t{8} << 20;
};

// Endpoints: "shm:///absolute/path.sock"; the directory is the caller's business, the socket has
// mode 0600. A link opened here comes back by itself when its peer goes and another one listens.
class ShmTransport final : public Transport {
 public:
  explicit ShmTransport(const ShmOptions& options);  // throws ps::Error(kUnavailable)
  ~ShmTransport() override;
  ShmTransport(const ShmTransport&) = delete;
  ShmTransport& operator=(const ShmTransport&) = delete;

  std::string bind(const std::string& endpoint) override;
  void connect(Link link, const std::string& endpoint) override;
  void disconnect(Link link) override;
  SendResult send(Link link, const Frames& frames) override;
  bool receive(Link& from, Frames& frames) override;
  [[nodiscard]] int fd() const noexcept override { return epoll_fd_; }
  [[nodiscard]] bool needs_checksum(Link /*link*/) const noexcept override { return false; }

  // How many links were cut because their peer broke the rules.
  [[nodiscard]] std::uint64_t links_cut() const noexcept {
    return links_cut_.load(std::memory_order_relaxed);
  }

 private:
  // What a descriptor in the epoll set is.
  enum class Kind { kWakeup, kTimer, kListener, kGreeting, kSocket, kDoorbell };
  struct Source {
    Kind kind;
    Link link;  // of kSocket and kDoorbell
  };
  struct Connection {
    std::string path;  // what the link was opened to; empty when a peer opened it
    std::unique_ptr<ShmChannel> channel;  // null while an own link waits for its listener
    std::uint64_t socket_tag = 0;
    std::uint64_t doorbell_tag = 0;
    bool ready = false;      // is in ready_
    bool peer_gone = false;  // what is in the ring can still be received
    bool broken = false;
  };

  std::uint64_t watch(int fd, Kind kind, Link link) PS_REQUIRES(thread_);
  void unwatch(int fd, std::uint64_t tag) PS_REQUIRES(thread_);
  void look_around() PS_REQUIRES(thread_);
  void handle(std::uint64_t tag) PS_REQUIRES(thread_);
  void accept_sockets() PS_REQUIRES(thread_);
  void greet(std::uint64_t tag) PS_REQUIRES(thread_);
  void drop_greeting(std::uint64_t tag) PS_REQUIRES(thread_);
  bool attach(Link link, Connection& connection) PS_REQUIRES(thread_);
  bool try_connect(Link link, Connection& connection) PS_REQUIRES(thread_);
  void connect_waiting() PS_REQUIRES(thread_);
  void wait_for_listener() PS_REQUIRES(thread_);
  void detach(Connection& connection) PS_REQUIRES(thread_);
  void lose(Link link, Connection& connection) PS_REQUIRES(thread_);
  void mark_ready(Link link, Connection& connection) PS_REQUIRES(thread_);

  const ShmOptions options_;
  Wakeup wakeup_;  // synchronises itself
  std::atomic<std::uint64_t> links_cut_{0};
  OwnerThread thread_;

  Epoll epoll_ PS_GUARDED_BY(thread_);
  const int epoll_fd_;
  Timer timer_ PS_GUARDED_BY(thread_);
  int retry_ms_ PS_GUARDED_BY(thread_) = 0;
  UnixListener listener_ PS_GUARDED_BY(thread_);
  std::unordered_map<std::uint64_t, Source> sources_ PS_GUARDED_BY(thread_);  // by tag
  std::uint64_t last_tag_ PS_GUARDED_BY(thread_) = 0;
  std::unordered_map<std::uint64_t, Descriptor> greetings_ PS_GUARDED_BY(thread_);  // by tag
  std::deque<std::uint64_t> greeting_order_ PS_GUARDED_BY(thread_);
  std::unordered_map<Link, Connection> connections_ PS_GUARDED_BY(thread_);
  Link next_accepted_ PS_GUARDED_BY(thread_) = kAcceptedBit;
  std::deque<Link> ready_ PS_GUARDED_BY(thread_);  // links that may have something, in turn
  unsigned taken_since_look_ PS_GUARDED_BY(thread_) = 0;
  FullLinks full_ PS_GUARDED_BY(thread_);
};

}  // namespace ps::net
