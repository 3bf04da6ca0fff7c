#include <algorithm>

#include "base/assert.h"
#include "fuzz/targets.h"
#include "wire/header.h"
#include "wire/json_sax.h"
#include "wire/samples.h"

namespace ps::fuzz {
namespace {

constexpr std::size_t kSign = 0x8000;

void check_error(const wire::DecodeError& error, std::size_t frame_bytes) {
  PS_ASSERT(wire::is_utf8(wire::to_string(error)), "an error that cannot be printed");
  PS_ASSERT(error.offset <= frame_bytes, "an error outside the frame");
}

void check_message(const wire::Message& message, std::size_t frame_bytes) {
  PS_ASSERT(frame_bytes == wire::kHeaderBytes + message.segments.size() * wire::kSegmentBytes,
            "a frame with bytes of no meaning");
  const bool checksum = (message.header.flags & wire::kFlagPayloadCrc) != 0;
  const auto frame = wire::encode_header(message, checksum);  // asserts the message's rules
  const auto again = wire::decode(frame, message.payload);
  const auto* same = std::get_if<wire::Message>(&again);
  PS_ASSERT(same != nullptr, "decoded, but not what it encodes to");
  PS_ASSERT(same->header == message.header && same->segments == message.segments,
            "changed by a round trip");
}

}  // namespace

void header(std::span<const std::byte> input) {
  if (input.size() < 2) return;
  const std::size_t number =
      std::to_integer<std::size_t>(input[0]) | std::to_integer<std::size_t>(input[1]) << 8;
  input = input.subspan(2);
  const std::size_t length = std::min(number & ~kSign, input.size());
  // Copies on the heap, so that AddressSanitizer notices one byte too far.
  std::vector<std::byte> frame(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(length));
  const Buffer payload = Buffer::copy_of(input.subspan(length));
  if ((number & kSign) != 0) wire::samples::sign(frame, payload.bytes());

  const auto result = wire::decode(frame, payload);
  if (const auto* error = std::get_if<wire::DecodeError>(&result)) {
    check_error(*error, frame.size());
  } else {
    check_message(std::get<wire::Message>(result), frame.size());
  }
}

}  // namespace ps::fuzz
