// One connection through shared memory: a memfd with a ring for each direction, an eventfd to wake
// each side, and messages streamed through the rings in pieces, so that they may be larger than a
// ring. No polling: whoever waits says so in the ring and is woken by its doorbell.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>

#include "net/descriptor.h"
#include "net/shm_ring.h"
#include "net/transport.h"
#include "net/unix_socket.h"

namespace ps::net {

// Memory behind a descriptor that other processes can map. It can never change its size, so no peer
// can turn a later access into SIGBUS.
class SharedMapping {
 public:
  static std::shared_ptr<SharedMapping> create(std::size_t bytes);  // null: the system refused
  // Null when `fd` is not such memory or is smaller than `bytes`.
  static std::shared_ptr<SharedMapping> map(Descriptor fd, std::size_t bytes);
  ~SharedMapping();
  SharedMapping(const SharedMapping&) = delete;
  SharedMapping& operator=(const SharedMapping&) = delete;

  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

 private:
  SharedMapping(Descriptor fd, std::span<std::byte> bytes) : fd_(std::move(fd)), bytes_(bytes) {}
  Descriptor fd_;
  std::span<std::byte> bytes_;
};

// What the connecting side sends first, with {memory, the acceptor's doorbell, its own doorbell}.
struct ShmHello {
  std::uint32_t magic = kMagic;
  std::uint32_t version = 1;
  std::uint64_t ring_bytes = 0;
  static constexpr std::uint32_t kMagic = 0x4d485350;  // "PSHM"
};

class ShmChannel {
 public:
  // The connecting side: makes the rings and says HELLO on `socket`. `ring_bytes`: a power of two.
  // Null when the peer is gone or the system refuses memory or descriptors.
  static std::unique_ptr<ShmChannel> open(int socket,
                                          std::size_t ring_bytes,
                                          const TransportLimits& limits);
  // The accepting side. Null when what the peer sent is not acceptable.
  static std::unique_ptr<ShmChannel> accept(const ShmHello& hello,
                                            std::array<Descriptor, kPassedFds> fds,
                                            const TransportLimits& limits);

  [[nodiscard]] bool full() const noexcept { return queue_.size() >= limits_.queued_messages; }
  // Queues and sends as much as there is room for. False: the peer broke the ring. REQUIRES:
  // !full().
  [[nodiscard]] bool send(const Frames& frames);
  [[nodiscard]] bool flush();  // goes on sending; false: the peer broke the ring

  // kNothing: the doorbell rings when there is more. kBroken: the peer sent what it must not.
  enum class Read { kMessage, kNothing, kBroken };
  Read read(Frames& frames);

  [[nodiscard]] int doorbell_fd() const noexcept { return own_doorbell_.get(); }
  void clear_doorbell() noexcept;

 private:
  // Precedes every message in the ring.
  struct Prefix {
    std::uint32_t magic = kMagic;
    std::uint32_t header_bytes = 0;
    std::uint64_t payload_bytes = 0;
    static constexpr std::uint32_t kMagic = 0x474d5350;  // "PSMG"
  };
  // Where a message's streaming stands: part 0 is the prefix, 1 the header, 2 the payload.
  struct Progress {
    std::size_t part = 0;
    std::size_t done = 0;  // bytes of that part
  };

  ShmChannel(std::shared_ptr<SharedMapping> mapping, bool connects, const TransportLimits& limits);
  void ring_peer() noexcept;
  void wake_reader() noexcept;
  [[nodiscard]] std::span<const std::byte> unsent() const;
  [[nodiscard]] std::span<std::byte> unread();
  bool start_message();  // the prefix is in: false when it is not acceptable

  const std::shared_ptr<SharedMapping> mapping_;
  const TransportLimits limits_;
  RingWriter writer_;
  RingReader reader_;
  Descriptor own_doorbell_;
  Descriptor peer_doorbell_;

  std::deque<Frames> queue_;
  Prefix sending_prefix_;  // of queue_.front()
  Progress sent_;

  Prefix prefix_;  // of the message that is coming in
  Memory header_;
  Memory payload_;
  Progress received_;
};

}  // namespace ps::net
