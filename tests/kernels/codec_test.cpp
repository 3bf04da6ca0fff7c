// What each codec does to numbers: roundings written down by hand, error bounds, the values sent.
// What holds for all of them: codec_bytes_test.cpp.
#include "kernels/codec.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/codec_cases.h"
#include "kernels/reference.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kLargest = std::numeric_limits<float>::max();

// --- 16 bits

double value_of_fp16(std::uint16_t half) {
  const int exponent = half >> 10 & 0x1F;
  const double mantissa = half & 0x3FF;
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024.0 + mantissa, exponent - 25);
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

TEST_CASE("codec: every fp16 number is decoded exactly and comes back", "[unit]") {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float x = from_fp16(half);
    const bool special = (half & 0x7C00) == 0x7C00;
    if (!special) REQUIRE(static_cast<double>(x) == value_of_fp16(half));
    if (special && (half & 0x3FF) == 0) REQUIRE(std::isinf(x));
    const bool nan = special && (half & 0x3FF) != 0;
    if (nan) REQUIRE(std::isnan(x));
    REQUIRE(std::signbit(x) == ((half & 0x8000) != 0));
    REQUIRE(to_fp16(x) == (nan ? half | 0x200 : half));
  }
}

TEST_CASE("codec: every bf16 number is a float's upper half and comes back", "[unit]") {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float x = from_bf16(half);
    REQUIRE(bits_of(x) == bits << 16);
    REQUIRE(to_bf16(x) == (std::isnan(x) ? half | 0x40 : half));
  }
}

TEST_CASE("codec: fp16 rounds to nearest, ties to even", "[unit]") {
  const auto [x, half] = GENERATE(table<float, int>({
      {0.1F, 0x2E66},
      {6e-8F, 0x0001},
      {65504.0F, 0x7BFF},
      {65519.996F, 0x7BFF},
      {65520.0F, 0x7C00},
      {1e30F, 0x7C00},
      {-65536.0F, 0xFC00},
      {kInfinity, 0x7C00},
      {-kInfinity, 0xFC00},
      {-0.0F, 0x8000},
      {1.0F + 0x1p-11F, 0x3C00},             // ties
      {1.0F + 0x3p-11F, 0x3C02},             //
      {1.0F + 0x1p-11F + 0x1p-23F, 0x3C01},  // and just above
      {2.0F - 0x1p-11F, 0x4000},             // a carry into the exponent
      {0x1p-24F, 0x0001},
      {0x1p-25F, 0x0000},  // ties among the subnormals
      {0x3p-25F, 0x0002},
      {0x1.000002p-25F, 0x0001},
      {0x1p-14F, 0x0400},
      {0x1p-14F - 0x1p-25F, 0x0400},  // up to the smallest normal
      {0x1p-14F - 0x1p-24F, 0x03FF},
      {0x1p-149F, 0x0000},
      {-0x1p-149F, 0x8000},
  }));
  CAPTURE(x);
  CHECK(to_fp16(x) == half);
}

TEST_CASE("codec: bf16 rounds to nearest, ties to even", "[unit]") {
  const auto [x, half] = GENERATE(table<float, int>({
      {0.1F, 0x3DCD},
      {-2.7182817F, 0xC02E},
      {65504.0F, 0x4780},
      {1.0F + 0x1p-8F, 0x3F80},
      {1.0F + 0x3p-8F, 0x3F82},
      {kLargest, 0x7F80},
      {-kInfinity, 0xFF80},
      {0x1p-149F, 0x0000},
      {0x1p-133F, 0x0001},  // its smallest
      {0x1p-134F, 0x0000},
      {0x3p-134F, 0x0002},
      {-0.0F, 0x8000},
  }));
  CAPTURE(x);
  CHECK(to_bf16(x) == half);
}

TEST_CASE("codec: a NaN stays one, whatever half its payload is in", "[unit]") {
  for (const std::uint32_t bits : {0x7F800001U, 0x7FC00000U, 0xFFFFFFFFU, 0x7F802000U}) {
    CHECK(std::isnan(from_fp16(to_fp16(float_of(bits)))));
    CHECK(std::isnan(from_bf16(to_bf16(float_of(bits)))));
  }
}

TEST_CASE("codec: no fp16 number is nearer than the one chosen", "[unit]") {
  Random random(3);
  for (int i = 0; i < 20000; ++i) {
    const auto x = static_cast<float>(
        std::ldexp(random.uniform(-1, 1), static_cast<int>(random.below(42)) - 26));
    const std::uint16_t half = to_fp16(x);
    if ((half & 0x7FFF) >= 0x7BFF) continue;
    const double error = std::abs(value_of_fp16(half) - static_cast<double>(x));
    REQUIRE(error <=
            std::abs(value_of_fp16(static_cast<std::uint16_t>(half + 1)) - static_cast<double>(x)));
    if ((half & 0x7FFF) > 0) {
      REQUIRE(error <= std::abs(value_of_fp16(static_cast<std::uint16_t>(half - 1)) -
                                static_cast<double>(x)));
    }
  }
}

// --- int8

TEST_CASE("codec: int8 takes a 127th of a block's largest magnitude", "[unit]") {
  const Isa isa = any_isa();
  const Bytes encoded = encode_on(isa, {.codec = Codec::kInt8}, {0.3F, -0.4F, 1.2F}, nullptr);
  REQUIRE(encoded.size() == 7);
  const float scale = word_at<float>(encoded, 0);
  CHECK(scale == Approx(0.00944881890).epsilon(2e-5));
  CHECK((bits_of(scale) & 127U) == 0);
  CHECK(static_cast<int>(encoded[4]) == 32);
  CHECK(static_cast<int>(encoded[5]) == 256 - 42);
  CHECK(static_cast<int>(encoded[6]) == 127);
  // floor(x + u) for another u
  CHECK(round_by(0.3F / scale, 0.8F) == 31);
  CHECK(round_by(-0.4F / scale, 0.8F) == -43);
  CHECK(round_by(1.2F / scale, 0.8F) == 127);
}

TEST_CASE("codec: int8 errs by half a step at most, and its products are exact", "[unit]") {
  const Isa isa = any_isa();
  const double size = GENERATE(1e-44, 1e-40, 1e-30, 1e-3, 1.0, 3.4e38);
  CAPTURE(to_string(isa), size);
  Values values = random_floats(1000, 5, -size, size);
  values[300] = kLargest < size ? kLargest : static_cast<float>(size);
  Values decoded(values.size());
  const Bytes encoded = encode_on(isa, {.codec = Codec::kInt8}, values, nullptr);
  REQUIRE(decode_on(isa, Codec::kInt8, encoded, decoded) == CodecError::kNone);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double scale = word_at<float>(encoded, i / 256);
    const int code = static_cast<signed char>(encoded[16 + i]);
    REQUIRE(static_cast<double>(decoded[i]) == scale * code);
    // The largest float32 lie beyond 127 times the largest scale.
    const double cap = std::max(std::abs(static_cast<double>(values[i])) - 127 * scale, 0.0);
    const double error = std::abs(static_cast<double>(decoded[i]) - static_cast<double>(values[i]));
    REQUIRE(error <= 0.5000001 * scale + cap + 0x1p-143);
  }
}

TEST_CASE("codec: stochastic rounding errs by a step at most, and by nothing in the mean",
          "[unit]") {
  const Isa isa = any_isa();
  Values values = random_floats(256, 5);
  values[0] = 1.0F;
  std::vector<double> sums(values.size());
  constexpr int kTimes = 4000;
  for (int time = 0; time < kTimes; ++time) {
    const Sender sender{.codec = Codec::kInt8,
                        .rounding = Rounding::kStochastic,
                        .seed = static_cast<std::uint64_t>(time)};
    Values decoded(values.size());
    REQUIRE(decode_on(isa, Codec::kInt8, encode_on(isa, sender, values, nullptr), decoded) ==
            CodecError::kNone);
    for (std::size_t i = 0; i < values.size(); ++i) {
      REQUIRE(std::abs(decoded[i] - values[i]) <= 1.0001F / 127);
      sums[i] += static_cast<double>(decoded[i]);
    }
  }
  // A step's deviation is half of it at most: five deviations of the mean.
  const double bound = 5 * 0.5 / 127 / std::sqrt(kTimes);
  for (std::size_t i = 0; i < values.size(); ++i) {
    REQUIRE(std::abs(sums[i] / kTimes - static_cast<double>(values[i])) <= bound);
  }
}

TEST_CASE("codec: random words are base/random.h's", "[unit]") {
  for (const std::uint64_t key : {0ULL, 7ULL, 0xFEDCBA9876543210ULL}) {
    for (const std::uint64_t counter : {0ULL, 1ULL, 0x123456789ABCDEFULL}) {
      const auto expected = philox(key, counter, 0);
      const PhiloxWords words = philox_words(key, counter);
      for (std::size_t i = 0; i < 4; ++i) CHECK(words.at[i] == expected[i]);
    }
  }
}

// --- One bit

TEST_CASE("codec: a sign and the mean magnitude, with error feedback", "[unit]") {
  const Isa isa = any_isa();
  const std::vector<Values> gradients{
      {0.1F, -0.2F, 0.3F}, {-0.05F, 0.4F, 0.0F}, {0.2F, 0.1F, -0.6F}};
  const std::vector<std::vector<double>> expected{{0.98, -1.98, 0.48},
                                                  {1.00166667, -2.00166667, 0.458333333},
                                                  {0.959444444, -2.04388889, 0.500555556}};
  Values weights{1.0F, -2.0F, 0.5F};
  Values residual(3);
  for (std::size_t step = 0; step < 3; ++step) {
    Values scaled = gradients[step];
    for (float& x : scaled) x *= 0.1F;
    const Bytes encoded = encode_on(isa, {.codec = Codec::kSign}, scaled, &residual);
    REQUIRE(encoded.size() == 5);
    REQUIRE(decode_on(isa, Codec::kSign, encoded, weights, DecodeInto::kSum, -1.0F) ==
            CodecError::kNone);
    CHECK(worst_error(weights, expected[step]) < 1e-6);
  }
}

TEST_CASE("codec: sign bits lie eight a byte, the first in the lowest", "[unit]") {
  const Isa isa = any_isa();
  Values values(1030, 1.0F);
  for (const std::size_t i : {1U, 8U, 1023U, 1025U}) values[i] = -3.0F;
  const Bytes encoded = encode_on(isa, {.codec = Codec::kSign}, values, nullptr);
  REQUIRE(encoded.size() == 8 + 129);
  CHECK(word_at<float>(encoded, 0) == (1021.0F + 9.0F) / 1024.0F);
  CHECK(word_at<float>(encoded, 1) == 8.0F / 6.0F);
  CHECK(encoded[8] == std::byte{0x02});
  CHECK(encoded[9] == std::byte{0x01});
  CHECK(encoded[8 + 127] == std::byte{0x80});
  CHECK(encoded[8 + 128] == std::byte{0x02});
}

// --- Top-k

void require_top(Isa isa, const Values& p, std::size_t k) {
  const std::vector<std::uint32_t> indices = top_indices(p, k);
  Values residual(p.size());
  const Sender sender{.codec = Codec::kTopK, .k = k};
  const Bytes plain = encode_on(isa, sender, p, nullptr);
  const Bytes fed_back = encode_on(isa, sender, p, &residual);
  REQUIRE(plain.size() == 8 * k);
  Values kept = p;
  for (std::size_t i = 0; i < k; ++i) {
    REQUIRE(word_at<std::uint32_t>(plain, i) == indices[i]);
    REQUIRE(word_at<std::uint32_t>(plain, k + i) == bits_of(p[indices[i]]));
    REQUIRE(word_at<std::uint32_t>(fed_back, i) == indices[i]);
    kept[indices[i]] = 0.0F;
  }
  for (std::size_t i = 0; i < p.size(); ++i) {
    REQUIRE(residual[i] == (std::isfinite(kept[i]) ? kept[i] : 0.0F));
  }
}

TEST_CASE("codec: top-k sends exactly the k largest, the first of equal ones", "[unit]") {
  const Isa isa = any_isa();
  const std::size_t size = GENERATE(0U, 1U, 31U, 257U, 4099U, 100003U);
  CAPTURE(to_string(isa), size);
  const Values values = gradient_like(size, 3);
  for (const std::size_t k :
       {std::size_t{0}, std::size_t{1}, size / 1000, size / 10, size - 1, size}) {
    CAPTURE(k);
    if (k <= size) require_top(isa, values, k);
  }
}

TEST_CASE("codec: top-k is exact where its sample misleads", "[unit]") {
  const Isa isa = any_isa();
  constexpr std::size_t kSize = 16384 * 8;  // every eighth is looked at
  Values values = random_floats(kSize, 4);
  SECTION("all values are equal") {
    values.assign(kSize, -0.5F);
  }
  SECTION("all are zero") {
    values.assign(kSize, 0.0F);
  }
  SECTION("few are not zero") {
    values.assign(kSize, 0.0F);
    values[77] = values[kSize - 1] = 1e-30F;
  }
  SECTION("the largest lie where it looks") {
    for (std::size_t i = 0; i < kSize; i += 8) values[i] *= 100.0F;
  }
  SECTION("the largest lie where it does not look") {
    for (std::size_t i = 0; i < kSize; ++i) values[i] *= i % 8 == 0 ? 0.01F : 1.0F;
  }
  SECTION("some are not finite") {
    for (std::size_t i = 5; i < kSize; i += 1000) values[i] = i % 2 == 0 ? kNan : -kInfinity;
  }
  for (const std::size_t k : {std::size_t{3}, kSize / 1000, kSize / 50}) {
    CAPTURE(to_string(isa), k);
    require_top(isa, values, k);
  }
}

TEST_CASE("codec: top-k with momentum is deep gradient compression", "[unit]") {
  const Isa isa = any_isa();
  const std::vector<Values> gradients{
      {0.1F, -0.2F, 0.3F}, {-0.05F, 0.4F, 0.0F}, {0.2F, 0.1F, -0.6F}};
  const std::uint32_t expected_index[] = {2, 0, 2};
  const float expected_value[] = {0.3F, 0.14F, -0.6F};
  const std::vector<double> last_u{0.2, 0.298, 0.0};
  const std::vector<double> last_v{0.2, 0.318, 0.0};
  Values u(3);
  Values v(3);
  // The second step's largest is 0.22 + ... of index 1 only once it has been added up twice.
  for (std::size_t step = 0; step < 3; ++step) {
    for (std::size_t i = 0; i < 3; ++i) u[i] = 0.9F * u[i] + gradients[step][i];
    const Bytes encoded = encode_on(isa, {.codec = Codec::kTopK, .k = 1}, u, &v);
    CHECK(word_at<std::uint32_t>(encoded, 0) == expected_index[step]);
    CHECK(word_at<float>(encoded, 1) == Approx(expected_value[step]));
    u[word_at<std::uint32_t>(encoded, 0)] = 0.0F;
  }
  CHECK(worst_error(u, last_u) < 1e-6);
  CHECK(worst_error(v, last_v) < 1e-6);
}

}  // namespace
}  // namespace ps::kernels
