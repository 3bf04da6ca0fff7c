// Compressed pushes at a server: every byte may be wrong.
#include "server/decode.h"

#include <cstring>
#include <limits>

#include "base/random.h"
#include "support/catch.h"

namespace ps::server {
namespace {

using Bytes = std::vector<std::byte>;

template <class T>
void put(Bytes& bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof(value));
}

wire::Message message_of(wire::Codec codec, std::uint32_t count, const Bytes& bytes) {
  wire::Message message;
  message.header.type = wire::Type::kPush;
  message.segments = {
      {.codec = codec, .count = count, .bytes = static_cast<std::uint32_t>(bytes.size())}};
  message.payload = Buffer::copy_of(bytes);
  return message;
}

constexpr Compression kSome{.push = Compression::Push::kFp16};

std::string fault_of(wire::Codec codec, std::uint32_t count, const Bytes& bytes) {
  BlockPool pool;
  wire::Message message = message_of(codec, count, bytes);
  const wire::Message before = message;
  std::string fault = decode(message, kSome, pool);
  if (!fault.empty()) {
    CHECK(message.segments == before.segments);
    CHECK(message.payload.data() == before.payload.data());
  }
  return fault;
}

}  // namespace

TEST_CASE("decode: fp32 alone is not copied", "[unit]") {
  BlockPool pool;
  wire::Message message = message_of(wire::Codec::kFloat32, 2, Bytes(8));
  const std::byte* before = message.payload.data();
  CHECK(decode(message, kSome, pool).empty());
  CHECK(message.payload.data() == before);
  CHECK(pool.blocks() == 0);
}

TEST_CASE("decode: segments of several codecs follow each other as fp32", "[unit]") {
  Bytes bytes(2 + 8 + 4);
  put(bytes, 0, std::uint16_t{0x3C00});  // fp16: 1
  put(bytes, 2, std::uint32_t{1});       // top-k of two: index 1
  put(bytes, 6, 2.5F);                   // and its value
  put(bytes, 10, -3.0F);                 // fp32
  wire::Message message = message_of(wire::Codec::kFp16, 1, bytes);
  message.segments[0].bytes = 2;
  message.segments.push_back({.codec = wire::Codec::kTopK, .count = 2, .bytes = 8});
  message.segments.push_back({.codec = wire::Codec::kFloat32, .count = 1, .bytes = 4});
  CHECK(decoded_bytes(message.segments) == 16);
  BlockPool pool;
  REQUIRE(decode(message, kSome, pool).empty());
  std::vector<float> values(4);
  REQUIRE(message.payload.size() == 16);
  std::memcpy(values.data(), message.payload.data(), 16);
  CHECK(values == std::vector<float>{1.0F, 0.0F, 2.5F, -3.0F});
  CHECK(message.segments[1].bytes == 8);
  CHECK(message.segments[2].codec == wire::Codec::kFloat32);
}

TEST_CASE("decode: nonsense is told from a gradient that is not finite", "[unit]") {
  Bytes top(16);
  put(top, 0, std::uint32_t{3});
  put(top, 4, std::uint32_t{3});
  CHECK_THAT(fault_of(wire::Codec::kTopK, 10, top), Catch::Contains("not above the one before"));
  put(top, 4, std::uint32_t{10});
  CHECK_THAT(fault_of(wire::Codec::kTopK, 10, top), Catch::Contains("not below 10"));
  CHECK_THAT(fault_of(wire::Codec::kTopK, 1, top), Catch::Contains("cannot be 1 values"));
  CHECK_THAT(fault_of(wire::Codec::kInt8, 3, Bytes(8)), Catch::Contains("8 bytes cannot be"));
  for (const wire::Codec codec : {wire::Codec::kInt8, wire::Codec::kSign}) {
    Bytes bytes(codec == wire::Codec::kInt8 ? 4 + 3 : 4 + 1);
    put(bytes, 0, -1.0F);
    CHECK_THAT(fault_of(codec, 3, bytes), Catch::Contains("a scale is negative"));
    put(bytes, 0, std::numeric_limits<float>::infinity());
    CHECK_THAT(fault_of(codec, 3, bytes), Catch::Contains("too large"));
    put(bytes, 0, std::numeric_limits<float>::quiet_NaN());
    CHECK(fault_of(codec, 3, bytes).empty());  // the message is refused as not finite, later
  }
}

TEST_CASE("decode: any bytes give values or a fault", "[unit]") {
  const std::uint64_t seed = GENERATE(1U, 2U, 3U);
  CAPTURE(seed);
  Random random(seed);
  int good = 0;
  for (int i = 0; i < 3000; ++i) {
    const auto codec = static_cast<wire::Codec>(2 + random.below(5));
    const auto count = static_cast<std::uint32_t>(1 + random.below(600));
    const bool sparse = codec == wire::Codec::kTopK;
    Bytes bytes(wire::encoded_bytes(codec, sparse ? 1 + random.below(count) : count));
    if (random.chance(0.1)) bytes.resize(random.below(2000));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next_u32());
    if (random.chance(0.7) && bytes.size() > 12) {  // scales that may be
      for (std::size_t at = 0; at < 12; at += 4) put(bytes, at, 0.5F);
    }
    good += fault_of(codec, count, bytes).empty() ? 1 : 0;
  }
  CHECK(good > 100);
}

}  // namespace ps::server
