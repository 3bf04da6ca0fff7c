// Codecs on a GPU: the CPU's bytes, values and refusals.
#include "kernels/codec_cuda.h"

#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/codec_cases.h"
#include "kernels/gpu_arrays.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr std::size_t kGrid = std::size_t{4096} * 256;  // threads of the largest grid

// Encodes on both devices and compares; `skipped` bytes in front of every array. Returns the bytes.
Bytes require_same_encoding(const Sender& sender,
                            const Values& values,
                            const Values& old_residual,
                            std::size_t skipped,
                            StreamView stream) {
  CAPTURE(sender.codec, sender.k, sender.feedback, sender.rounding, skipped);
  Values residual = old_residual;
  const Bytes expected =
      encode_on(best_isa(), sender, values, sender.feedback ? &residual : nullptr);
  const OnGpu<float> gpu_values(values, stream, skipped);
  const OnGpu<float> gpu_residual(old_residual, stream, skipped);
  const OnGpu<std::byte> encoded(Bytes(expected.size(), std::byte{0xA5}), stream, skipped);
  const OnGpu<std::byte> workspace(
      Bytes(gpu::encode_workspace(sender.codec, values.size()), std::byte{0xFF}), stream);
  gpu::encode({.codec = sender.codec,
               .count = values.size(),
               .k = sender.k,
               .values = gpu_values.data(),
               .residual = sender.feedback ? gpu_residual.data() : nullptr,
               .encoded = encoded.data(),
               .rounding = sender.rounding,
               .seed = sender.seed,
               .workspace = workspace.data()},
              stream);
  REQUIRE(encoded.host() == expected);
  REQUIRE(equal_bytes(gpu_residual.host(), residual));
  return expected;
}

// Decodes on both devices and compares values and errors.
void require_same_decoding(Codec what,
                           const Bytes& bytes,
                           const Values& before,
                           DecodeInto into,
                           std::size_t skipped,
                           StreamView stream) {
  CAPTURE(what, into, skipped);
  Values expected = before;
  const CodecError expected_error = decode_on(best_isa(), what, bytes, expected, into, 0.3F);
  const OnGpu<std::byte> encoded(bytes, stream, skipped);
  const OnGpu<float> values(before, stream, skipped);
  const OnGpu<std::uint32_t> error({0}, stream);
  const CodecError at_once = gpu::decode({.codec = what,
                                          .count = before.size(),
                                          .encoded = encoded.data(),
                                          .bytes = bytes.size(),
                                          .values = values.data(),
                                          .weight = 0.3F,
                                          .into = into},
                                         error.data(), stream);
  const CodecError later = static_cast<CodecError>(error.host()[0]);
  CHECK((at_once == CodecError::kNone ? later : at_once) == expected_error);
  REQUIRE(equal_bytes(values.host(), expected));
}

TEST_CASE("codec_cuda: the CPU's bytes, residuals and values", "[unit]") {
  const Gpu device;
  if (!device) return;
  const Stream stream(0);
  const std::size_t size = GENERATE(0U, 1U, 31U, 257U, 4099U);
  const std::size_t skipped = GENERATE(0U, 4U, 8U);
  const Values values = gradient_like(size, 1);
  const Values residual = gradient_like(size, 2);
  for (const Sender& sender : all_senders(size)) {
    const Bytes bytes = require_same_encoding(sender, values, residual, skipped, stream);
    for (const DecodeInto into : {DecodeInto::kValues, DecodeInto::kSum}) {
      require_same_decoding(sender.codec, bytes, residual, into, skipped, stream);
    }
  }
}

TEST_CASE("codec_cuda: sizes larger than a grid", "[unit][large]") {
  const Gpu device;
  if (!device) return;
  const Stream stream(0);
  const Codec what = GENERATE(Codec::kFp16, Codec::kInt8, Codec::kTopK, Codec::kSign);
  const std::size_t size = 4 * kGrid + 1031;
  const Values values = gradient_like(size, 1);
  const Values residual = gradient_like(size, 2);
  const Sender sender{
      .codec = what, .k = size / 1000, .feedback = true, .rounding = Rounding::kStochastic};
  const Bytes bytes = require_same_encoding(sender, values, residual, 0, stream);
  require_same_decoding(what, bytes, values, DecodeInto::kSum, 0, stream);
}

TEST_CASE("codec_cuda: blocks larger than a grid", "[unit][large]") {
  const Gpu device;
  if (!device) return;
  const Stream stream(0);
  const std::size_t size = 256 * kGrid / kInt8Block * 8 + 77;  // a warp a block: two turns
  const Values values = gradient_like(size, 1);
  require_same_encoding({.codec = Codec::kInt8}, values, Values(size), 4, stream);
}

TEST_CASE("codec_cuda: top-k with many equal magnitudes", "[unit]") {
  const Gpu device;
  if (!device) return;
  const Stream stream(0);
  constexpr std::size_t kSize = 20011;
  Values values(kSize);
  SECTION("all zero") {}
  SECTION("all equal") {
    values.assign(kSize, -0.5F);
  }
  SECTION("few values") {
    for (std::size_t i = 0; i < kSize; ++i) values[i] = static_cast<float>(i % 5) - 2.0F;
  }
  SECTION("equal but for the last bits") {
    for (std::size_t i = 0; i < kSize; ++i) {
      values[i] = float_of(0x3F800000U + static_cast<std::uint32_t>(i * 7919 % 1500));
    }
  }
  for (const std::size_t k : {std::size_t{1}, std::size_t{4096}, std::size_t{5000}, kSize - 1}) {
    for (const bool feedback : {false, true}) {
      const Sender sender{.codec = Codec::kTopK, .k = k, .feedback = feedback};
      require_same_encoding(sender, values, Values(kSize), 0, stream);
    }
  }
}

TEST_CASE("codec_cuda: what is not finite is sent as on the CPU", "[unit]") {
  const Gpu device;
  if (!device) return;
  const Stream stream(0);
  Values values = gradient_like(4099, 1);
  values[3] = values[2000] = std::numeric_limits<float>::infinity();
  values[700] = -std::numeric_limits<float>::infinity();
  values[4098] = std::numeric_limits<float>::max();
  for (const Codec what : {Codec::kFp16, Codec::kBf16, Codec::kInt8, Codec::kTopK, Codec::kSign}) {
    for (const std::size_t k : {0U, 1U, 2U, 10U}) {
      const Sender sender{.codec = what, .k = k, .feedback = true};
      require_same_encoding(sender, values, Values(values.size()), 0, stream);
    }
  }
}

TEST_CASE("codec_cuda: hostile bytes are refused as on the CPU, and nothing is written", "[unit]") {
  const Gpu device;
  if (!device) return;
  const Stream stream(0);
  const Values values = gradient_like(2050, 1);
  const Values before(values.size(), 3.0F);
  const DecodeInto into = GENERATE(DecodeInto::kValues, DecodeInto::kSum);
  const auto compare = [&](Codec what, const Bytes& bytes) {
    require_same_decoding(what, bytes, before, into, 0, stream);
  };
  for (const Codec what : {Codec::kInt8, Codec::kSign}) {
    for (const float scale : {kNan, -1.0F, std::numeric_limits<float>::max()}) {
      Bytes bytes = encode_on(best_isa(), {.codec = what}, values, nullptr);
      set_word(bytes, 1, scale);
      compare(what, bytes);
    }
    compare(what, Bytes(5));
  }
  const Sender top{.codec = Codec::kTopK, .k = 10};
  for (const std::uint32_t index : {0U, 2050U, 0xFFFFFFFFU}) {
    Bytes bytes = encode_on(best_isa(), top, values, nullptr);
    set_word(bytes, 4, index);
    compare(Codec::kTopK, bytes);
  }
  compare(Codec::kTopK, Bytes(8 * 2051));
  compare(static_cast<Codec>(99), Bytes(8));
}

TEST_CASE("codec_cuda: after a refusal the same word refuses all", "[unit]") {
  const Gpu device;
  if (!device) return;
  const Stream stream(0);
  const OnGpu<std::uint32_t> error({static_cast<std::uint32_t>(CodecError::kScale)}, stream);
  const OnGpu<std::byte> encoded(Bytes(200), stream);
  const OnGpu<float> values(Values(100, 3.0F), stream);
  const DecodePass pass{
      .count = 100, .encoded = encoded.data(), .bytes = 200, .values = values.data()};
  CHECK(gpu::decode(pass, error.data(), stream) == CodecError::kNone);
  CHECK(values.host() == Values(100, 3.0F));
}

}  // namespace
}  // namespace ps::kernels
