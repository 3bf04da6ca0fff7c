#include "net/unix_socket.h"

#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

#include <ps/error.h>

#include "base/assert.h"

namespace ps::net {
namespace {

constexpr int kBacklog = 4096;  // the kernel caps it at net.core.somaxconn

::sockaddr_un address_of_path(const std::string& path) {
  ::sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

bool connect_to(int socket, const std::string& path) {
  const ::sockaddr_un address = address_of_path(path);
  int rc = 0;
  do {
    rc = ::connect(socket, reinterpret_cast<const ::sockaddr*>(&address), sizeof address);
  } while (rc != 0 && errno == EINTR);
  return rc == 0;
}

// Whether a path that is in use belongs to nobody any more. A listener whose queue is full answers
// EAGAIN: it lives.
bool is_stale(const std::string& path, int type) {
  const Descriptor probe(::socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  return probe && !connect_to(probe.get(), path) && errno == ECONNREFUSED;
}

[[noreturn]] void throw_cannot_listen(const std::string& endpoint, const std::string& why) {
  throw Error(ErrorCode::kUnavailable, "cannot listen at " + endpoint + ": " + why);
}

}  // namespace

SocketPath::~SocketPath() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

void require_socket_path(const std::string& path) {
  constexpr std::size_t kLimit = sizeof(::sockaddr_un::sun_path) - 1;
  if (path.front() == '/' && path.size() <= kLimit) return;
  throw Error(ErrorCode::kInvalidArgument, "a socket's path must be absolute and at most " +
                                               std::to_string(kLimit) + " bytes long, got \"" +
                                               path + "\"; use a shorter directory");
}

UnixListener listen_unix(const std::string& path, int type, const std::string& endpoint) {
  require_socket_path(path);
  Descriptor socket(::socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  // The mode of the socket becomes the path's when it is bound: nobody can connect in between.
  if (!socket || ::fchmod(socket.get(), S_IRUSR | S_IWUSR) != 0) {
    throw_cannot_listen(endpoint, std::strerror(errno));
  }
  const ::sockaddr_un address = address_of_path(path);
  const auto bind_path = [&] {
    return ::bind(socket.get(), reinterpret_cast<const ::sockaddr*>(&address), sizeof address) == 0;
  };
  bool bound = bind_path();
  if (!bound && errno == EADDRINUSE) {
    if (!is_stale(path, type)) {
      throw_cannot_listen(endpoint, "another process does already; choose another path");
    }
    ::unlink(path.c_str());
    bound = bind_path();
  }
  if (!bound) {
    throw_cannot_listen(
        endpoint, std::string(std::strerror(errno)) + "; its directory must exist and be writable");
  }
  SocketPath owned(path);
  if (::listen(socket.get(), kBacklog) != 0) throw_cannot_listen(endpoint, std::strerror(errno));
  return {std::move(socket), std::move(owned)};
}

std::optional<Descriptor> connect_unix(const std::string& path) {
  Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket || !connect_to(socket.get(), path) || !same_user(socket.get())) return std::nullopt;
  return socket;
}

bool same_user(int socket) noexcept {
  ::ucred peer{};
  ::socklen_t size = sizeof peer;
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         peer.uid == ::geteuid();
}

bool send_with_fds(int socket,
                   std::span<const std::byte> bytes,
                   std::span<const int> fds) noexcept {
  PS_DCHECK(fds.size() <= kMaxPassedFds, "there is no room for more");
  ::iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  alignas(::cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaxPassedFds)> control{};
  ::msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(fds.size_bytes());
  ::cmsghdr* const rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(fds.size_bytes());
  std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) ==
         static_cast<::ssize_t>(bytes.size());
}

Received receive_with_fds(int socket,
                          std::span<std::byte> bytes,
                          std::span<Descriptor> fds) noexcept {
  ::iovec part{bytes.data(), bytes.size()};
  alignas(::cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaxPassedFds)> control{};
  ::msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ::ssize_t count = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (count < 0) {
    return errno == EAGAIN || errno == EINTR ? Received::kNothing : Received::kGone;
  }
  std::size_t taken = 0;
  for (::cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr;
       item = CMSG_NXTHDR(&message, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t passed = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < passed; ++i, ++taken) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(item) + i * sizeof(int), sizeof fd);
      Descriptor passed_fd(fd);  // closed if it is one too many
      if (taken < fds.size()) fds[taken] = std::move(passed_fd);
    }
  }
  // The kernel drops descriptors beyond the control buffer, and says so.
  const bool whole = count == static_cast<::ssize_t>(bytes.size()) && taken == fds.size() &&
                     (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) == 0;
  return whole ? Received::kPacket : Received::kGone;
}

}  // namespace ps::net
