// Moves frames, ignorant of their meaning. One Transport belongs to one thread (its node's loop):
// every call comes from there. A message is two frames, a header and a payload (either may be
// empty); it arrives whole or not at all, at most once, and in order per link. Nothing is promised
// about arrival: a link may lose what was sent when its peer dies or its connection breaks; retries
// live above.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/buffer.h"

namespace ps::net {

// One connection, as this side sees it. Links this side opened have the numbers that it chose
// itself (kept below kAcceptedBit); links that peers opened get a number with kAcceptedBit set,
// never used twice.
using Link = std::uint64_t;
inline constexpr Link kAcceptedBit = Link{1} << 63;

struct Frames {
  Buffer header;
  Buffer payload;
};

enum class SendResult {
  kSent,  // taken; the buffers must not change until the peer has answered (or for good, if it
          // never does)
  kFull,  // the peer is slow: nothing was taken, try again when the descriptor wakes up or later
  kUnreachable,  // no such link, or it is gone
};

// Limits that every transport keeps; a peer that sends more is cut off.
struct TransportLimits {
  std::size_t max_header_bytes = std::size_t{64} << 10;
  std::size_t max_payload_bytes = (std::size_t{64} << 20);
  std::size_t queued_messages = 1000;  // per link and direction
};

class Transport {
 public:
  Transport() = default;
  virtual ~Transport() =
      default;  // closes every link without waiting for what is still queued for long
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // Starts to accept links; returns the address that peers connect to, with the port filled in
  // ("tcp://127.0.0.1:*" gives "tcp://127.0.0.1:40123"). At most once.
  // Throws ps::Error(kUnavailable) naming the endpoint when it is taken or not allowed,
  // kInvalidArgument when malformed.
  virtual std::string bind(const std::string& endpoint) = 0;

  // Opens `link` to `endpoint`. Returns at once; the peer may come up later. Calling it for a link
  // that is open closes that one first (how a link whose connection went silent is renewed). Throws
  // ps::Error(kInvalidArgument) when the endpoint is malformed. REQUIRES: link < kAcceptedBit.
  virtual void connect(Link link, const std::string& endpoint) = 0;

  // Forgets the link; nothing more arrives from it.
  virtual void disconnect(Link link) = 0;

  // Never blocks. On kSent the frames are shared, not copied, where the transport can.
  virtual SendResult send(Link link, const Frames& frames) = 0;

  // The next message, if one is there: false otherwise. Never blocks.
  virtual bool receive(Link& from, Frames& frames) = 0;

  // Readable when something may be there. The caller calls receive() until it returns false before
  // it waits on the descriptor, also after each send().
  [[nodiscard]] virtual int fd() const noexcept = 0;

  // True when bytes to that peer cross a network card, so that payloads want a checksum.
  [[nodiscard]] virtual bool needs_checksum(Link link) const noexcept = 0;
};

}  // namespace ps::net
