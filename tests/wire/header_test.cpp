// The data plane's frames: known bytes, round trips, and every rule that decode() checks.
#include "wire/header.h"

#include <cmath>
#include <limits>

#include "support/catch.h"
#include "wire/samples.h"

namespace ps::wire {
namespace {

using Code = DecodeError::Code;
using samples::Bytes;

constexpr const char* kPushFrame =
    "50 53 57 31 01 01 01 07 ef cd ab 89 67 45 23 01 "
    "10 32 54 76 98 ba dc fe 03 00 00 00 02 00 00 03 "
    "05 00 00 00 07 00 00 00 01 00 00 00 20 00 00 00 "
    "29 00 00 00 00 00 00 00 28 00 00 00 00 00 00 00 "
    "0c 00 00 00 00 00 00 00 00 00 00 00 00 00 40 40 "
    "02 00 00 00 14 00 00 00 73 8a 57 e4 d6 11 03 21 "
    "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
    "03 00 00 00 0c 00 00 00 0b 00 00 00 00 00 00 00 "
    "04 00 00 00 00 00 00 00 00 04 00 00 00 00 00 00 "
    "02 00 00 00 08 00 00 00 0b 00 00 00 00 00 00 00 ";
constexpr const char* kPushPayload =
    "00 00 80 3f 00 00 00 c0 00 00 00 3f 00 00 40 40 "
    "00 00 80 3e ";
constexpr const char* kReplyFrame =
    "50 53 57 31 01 01 10 00 ef cd ab 89 67 45 23 01 "
    "10 32 54 76 98 ba dc fe 03 00 00 00 01 00 00 02 "
    "01 00 00 00 07 00 00 00 01 00 00 00 03 00 00 00 "
    "29 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
    "0c 00 00 00 00 00 00 00 00 00 00 00 00 00 c0 3f "
    "01 00 00 00 08 00 00 00 00 00 00 00 64 eb aa 96 "
    "04 00 00 00 00 00 00 00 00 04 00 00 00 00 00 00 "
    "02 00 00 00 08 00 00 00 0c 00 00 00 00 00 00 00 ";
constexpr const char* kReplyPayload = "00 00 40 3f 00 00 c0 bf ";
constexpr const char* kHeartbeatFrame =
    "50 53 57 31 01 01 20 00 ef cd ab 89 67 45 23 01 "
    "10 32 54 76 98 ba dc fe 00 00 00 00 02 00 00 03 "
    "05 00 00 00 07 00 00 00 00 00 00 00 00 00 00 00 "
    "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
    "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
    "00 00 00 00 2d 00 00 00 00 00 00 00 af c5 33 8a ";
constexpr const char* kHeartbeatPayload =
    "84 a4 6b 69 6e 64 a9 68 65 61 72 74 62 65 61 74 "
    "a5 70 68 61 73 65 a4 70 75 73 68 a8 72 65 76 69 "
    "73 69 6f 6e cd 01 2c a4 73 74 65 70 0c ";

std::string hex(const char* spaced) {
  return samples::to_hex(samples::from_hex(spaced));
}

std::string hex(std::span<const std::byte> bytes) {
  return samples::to_hex(bytes);
}

Message decoded(std::span<const std::byte> frame, const Buffer& payload) {
  auto result = decode(frame, payload);
  const auto* error = std::get_if<DecodeError>(&result);
  INFO((error == nullptr ? "" : to_string(*error)));
  REQUIRE(error == nullptr);
  return std::get<Message>(std::move(result));
}

DecodeError refused(std::span<const std::byte> frame, const Buffer& payload) {
  const auto result = decode(frame, payload);
  REQUIRE(std::holds_alternative<DecodeError>(result));
  return std::get<DecodeError>(result);
}

void check_same(const Message& first, const Message& second) {
  CHECK(first.header == second.header);
  CHECK(first.segments == second.segments);
  CHECK(hex(first.payload.bytes()) == hex(second.payload.bytes()));
}

// What decode() says of `message` after `change` was made to its frame behind the encoder's back,
// with checksums that fit.
template <class Change>
DecodeError after(const Message& message, Change change) {
  Bytes frame = encode_header(message, false);
  change(frame);
  samples::sign(frame, message.payload.bytes());
  return refused(frame, message.payload);
}

DecodeError after_byte(const Message& message, std::size_t at, unsigned value) {
  return after(message, [&](Bytes& frame) { frame[at] = static_cast<std::byte>(value); });
}

DecodeError after_weight(double weight) {
  return after(samples::push(), [weight](Bytes& frame) {
    const auto bits = std::bit_cast<std::uint64_t>(weight);
    for (std::size_t i = 0; i < 8; ++i) frame[72 + i] = static_cast<std::byte>(bits >> (8 * i));
  });
}

void check_error(const DecodeError& error,
                 Code code,
                 std::uint64_t offset,
                 std::uint64_t expected,
                 std::uint64_t got) {
  INFO(to_string(error));
  CHECK(error.code == code);
  CHECK(error.offset == offset);
  CHECK(error.expected == expected);
  CHECK(error.got == got);
}

TEST_CASE("header: messages have the bytes that docs/protocol.md shows", "[unit]") {
  const Message push = samples::push();
  CHECK(hex(encode_header(push, true)) == hex(kPushFrame));
  CHECK(hex(push.payload.bytes()) == hex(kPushPayload));
  const Message reply = samples::reply();
  CHECK(hex(encode_header(reply, false)) == hex(kReplyFrame));
  CHECK(hex(reply.payload.bytes()) == hex(kReplyPayload));
  const Message heartbeat = samples::heartbeat();
  CHECK(hex(encode_header(heartbeat, false)) == hex(kHeartbeatFrame));
  CHECK(hex(heartbeat.payload.bytes()) == hex(kHeartbeatPayload));
}

TEST_CASE("header: the known bytes decode to the messages they were made from", "[unit]") {
  const Buffer payload = Buffer::copy_of(samples::from_hex(kPushPayload));
  const Message push = decoded(samples::from_hex(kPushFrame), payload);
  check_same(push, samples::push());
  CHECK(push.payload.data() == payload.data());  // not a copy
  check_same(
      decoded(samples::from_hex(kReplyFrame), Buffer::copy_of(samples::from_hex(kReplyPayload))),
      samples::reply());
}

TEST_CASE("header: random messages survive the round trip", "[unit]") {
  const std::uint64_t seed = GENERATE(range<std::uint64_t>(0, 200));
  CAPTURE(seed);
  Random random(seed);
  Message message = samples::random_message(random);
  const bool checksum = random.chance(0.5);
  const Bytes frame = encode_header(message, checksum);
  CHECK(frame.size() == kHeaderBytes + message.segments.size() * kSegmentBytes);
  message.header.flags = static_cast<std::uint8_t>(
      checksum ? message.header.flags | kFlagPayloadCrc : message.header.flags & ~kFlagPayloadCrc);
  check_same(decoded(frame, message.payload), message);
}

TEST_CASE("header: the largest message fits", "[unit]") {
  Message message;
  message.header.type = Type::kAssign;
  constexpr auto kCount = static_cast<std::uint32_t>(kMaxPayloadBytes / kMaxSegments / 4);
  for (std::uint32_t i = 0; i < kMaxSegments; ++i) {
    message.segments.push_back(
        {.parameter = i, .offset = UINT64_MAX - kCount, .count = kCount, .bytes = kCount * 4});
  }
  message.payload = Memory::allocate(kMaxPayloadBytes).buffer();
  const Bytes frame = encode_header(message, true);
  CHECK(frame.size() == 65632);
  message.header.flags = kFlagPayloadCrc;
  const Message back = decoded(frame, message.payload);
  CHECK(back.header == message.header);
  CHECK(back.segments == message.segments);
}

TEST_CASE("header: frames that are not ours are refused by what is wrong first", "[unit]") {
  const Message push = samples::push();
  Bytes frame = encode_header(push, true);
  check_error(refused({}, push.payload), Code::kTruncated, 0, 96, 0);
  frame[4] = std::byte{2};  // not signed: another major version may have another checksum
  check_error(refused(frame, push.payload), Code::kVersion, 4, 1, 2);
  check_error(refused(std::span(frame).first(8), push.payload), Code::kVersion, 4, 1, 2);
  CHECK_THAT(to_string(refused(frame, push.payload)),
             Catch::Contains("protocol version 1 expected, 2 came") &&
                 Catch::Contains("same major version"));
  frame[0] = std::byte{0x51};
  check_error(refused(frame, push.payload), Code::kMagic, 0, 0x31575350, 0x31575351);
}

TEST_CASE("header: a newer minor version is read, and its unknown bits are kept", "[unit]") {
  Message message = samples::push();
  message.header.minor = 9;
  message.header.flags = 0xF0;
  check_same(decoded(encode_header(message, false), message.payload), message);
}

TEST_CASE("header: unknown types, statuses, roles and impossible weights are refused", "[unit]") {
  const Message push = samples::push();
  for (const unsigned type : {0U, 6U, 15U, 17U, 31U, 33U, 255U}) {
    check_error(after_byte(push, 6, type), Code::kType, 6, 0, type);
  }
  check_error(after_byte(push, 26, 11), Code::kStatus, 26, 10, 11);
  check_error(after_byte(push, 27, 1), Code::kStatus, 26, 10, 256);
  for (const unsigned role : {0U, 4U, 255U}) {
    check_error(after_byte(push, 31, role), Code::kSender, 28, 0, role);
  }
  for (const double weight : {std::nan(""), std::numeric_limits<double>::infinity(), -1.0}) {
    check_error(after_weight(weight), Code::kWeight, 72, 0, std::bit_cast<std::uint64_t>(weight));
  }
  CHECK_THAT(to_string(after_weight(-1)), Catch::Contains("-1.0"));
}

TEST_CASE("header: lengths that do not agree are refused", "[unit]") {
  const Message push = samples::push();
  check_error(after_byte(push, 80, 3), Code::kSegmentCount, 80, 96 + 3 * 32, 160);
  check_error(after_byte(push, 83, 0xFF), Code::kSegmentCount, 80, 96 + 0xFF000002ULL * 32, 160);
  check_error(after(push, [](Bytes& frame) { frame.resize(frame.size() - 32); }),
              Code::kSegmentCount, 80, 160, 128);
  check_error(after(push, [](Bytes& frame) { frame.push_back({}); }), Code::kSegmentCount, 80, 160,
              161);
  check_error(after(push, [](Bytes& frame) { frame.resize(1 << 20); }), Code::kSegmentCount, 65632,
              65632, 1 << 20);
  check_error(after_byte(push, 84, 19), Code::kPayloadLength, 84, 19, 20);
  const Bytes frame = encode_header(push, false);
  check_error(refused(frame, push.payload.slice(0, 16)), Code::kPayloadLength, 84, 20, 16);
  check_error(refused(frame, Memory::allocate(kMaxPayloadBytes + 1).buffer()), Code::kPayloadLength,
              84, kMaxPayloadBytes, kMaxPayloadBytes + 1);
}

TEST_CASE("header: a segment says which part of a chunk it is, and of what numbers", "[unit]") {
  const Message message = samples::restoring();
  const Bytes frame = encode_header(message, false);
  CHECK(frame[kHeaderBytes + 4] == std::byte{1});
  CHECK(frame[kHeaderBytes + 6] == std::byte{3});
  CHECK(frame[kHeaderBytes + kSegmentBytes + 6] == std::byte{17});
  check_same(decoded(frame, message.payload), message);
}

TEST_CASE("header: segments that do not fit are refused", "[unit]") {
  const Message push = samples::push();
  constexpr std::size_t kSecond = kHeaderBytes + kSegmentBytes;
  check_error(after_byte(push, kSecond + 4, 7), Code::kSegment, kSecond + 4, 0, 7);
  // 2 elements of 2 bytes; of one and a scale; signs and a scale.
  check_error(after_byte(push, kSecond + 4, 2), Code::kSegment, kSecond + 20, 4, 8);
  check_error(after_byte(push, kSecond + 4, 4), Code::kSegment, kSecond + 20, 6, 8);
  check_error(after_byte(push, kSecond + 4, 6), Code::kSegment, kSecond + 20, 5, 8);
  // Elements of 8 bytes.
  check_error(after_byte(push, kSecond + 4, 1), Code::kSegment, kSecond + 20, 16, 8);
  check_error(after_byte(push, kSecond + 16, 0), Code::kSegment, kSecond + 16, 1, 0);
  check_error(after_byte(push, kSecond + 16, 3), Code::kSegment, kSecond + 20, 12, 8);
  check_error(after_byte(push, kSecond + 20, 12), Code::kSegment, kSecond + 20, 8, 12);
  const auto far = after(push, [](Bytes& frame) {
    std::fill_n(frame.begin() + kSecond + 8, 8,
                std::byte{0xFF});  // its last element is beyond 2^64
  });
  check_error(far, Code::kSegment, kSecond + 8, UINT64_MAX - 2, UINT64_MAX);
  const auto huge = after(push, [](Bytes& frame) {
    std::fill_n(frame.begin() + kSecond + 16, 4, std::byte{0xFF});  // count * 4 is beyond 2^32
  });
  check_error(huge, Code::kSegment, kSecond + 20, 4ULL * UINT32_MAX, 8);
}

TEST_CASE("header: the payload must be the segments' elements and nothing else", "[unit]") {
  const Message push = samples::push();
  const Buffer longer = Memory::allocate(24).buffer();
  Bytes frame = encode_header(push, false);
  frame[84] = std::byte{24};
  samples::sign(frame, longer.bytes());
  check_error(refused(frame, longer), Code::kSegment, 84, 20, 24);

  Message bare = push;  // no segments: nothing to say what the payload is
  bare.segments.clear();
  bare.payload = {};
  frame = encode_header(bare, false);
  frame[84] = std::byte{24};
  samples::sign(frame, longer.bytes());
  check_error(refused(frame, longer), Code::kSegment, 84, 0, 24);
}

TEST_CASE("header: requests for weights name segments without bytes", "[unit]") {
  Message pull = samples::push();
  pull.header.type = GENERATE(Type::kPull, Type::kQuery);
  pull.payload = {};
  for (Segment& segment : pull.segments) segment.bytes = 0;
  CHECK(decoded(encode_header(pull, true), {}).segments == pull.segments);
  check_error(after_byte(pull, kHeaderBytes + 20, 12), Code::kSegment, kHeaderBytes + 20, 0, 12);

  const Buffer payload = Memory::allocate(20).buffer();
  Bytes frame = encode_header(pull, false);
  frame[84] = std::byte{20};
  samples::sign(frame, payload.bytes());
  check_error(refused(frame, payload), Code::kSegment, 84, 0, 20);
}

TEST_CASE("header: a reply carries all its segments' elements, or none, or a text", "[unit]") {
  Message reply = samples::reply();
  reply.payload = {};
  reply.segments[0].bytes = 0;
  CHECK(decoded(encode_header(reply, false), {}).segments == reply.segments);
  check_error(after_byte(reply, kHeaderBytes + 20, 8), Code::kSegment, kHeaderBytes + 20, 0, 8);
  check_error(after_byte(samples::reply(), kHeaderBytes + 20, 0), Code::kSegment, kHeaderBytes + 20,
              8, 0);
  reply.segments.clear();
  reply.header.status = Status::kRefused;
  reply.payload = Buffer::copy_of(samples::from_hex("6e 6f"));
  CHECK(decoded(encode_header(reply, true), reply.payload).payload.size() == 2);
}

TEST_CASE("header: a control message has no segments", "[unit]") {
  Message push = samples::push();
  check_error(after_byte(push, 6, static_cast<unsigned>(Type::kControl)), Code::kSegmentCount, 80,
              96, 160);
}

TEST_CASE("header: every code has a sentence and every name is its own", "[unit]") {
  for (int code = 0; code <= static_cast<int>(Code::kWeight); ++code) {
    const std::string text = to_string(DecodeError{static_cast<Code>(code), 12, 34, 56});
    CAPTURE(code, text);
    CHECK(text.size() > 12);
    CHECK(text != to_string(DecodeError{static_cast<Code>(99)}));
    if (static_cast<Code>(code) != Code::kControl && static_cast<Code>(code) != Code::kWeight) {
      CHECK_THAT(text, Catch::Contains("56") || Catch::Contains("0x00000038"));
    }
  }
  CHECK_THAT(to_string(DecodeError{Code::kControl, 0, 0, 0, "step: missing"}),
             Catch::Contains("step: missing"));
  CHECK(to_string(Status::kNotReady) == std::string("not ready"));
  CHECK(to_string(Type::kPushPull) == std::string("push_pull"));
}

}  // namespace
}  // namespace ps::wire
