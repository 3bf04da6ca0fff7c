// One connection through shared memory: a memfd with a ring for each direction, an eventfd to wake
// each side, and messages streamed through the rings in pieces, so that they may be larger than a
// ring; a large payload that lies in shared memory is read there instead (net/shm_lending.h). No
// polling: whoever waits says so in the ring and is woken by its doorbell.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>

#include "net/descriptor.h"
#include "net/shared_memory.h"
#include "net/shm_lending.h"
#include "net/shm_ring.h"
#include "net/transport.h"
#include "net/unix_socket.h"

namespace ps::net {

// What the connecting side sends first, with {memory, the acceptor's doorbell, its own doorbell}.
struct ShmHello {
  std::uint32_t magic = kMagic;
  std::uint32_t version = 2;
  std::uint64_t ring_bytes = 0;
  static constexpr std::uint32_t kMagic = 0x4d485350;  // "PSHM"
};

inline constexpr std::size_t kHelloFds = 3;

class ShmChannel {
 public:
  // The connecting side: makes the rings and says HELLO on `socket`, which it keeps. `ring_bytes`:
  // a power of two. Null when the peer is gone or the system refuses memory or descriptors.
  static std::unique_ptr<ShmChannel> open(Descriptor socket,
                                          std::size_t ring_bytes,
                                          const TransportLimits& limits);
  // The accepting side. Null when what the peer sent is not acceptable.
  static std::unique_ptr<ShmChannel> accept(const ShmHello& hello,
                                            std::array<Descriptor, kHelloFds> fds,
                                            Descriptor socket,
                                            const TransportLimits& limits);

  [[nodiscard]] bool full() const noexcept { return queue_.size() >= limits_.queued_messages; }
  // Queues and sends as much as there is room for. False: the peer broke the ring. REQUIRES:
  // !full().
  [[nodiscard]] bool send(const Frames& frames);
  [[nodiscard]] bool flush();  // goes on sending; false: the peer broke the ring

  // kNothing: the doorbell rings when there is more. kBroken: the peer sent what it must not.
  enum class Read { kMessage, kNothing, kBroken };
  Read read(Frames& frames);

  // The socket that introduced the two sides; -1 after hang_up(). When it is readable, the peer has
  // memory to introduce, or is at its end, or broke the rules (hears() is false).
  [[nodiscard]] int socket_fd() const noexcept { return socket_.get(); }
  [[nodiscard]] bool hears() { return borrower_.take_regions(socket_.get()); }
  void hang_up() noexcept { socket_.reset(); }

  [[nodiscard]] int doorbell_fd() const noexcept { return own_doorbell_.get(); }
  void clear_doorbell() noexcept;

 private:
  // Precedes every message in the ring.
  struct Prefix {
    std::uint32_t magic = kMagic;
    std::uint32_t header_bytes = 0;
    std::uint64_t payload_bytes = 0;
    Loan loan;                                           // of no region: the payload follows
    static constexpr std::uint32_t kMagic = 0x474d5350;  // "PSMG"
  };
  // Where a message's streaming stands: part 0 is the prefix, 1 the header, 2 the payload.
  struct Progress {
    std::size_t part = 0;
    std::size_t done = 0;  // bytes of that part
  };

  ShmChannel(const std::shared_ptr<SharedMapping>& mapping,
             bool connects,
             Descriptor socket,
             const TransportLimits& limits);
  void ring_peer() noexcept;
  void wake_reader() noexcept;
  [[nodiscard]] std::span<const std::byte> unsent() const;
  [[nodiscard]] std::span<std::byte> unread();
  void start_sending();
  bool start_message();  // the prefix is in: false when it is not acceptable

  const std::shared_ptr<SharedMapping> mapping_;
  const TransportLimits limits_;
  RingWriter writer_;
  RingReader reader_;
  Lender lender_;
  Borrower borrower_;
  Descriptor socket_;
  Descriptor own_doorbell_;
  Descriptor peer_doorbell_;

  std::deque<Frames> queue_;
  Prefix sending_prefix_;  // of queue_.front()
  Progress sent_;
  bool started_ = false;  // sending_prefix_ is that of queue_.front()

  Prefix prefix_;  // of the message that is coming in
  Memory header_;
  Memory payload_;
  Buffer borrowed_;  // instead of payload_
  Progress received_;
};

}  // namespace ps::net
