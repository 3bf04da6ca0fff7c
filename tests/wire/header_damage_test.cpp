// Frames that were cut short or changed on their way: each must be noticed.
#include <string>

#include "support/catch.h"
#include "wire/header.h"
#include "wire/samples.h"

namespace ps::wire {
namespace {

using samples::Bytes;

bool accepted(std::span<const std::byte> frame, const Buffer& payload) {
  return std::holds_alternative<Message>(decode(frame, payload));
}

// A copy of its own length on the heap, so that AddressSanitizer sees a read past the end.
Bytes cut(std::span<const std::byte> bytes, std::size_t length) {
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)};
}

TEST_CASE("header: a frame cut anywhere is refused", "[unit]") {
  const Message message = GENERATE(samples::push(), samples::reply(), samples::heartbeat());
  const Bytes frame = encode_header(message, true);
  for (std::size_t length = 0; length < frame.size(); ++length) {
    CAPTURE(length);
    const auto result = decode(cut(frame, length), message.payload);
    REQUIRE(std::holds_alternative<DecodeError>(result));
    const auto code = std::get<DecodeError>(result).code;
    CHECK(code ==
          (length < kHeaderBytes ? DecodeError::Code::kTruncated : DecodeError::Code::kChecksum));
  }
  CHECK(accepted(frame, message.payload));
}

TEST_CASE("header: a payload cut anywhere is refused, with or without its checksum", "[unit]") {
  const Message message = GENERATE(samples::push(), samples::reply(), samples::heartbeat());
  const bool checksum = GENERATE(false, true);
  const Bytes frame = encode_header(message, checksum);
  for (std::size_t length = 0; length < message.payload.size(); ++length) {
    CAPTURE(length);
    CHECK_FALSE(accepted(frame, Buffer::copy_of(cut(message.payload.bytes(), length))));
  }
  CHECK(accepted(frame, message.payload));
}

TEST_CASE("header: every flipped bit of header and table is noticed", "[unit]") {
  const Message message = GENERATE(samples::push(), samples::reply(), samples::heartbeat());
  Bytes frame = encode_header(message, false);
  for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
    const auto mask = std::byte{1} << (bit % 8);
    frame[bit / 8] ^= mask;
    CAPTURE(bit);
    CHECK_FALSE(accepted(frame, message.payload));
    frame[bit / 8] ^= mask;
  }
  CHECK(accepted(frame, message.payload));
}

TEST_CASE("header: two flipped bits are noticed too", "[unit]") {
  const Message message = samples::reply();
  const std::uint64_t seed = 7;
  CAPTURE(seed);
  Random random(seed);
  const Bytes frame = encode_header(message, false);
  for (int i = 0; i < 2000; ++i) {
    const std::size_t first = random.below(frame.size() * 8);
    const std::size_t second = random.below(frame.size() * 8);
    if (first == second) continue;
    Bytes damaged = frame;
    damaged[first / 8] ^= std::byte{1} << (first % 8);
    damaged[second / 8] ^= std::byte{1} << (second % 8);
    CAPTURE(first, second);
    CHECK_FALSE(accepted(damaged, message.payload));
  }
}

TEST_CASE("header: a flipped bit of the payload is noticed when it has a checksum", "[unit]") {
  const Message message = samples::push();
  const Bytes checked = encode_header(message, true);
  const Bytes unchecked = encode_header(message, false);
  Bytes payload = cut(message.payload.bytes(), message.payload.size());
  for (std::size_t bit = 0; bit < payload.size() * 8; ++bit) {
    const auto mask = std::byte{1} << (bit % 8);
    payload[bit / 8] ^= mask;
    CAPTURE(bit);
    const auto result = decode(checked, Buffer::copy_of(payload));
    REQUIRE(std::holds_alternative<DecodeError>(result));
    CHECK(std::get<DecodeError>(result).code == DecodeError::Code::kPayloadChecksum);
    CHECK(accepted(unchecked, Buffer::copy_of(payload)));  // that is what the flag buys
    payload[bit / 8] ^= mask;
  }
}

TEST_CASE("header: random bytes are refused, signed or not", "[unit]") {
  const std::uint64_t seed = GENERATE(range<std::uint64_t>(0, 50));
  CAPTURE(seed);
  Random random(seed);
  for (int i = 0; i < 100; ++i) {
    Bytes frame(random.below(300));
    for (std::byte& byte : frame) byte = static_cast<std::byte>(random.next_u32());
    CHECK_FALSE(accepted(frame, {}));
    samples::sign(frame, {});
    CHECK_FALSE(accepted(frame, {}));  // no magic
  }
}

}  // namespace
}  // namespace ps::wire
