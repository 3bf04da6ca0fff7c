// Unix sockets by path: to listen without stealing a live listener's path, to connect without
// waiting, and to pass descriptors. Used by the ipc and shm transports.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "net/descriptor.h"

namespace ps::net {

// Removes a socket's path from the file system at the end of its life.
class SocketPath {
 public:
  SocketPath() = default;
  explicit SocketPath(std::string path) : path_(std::move(path)) {}
  SocketPath(SocketPath&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  SocketPath& operator=(SocketPath&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  SocketPath(const SocketPath&) = delete;
  SocketPath& operator=(const SocketPath&) = delete;
  ~SocketPath();

 private:
  std::string path_;
};

struct UnixListener {
  Descriptor socket;  // non-blocking
  SocketPath path;
};

// Throws ps::Error(kInvalidArgument) when the path is longer than a socket address holds.
void require_socket_path(const std::string& path);

// Listens at `path`, mode 0600; `type` is SOCK_STREAM or SOCK_SEQPACKET. A path that a dead process
// left behind is replaced. Throws ps::Error(kUnavailable) when someone listens there, or the
// directory is missing or not ours. `endpoint` is for the texts.
UnixListener listen_unix(const std::string& path, int type, const std::string& endpoint);

// A connected, non-blocking SOCK_SEQPACKET socket whose peer runs as this user; nothing when nobody
// accepts there (yet).
std::optional<Descriptor> connect_unix(const std::string& path);

// True when the process at the other end runs as this user.
bool same_user(int socket) noexcept;

inline constexpr std::size_t kMaxPassedFds = 3;

// One packet with these descriptors; false when the peer is gone or has no room for it. REQUIRES:
// at most kMaxPassedFds.
bool send_with_fds(int socket, std::span<const std::byte> bytes, std::span<const int> fds) noexcept;

enum class Received { kPacket, kNothing, kGone };
// Fills `bytes` and `fds` exactly. Anything else that the peer sent is
// kGone; descriptors that came with it are closed.
Received receive_with_fds(int socket,
                          std::span<std::byte> bytes,
                          std::span<Descriptor> fds) noexcept;

}  // namespace ps::net
