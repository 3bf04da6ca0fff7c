// Messages of all codecs on the CPU: error feedback over steps, one result on every instruction
// set, and hostile bytes.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/codec.h"
#include "kernels/codec_cases.h"
#include "kernels/codec_math.h"
#include "kernels/reference.h"
#include "kernels/update_cases.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kLargest = std::numeric_limits<float>::max();

TEST_CASE("codec: what was sent and the residual are the sum of the values", "[unit]") {
  const Isa isa = any_isa();
  constexpr std::size_t kSize = 3000;
  for (const Sender& sender : all_senders(kSize)) {
    if (!sender.feedback) continue;
    CAPTURE(to_string(isa), sender.codec, sender.k);
    Values residual(kSize);
    std::vector<double> truth(kSize);
    std::vector<double> sent(kSize);
    for (std::uint64_t step = 0; step < 30; ++step) {
      Sender now = sender;
      now.seed = step;
      const Values values = gradient_like(kSize, 100 + step);
      Values decoded(kSize);
      REQUIRE(decode_on(isa, sender.codec, encode_on(isa, now, values, &residual), decoded) ==
              CodecError::kNone);
      for (std::size_t i = 0; i < kSize; ++i) {
        truth[i] += static_cast<double>(values[i]);
        sent[i] += static_cast<double>(decoded[i]);
      }
    }
    for (std::size_t i = 0; i < kSize; ++i) {
      REQUIRE(std::abs(sent[i] + static_cast<double>(residual[i]) - truth[i]) < 1e-7);
    }
  }
}

TEST_CASE("codec: every instruction set writes the same bytes", "[unit]") {
  const Isa isa = any_isa();
  const std::size_t size = GENERATE(0U, 1U, 31U, 257U, 4099U, 70001U);
  CAPTURE(to_string(isa), size);
  const Values values = gradient_like(size, 1);
  for (const Sender& sender : all_senders(size)) {
    CAPTURE(sender.codec, sender.k, sender.feedback, sender.rounding);
    Values residual = gradient_like(size, 2);
    Values expected_residual = residual;
    const Bytes encoded = encode_on(isa, sender, values, sender.feedback ? &residual : nullptr);
    const Bytes expected =
        encode_on(Isa::kScalar, sender, values, sender.feedback ? &expected_residual : nullptr);
    REQUIRE(encoded == expected);
    REQUIRE(same_bits(residual, expected_residual));

    for (const DecodeInto into : {DecodeInto::kValues, DecodeInto::kSum}) {
      Values decoded = values;
      Values expected_values = values;
      REQUIRE(decode_on(isa, sender.codec, encoded, decoded, into, 0.3F) == CodecError::kNone);
      REQUIRE(decode_on(Isa::kScalar, sender.codec, encoded, expected_values, into, 0.3F) ==
              CodecError::kNone);
      REQUIRE(same_bits(decoded, expected_values));
    }
  }
}

TEST_CASE("codec: on every instruction set each float becomes the same half", "[unit]") {
  const Isa isa = any_isa();
  Values values;
  for (std::uint64_t bits = 0; bits < 1ULL << 32; bits += 4093) {  // infinities and NaNs, too
    values.push_back(float_of(static_cast<std::uint32_t>(bits)));
  }
  for (const std::uint32_t bits : {0x7F800000U, 0xFF800000U, 0x7F800001U, 0xFF801000U}) {
    values.push_back(float_of(bits));
  }
  for (const Codec codec : {Codec::kFp16, Codec::kBf16}) {
    const Bytes encoded = encode_on(isa, {.codec = codec}, values, nullptr);
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::uint16_t half = 0;
      std::memcpy(&half, encoded.data() + 2 * i, 2);
      CAPTURE(codec, bits_of(values[i]));
      REQUIRE(half == (codec == Codec::kFp16 ? to_fp16(values[i]) : to_bf16(values[i])));
    }
  }
}

TEST_CASE("codec: a decoded sum is the sum of what is decoded", "[unit]") {
  const Isa isa = any_isa();
  const Values values = gradient_like(4099, 1);
  for (const Sender& sender : all_senders(values.size())) {
    CAPTURE(sender.codec, sender.k);
    const Bytes encoded = encode_on(isa, sender, values, nullptr);
    Values plain(values.size(), kNan);
    REQUIRE(decode_on(isa, sender.codec, encoded, plain) == CodecError::kNone);
    Values sum = random_floats(static_cast<std::int64_t>(values.size()), 8);
    Values expected = sum;
    REQUIRE(decode_on(isa, sender.codec, encoded, sum, DecodeInto::kSum, 2.5F) ==
            CodecError::kNone);
    for (std::size_t i = 0; i < sum.size(); ++i) expected[i] += 2.5F * plain[i];
    CHECK(sum == expected);
  }
}

TEST_CASE("codec: messages may lie at any byte address", "[unit]") {
  const Isa isa = any_isa();
  const std::size_t offset = GENERATE(1U, 2U, 3U);
  const Values values = gradient_like(2050, 1);
  for (const Sender& sender : all_senders(values.size())) {
    const Bytes expected = encode_on(isa, sender, values, nullptr);
    Bytes room(offset + expected.size());
    std::vector<std::uint64_t> workspace(
        encode_workspace(sender.codec, values.size(), sender.k) / 8 + 1);
    codec(isa).encode({.codec = sender.codec,
                       .count = values.size(),
                       .k = sender.k,
                       .values = values.data(),
                       .encoded = room.data() + offset,
                       .rounding = sender.rounding,
                       .seed = sender.seed,
                       .workspace = reinterpret_cast<std::byte*>(workspace.data())});
    CHECK(std::equal(expected.begin(), expected.end(),
                     room.begin() + static_cast<std::ptrdiff_t>(offset)));
    Values decoded(values.size(), kNan);
    Values expected_values(values.size());
    CHECK(codec(isa).decode({.codec = sender.codec,
                             .count = values.size(),
                             .encoded = room.data() + offset,
                             .bytes = expected.size(),
                             .values = decoded.data()}) == CodecError::kNone);
    CHECK(decode_on(isa, sender.codec, expected, expected_values) == CodecError::kNone);
    CHECK(same_bits(decoded, expected_values));
  }
}

TEST_CASE("codec: what is not finite is seen by the receiver and leaves no residual", "[unit]") {
  const Isa isa = any_isa();
  const float bad = GENERATE(as<float>{}, kInfinity, -kInfinity, kNan);
  const std::size_t where = GENERATE(0U, 700U, 1300U, 2049U);
  Values values = gradient_like(2050, 1);
  values[where] = bad;
  for (const Codec what : {Codec::kFp16, Codec::kBf16, Codec::kInt8, Codec::kTopK, Codec::kSign}) {
    CAPTURE(to_string(isa), what, where, bad);
    Values residual(values.size());
    const Bytes encoded = encode_on(isa, {.codec = what, .k = 20}, values, &residual);
    CHECK(std::all_of(residual.begin(), residual.end(), [](float x) { return std::isfinite(x); }));
    Values decoded(values.size(), 1.0F);
    const CodecError error = decode_on(isa, what, encoded, decoded);
    if (what == Codec::kInt8 || what == Codec::kSign) {
      CHECK(error == CodecError::kScale);
      CHECK(decoded == Values(values.size(), 1.0F));
    } else {
      CHECK(error == CodecError::kNone);
      CHECK_FALSE(std::isfinite(decoded[where]));
    }
  }
}

TEST_CASE("codec: a message of another size is refused", "[unit]") {
  const Isa isa = any_isa();
  const std::size_t count = GENERATE(0U, 1U, 256U, 1025U);
  for (const Codec what : {Codec::kFp16, Codec::kBf16, Codec::kInt8, Codec::kSign}) {
    const std::size_t right = encoded_bytes(what, count);
    for (const std::size_t bytes : {right + 1, right + 4, right == 0 ? 9 : right - 1}) {
      Values values(count, 3.0F);
      CHECK(decode_on(isa, what, Bytes(bytes), values) == CodecError::kSize);
      CHECK(values == Values(count, 3.0F));
    }
  }
  Values values(count, 3.0F);
  CHECK(decode_on(isa, Codec::kTopK, Bytes(8 * count + 8), values) == CodecError::kSize);
  CHECK(decode_on(isa, Codec::kTopK, Bytes(7), values) == CodecError::kSize);
  CHECK(decode_on(isa, static_cast<Codec>(0), Bytes(4 * count), values) == CodecError::kSize);
  CHECK(decode_on(isa, static_cast<Codec>(77), Bytes(4 * count), values) == CodecError::kSize);
  CHECK(values == Values(count, 3.0F));
}

TEST_CASE("codec: hostile scales and indices are refused before anything is written", "[unit]") {
  const Isa isa = any_isa();
  const Values values = gradient_like(2050, 1);
  const Values before(values.size(), 3.0F);
  const auto refused = [&](Codec what, const Bytes& bytes, CodecError expected) {
    for (const DecodeInto into : {DecodeInto::kValues, DecodeInto::kSum}) {
      Values decoded = before;
      CHECK(decode_on(isa, what, bytes, decoded, into) == expected);
      CHECK(decoded == before);
    }
  };
  for (const float scale : {kNan, kInfinity, -1.0F, -0.0F, -kInfinity}) {
    for (const std::size_t block : {0U, 1U, 2U}) {
      for (const Codec what : {Codec::kInt8, Codec::kSign}) {
        Bytes bytes = encode_on(isa, {.codec = what}, values, nullptr);
        set_word(bytes, block, scale);
        refused(what, bytes, CodecError::kScale);
      }
    }
  }
  Bytes bytes = encode_on(isa, {.codec = Codec::kInt8}, values, nullptr);
  set_word(bytes, 8, kLargest / 127);
  refused(Codec::kInt8, bytes, CodecError::kScale);

  const Sender top{.codec = Codec::kTopK, .k = 10};
  for (const std::size_t at : {0U, 4U, 9U}) {
    for (const std::uint32_t index : {2050U, 0xFFFFFFFFU, 0x80000000U}) {
      bytes = encode_on(isa, top, values, nullptr);
      set_word(bytes, at, index);
      refused(Codec::kTopK, bytes, CodecError::kIndex);
    }
  }
  bytes = encode_on(isa, top, values, nullptr);
  set_word(bytes, 5, word_at<std::uint32_t>(bytes, 4));  // twice the same
  refused(Codec::kTopK, bytes, CodecError::kIndex);
}

TEST_CASE("codec: random bytes are decoded or refused", "[unit]") {
  const Isa isa = any_isa();
  Random random(9);
  for (int round = 0; round < 300; ++round) {
    Values values(1 + random.below(1500));
    for (const Codec what :
         {Codec::kFp16, Codec::kBf16, Codec::kInt8, Codec::kTopK, Codec::kSign}) {
      Bytes bytes(encoded_bytes(what, values.size(), std::min<std::size_t>(values.size(), 2)));
      for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.below(256));
      const CodecError error = decode_on(isa, what, bytes, values);
      if (what == Codec::kFp16 || what == Codec::kBf16) CHECK(error == CodecError::kNone);
    }
  }
}

}  // namespace
}  // namespace ps::kernels
