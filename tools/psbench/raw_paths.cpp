// Sockets, ZeroMQ and shared memory, each in as few lines as reach what it can.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <poll.h>
#include <semaphore.h>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

#include <zmq.hpp>

#include "base/buffer.h"
#include "raw.h"

namespace psbench {
namespace {

using ps::net::Descriptor;

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// --- byte streams

struct Pair {
  Descriptor client, server;
};

Pair tcp_pair() {
  Descriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const name = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  if (::bind(listener.get(), name, size) != 0 || ::listen(listener.get(), 1) != 0 ||
      ::getsockname(listener.get(), name, &size) != 0) {
    fail("listen on 127.0.0.1");
  }
  Pair pair;
  pair.client.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(pair.client.get(), name, size) != 0) fail("connect to 127.0.0.1");
  pair.server.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!pair.server) fail("accept");
  for (const int fd : {pair.client.get(), pair.server.get()}) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  return pair;
}

Pair unix_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) fail("socketpair");
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

class StreamPath final : public RawPath {
 public:
  StreamPath(const RawSizes& sizes, Pair pair) : sizes_(sizes), pair_(std::move(pair)) {}

  void serve() override {
    const ps::Memory frame = ps::Memory::allocate(sizes_.frame);
    for (;;) {
      for (std::size_t i = 0; i < sizes_.frames(); ++i) {
        const auto bytes = frame.bytes().first(sizes_.frame_at(i));
        for (std::size_t done = 0; done < bytes.size();) {
          done += receive(pair_.server, bytes.subspan(done), 0);
        }
        for (std::size_t done = 0; done < bytes.size();) {
          done += send(pair_.server, bytes.subspan(done), 0);
        }
      }
    }
  }
  // Both directions at once: whoever only sent would fill the peer's buffers, and stand still.
  void exchange(std::span<const std::byte> from, std::span<std::byte> to) override {
    std::size_t sent = 0;
    std::size_t received = 0;
    while (received < to.size()) {
      const std::size_t put = send(pair_.client, from.subspan(sent), MSG_DONTWAIT);
      const std::size_t got = receive(pair_.client, to.subspan(received), MSG_DONTWAIT);
      sent += put;
      received += got;
      if (put + got > 0) continue;
      const auto events = static_cast<short>(sent < from.size() ? POLLIN | POLLOUT : POLLIN);
      pollfd polled{pair_.client.get(), events, 0};
      ::poll(&polled, 1, -1);
    }
  }

 private:
  static std::size_t moved(ssize_t bytes) {
    if (bytes >= 0) return static_cast<std::size_t>(bytes);
    if (errno == EAGAIN || errno == EINTR) return 0;
    fail("the raw stream");
  }
  static std::size_t send(const Descriptor& to, std::span<const std::byte> bytes, int flags) {
    if (bytes.empty()) return 0;
    return moved(::send(to.get(), bytes.data(), bytes.size(), flags | MSG_NOSIGNAL));
  }
  static std::size_t receive(const Descriptor& from, std::span<std::byte> bytes, int flags) {
    const ssize_t got = ::recv(from.get(), bytes.data(), bytes.size(), flags);
    if (got == 0) throw std::runtime_error("the raw stream has ended");
    return moved(got);
  }

  const RawSizes sizes_;
  const Pair pair_;
};

// --- ZeroMQ

class ZmqPath final : public RawPath {
 public:
  ZmqPath(const RawSizes& sizes, std::string scheme)
      : sizes_(sizes), scheme_(std::move(scheme)), where_(unix_pair()) {}

  void serve() override {
    zmq::context_t context(1);
    zmq::socket_t socket(context, zmq::socket_type::router);
    prepare(socket);
    // An abstract name leaves no file behind.
    socket.bind(scheme_ == "tcp" ? "tcp://127.0.0.1:*"
                                 : "ipc://@psbench-" + std::to_string(::getpid()));
    const std::string endpoint = socket.get(zmq::sockopt::last_endpoint);
    if (::write(where_.server.get(), endpoint.c_str(), endpoint.size() + 1) < 0) fail("write");
    for (;;) {
      zmq::message_t peer;
      zmq::message_t frame;
      if (!socket.recv(peer) || !socket.recv(frame)) continue;
      socket.send(peer, zmq::send_flags::sndmore);
      socket.send(frame, zmq::send_flags::none);
    }
  }
  // What comes back is dropped where it lies.
  void exchange(std::span<const std::byte> from, std::span<std::byte> /*to*/) override {
    if (!socket_) connect();
    const std::size_t frames = sizes_.frames();
    const std::size_t window = std::max<std::size_t>(2, kInFlight / sizes_.frame);
    for (std::size_t sent = 0, received = 0; received < frames;) {
      if (sent < frames && sent - received < window) {
        const auto bytes = from.subspan(sent * sizes_.frame, sizes_.frame_at(sent));
        zmq::message_t frame(
            const_cast<std::byte*>(bytes.data()), bytes.size(), [](void*, void*) {}, nullptr);
        socket_->send(frame, zmq::send_flags::none);
        ++sent;
        continue;
      }
      zmq::message_t frame;
      if (socket_->recv(frame)) ++received;
    }
  }

 private:
  static constexpr std::size_t kInFlight = std::size_t{16} << 20;

  static void prepare(zmq::socket_t& socket) {
    socket.set(zmq::sockopt::sndhwm, 0);
    socket.set(zmq::sockopt::rcvhwm, 0);
    socket.set(zmq::sockopt::linger, 0);
  }
  void connect() {
    std::array<char, 256> endpoint{};
    if (::read(where_.client.get(), endpoint.data(), endpoint.size() - 1) <= 0) fail("read");
    context_.emplace(1);
    socket_.emplace(*context_, zmq::socket_type::dealer);
    prepare(*socket_);
    socket_->connect(endpoint.data());
  }

  const RawSizes sizes_;
  const std::string scheme_;
  const Pair where_;  // the endpoint comes through it
  std::optional<zmq::context_t> context_;
  std::optional<zmq::socket_t> socket_;
};

// --- shared memory

class SharedPath final : public RawPath {
 public:
  explicit SharedPath(const RawSizes& sizes) : sizes_(sizes) {
    const std::size_t bytes = sizeof(Signals) + 2 * kSlots * sizes.frame;
    void* const memory =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("map shared memory");
    std::memset(memory, 0, bytes);
    memory_ = {static_cast<std::byte*>(memory), bytes};
    signals_ = new (memory) Signals;
    ::sem_init(&signals_->sent, 1, 0);
    ::sem_init(&signals_->returned, 1, 0);
  }
  ~SharedPath() override { ::munmap(memory_.data(), memory_.size()); }

  void serve() override {
    for (;;) {
      for (std::size_t i = 0; i < sizes_.frames(); ++i) {
        wait(signals_->sent);
        std::memcpy(slot(1, i), slot(0, i), sizes_.frame_at(i));
        ::sem_post(&signals_->returned);
      }
    }
  }
  // A slot is free again when its frame has come back.
  void exchange(std::span<const std::byte> from, std::span<std::byte> /*to*/) override {
    const std::size_t frames = sizes_.frames();
    for (std::size_t sent = 0, received = 0; received < frames;) {
      if (sent < frames && sent - received < kSlots) {
        std::memcpy(slot(0, sent), &from[sent * sizes_.frame], sizes_.frame_at(sent));
        ::sem_post(&signals_->sent);
        ++sent;
      } else {
        wait(signals_->returned);
        ++received;
      }
    }
  }

 private:
  struct alignas(64) Signals {
    sem_t sent;
    sem_t returned;
  };
  static constexpr std::size_t kSlots = 4;
  static constexpr int kSpins = 2000;  // some microseconds: less than to sleep and be woken

  static void wait(sem_t& semaphore) {
    for (int i = 0; i < kSpins; ++i) {
      if (::sem_trywait(&semaphore) == 0) return;
    }
    while (::sem_wait(&semaphore) != 0) {
    }
  }
  [[nodiscard]] std::byte* slot(std::size_t direction, std::size_t i) const {
    return memory_.data() + sizeof(Signals) + (direction * kSlots + i % kSlots) * sizes_.frame;
  }

  const RawSizes sizes_;
  std::span<std::byte> memory_;
  Signals* signals_ = nullptr;
};

}  // namespace

std::unique_ptr<RawPath> raw_stream(const RawSizes& sizes, Stream kind) {
  return std::make_unique<StreamPath>(sizes, kind == Stream::kTcp ? tcp_pair() : unix_pair());
}

std::unique_ptr<RawPath> raw_zmq(const RawSizes& sizes, const std::string& scheme) {
  return std::make_unique<ZmqPath>(sizes, scheme);
}

std::unique_ptr<RawPath> raw_shared(const RawSizes& sizes) {
  return std::make_unique<SharedPath>(sizes);
}

}  // namespace psbench
