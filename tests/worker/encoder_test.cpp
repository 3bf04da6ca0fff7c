// Gradients on their way out in fewer bytes: which chunks, what bytes, what is kept for later.
#include "worker/encoder.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "base/random.h"
#include "kernels/codec.h"
#include "server/decode.h"
#include "support/catch.h"

namespace ps::worker {
namespace {

using Floats = std::vector<float>;
using Push = Compression::Push;

Memory memory_of(const Floats& values) {
  const Memory memory = Memory::allocate(values.size() * sizeof(float));
  std::ranges::copy(values, memory.as<float>().begin());
  return memory;
}

// One parameter in one chunk, from a worker to a shard.
struct Road {
  Road(const Compression& how, std::uint32_t elements, std::uint32_t rank = 0)
      : compression(how),
        chunk{.parameter = 0, .offset = 0, .count = elements},
        encoder(how,
                std::vector<wire::ParameterInfo>{
                    {"p", {static_cast<std::int64_t>(elements)}, ParameterKind::kTrained}},
                rank) {}

  wire::Message send(const Floats& gradient) {
    wire::Segment segment{.codec = encoder.codec_of(chunk), .count = chunk.count};
    segment.bytes = encoder.bytes_of(chunk, segment.codec);
    const Memory bytes = Memory::allocate(segment.bytes);
    encoder.encode(segment, step++, memory_of(gradient), bytes.bytes());
    wire::Message message;
    message.header.type = wire::Type::kPush;
    message.segments = {segment};
    message.payload = bytes.buffer();
    return message;
  }
  Floats arrived(wire::Message message) {
    REQUIRE(server::decode(message, compression, pool).empty());
    CHECK(message.segments[0].codec == wire::Codec::kFloat32);
    Floats values(chunk.count);
    REQUIRE(message.payload.size() == values.size() * sizeof(float));
    std::memcpy(values.data(), message.payload.data(), message.payload.size());
    return values;
  }

  Compression compression;
  cluster::Chunk chunk;
  Encoder encoder;
  BlockPool pool;
  std::uint64_t step = 0;
};

Floats random_gradient(Random& random, std::size_t count) {
  Floats values(count);
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

}  // namespace

TEST_CASE("encoder: fp16 and bf16 send the rounded values and keep nothing", "[unit]") {
  Road fp16({.push = Push::kFp16}, 4);
  const wire::Message message = fp16.send({0.1F, 6e-8F, 65504.0F, -1.0F});
  CHECK(message.payload.size() == 8);
  CHECK(fp16.arrived(message) == Floats{0.0999755859375F, 0x1p-24F, 65504.0F, -1.0F});
  Road bf16({.push = Push::kBf16}, 3);
  CHECK(bf16.arrived(bf16.send({0.1F, -2.7182817F, 65504.0F})) ==
        Floats{0.10009765625F, -2.71875F, 65536.0F});
  CHECK(fp16.encoder.residual(0).empty());
}

TEST_CASE("encoder: int8 sends a step of its block's scale", "[unit]") {
  Road road({.push = Push::kInt8}, 3);
  const wire::Message message = road.send({0.3F, -0.4F, 1.2F});
  CHECK(message.payload.size() == 4 + 3);
  const Floats values = road.arrived(message);
  const float scale = values[2] / 127.0F;
  CHECK(scale == Approx(0.00944881890).epsilon(1e-4));
  CHECK(values[0] == Approx(32 * scale));
  CHECK(values[1] == Approx(-42 * scale));
  CHECK(road.encoder.residual(0)[0] == 0.3F - values[0]);
}

TEST_CASE("encoder: stochastic int8 is right in the mean, and another step rounds another way",
          "[unit]") {
  Road road({.push = Push::kInt8Stochastic}, 256);
  Floats gradient(256, 0.0049F);
  gradient[0] = 1.27F;  // a scale of a hundredth: 0.0049 is rounded to 0 or 0.01
  double sum = 0;
  Floats first;
  for (int i = 0; i < 64; ++i) {
    const Floats values = road.arrived(road.send(gradient));
    if (i == 0) first = values;
    if (i == 1) CHECK(values != first);
    sum = std::accumulate(values.begin() + 1, values.end(), sum);
  }
  CHECK(sum / (64.0 * 255.0) == Approx(0.0049).epsilon(0.03));
  CHECK(road.encoder.residual(0).empty());
  Road again({.push = Push::kInt8Stochastic}, 256);
  CHECK(again.arrived(again.send(gradient)) == first);  // a job that is run again
  Road other({.push = Push::kInt8Stochastic}, 256, 1);
  CHECK(other.arrived(other.send(gradient)) != first);
}

TEST_CASE("encoder: with error feedback, what is not sent arrives later", "[unit]") {
  const Push push = GENERATE(Push::kTopK, Push::kSign, Push::kInt8);
  CAPTURE(static_cast<int>(push));
  constexpr std::uint32_t kCount = 3000;
  Road road({.push = push, .top = 0.01F}, kCount);
  Random random(7);
  std::vector<double> given(kCount);
  std::vector<double> sent(kCount);
  for (int step = 0; step < 40; ++step) {
    const Floats gradient = random_gradient(random, kCount);
    const wire::Message message = road.send(gradient);
    CHECK(message.payload.size() < kCount * sizeof(float) / 3);
    const Floats values = road.arrived(message);
    for (std::uint32_t i = 0; i < kCount; ++i) {
      given[i] += gradient[i];
      sent[i] += values[i];
    }
  }
  double worst = 0;
  for (std::uint32_t i = 0; i < kCount; ++i)
    worst = std::max(worst, std::abs(given[i] - sent[i] - road.encoder.residual(0)[i]));
  CHECK(worst < 1e-4);
}

TEST_CASE("encoder: top-k sends the largest as they are, of gradient and residual together",
          "[unit]") {
  Road road({.push = Push::kTopK, .top = 0.0005F}, 2000);  // one
  Floats gradient(2000);
  gradient[3] = 1.0F;
  gradient[1700] = -1.5F;
  const wire::Message message = road.send(gradient);
  CHECK(message.payload.size() == 8);
  Floats expected(2000);
  expected[1700] = -1.5F;
  CHECK(road.arrived(message) == expected);
  CHECK(road.encoder.residual(0)[3] == 1.0F);
  CHECK(road.encoder.residual(0)[1700] == 0.0F);
  CHECK(road.send(Floats(2000)).payload.size() == 8);
  CHECK(road.encoder.residual(0)[3] == 0.0F);  // now it has gone, too
}

TEST_CASE("encoder: averages, assigned values and small sparse chunks stay fp32", "[unit]") {
  const std::vector<wire::ParameterInfo> table{{"w", {4000}, ParameterKind::kTrained},
                                               {"mean", {4000}, ParameterKind::kAverage},
                                               {"count", {4000}, ParameterKind::kAssign},
                                               {"moved", {4000}, ParameterKind::kAdd}};
  const auto codec = [&](Push push, std::uint32_t parameter, std::uint32_t count) {
    const Encoder encoder({.push = push, .pull = Compression::Pull::kBf16}, table, 0);
    const cluster::Chunk chunk{.parameter = parameter, .offset = 0, .count = count};
    CHECK(encoder.pull_codec_of(chunk) ==
          (parameter == 0 ? wire::Codec::kBf16 : wire::Codec::kFloat32));
    return encoder.codec_of(chunk);
  };
  CHECK(codec(Push::kFp16, 0, 10) == wire::Codec::kFp16);
  for (const std::uint32_t other : {1U, 2U, 3U})
    CHECK(codec(Push::kFp16, other, 4000) == wire::Codec::kFloat32);
  for (const Push sparse : {Push::kTopK, Push::kSign}) {
    CHECK(codec(sparse, 0, kSmallestSparseChunk) != wire::Codec::kFloat32);
    CHECK(codec(sparse, 0, kSmallestSparseChunk - 1) == wire::Codec::kFloat32);
  }
  CHECK(codec(Push::kNone, 0, 4000) == wire::Codec::kFloat32);
}

TEST_CASE("encoder: a gradient that is not finite arrives as such, and leaves no residual of it",
          "[unit]") {
  const Push push = GENERATE(Push::kFp16, Push::kBf16, Push::kInt8, Push::kInt8Stochastic,
                             Push::kTopK, Push::kSign);
  const float bad =
      GENERATE(std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity());
  CAPTURE(static_cast<int>(push), bad);
  Road road({.push = push}, 2000);
  Floats gradient(2000, 1.0F);
  gradient[77] = bad;
  const Floats values = road.arrived(road.send(gradient));
  CHECK_FALSE(std::ranges::all_of(values, [](float x) { return std::isfinite(x); }));
  const auto residual = road.encoder.residual(0);
  CHECK(std::ranges::all_of(residual, [](float x) { return std::isfinite(x); }));
}

TEST_CASE("codecs: the wire and the kernels agree on sizes", "[unit]") {
  for (std::uint64_t codec = 2; codec <= 6; ++codec) {
    for (const std::uint64_t count : {1U, 7U, 8U, 255U, 256U, 257U, 1023U, 1024U, 1025U, 100003U}) {
      CAPTURE(codec, count);
      const auto kernel = static_cast<kernels::Codec>(codec);
      CHECK(wire::encoded_bytes(static_cast<wire::Codec>(codec), count) ==
            kernels::encoded_bytes(kernel, count, count));
    }
  }
}

TEST_CASE("compression: is read from text", "[unit]") {
  CHECK(compression_of("none") == Compression{});
  CHECK(compression_of("int8-stochastic", "bf16") ==
        Compression{.push = Push::kInt8Stochastic, .pull = Compression::Pull::kBf16});
  CHECK(compression_of("topk") == Compression{.push = Push::kTopK});
  CHECK(compression_of("topk:0.25").top == 0.25F);
  CHECK_THROWS_WITH(compression_of("fp8"), Catch::Contains("'fp8' is none of none, fp16"));
  CHECK_THROWS_WITH(compression_of("fp16", "int8"), Catch::Contains("of pull: 'int8'"));
  for (const char* part : {"topk:", "topk:0", "topk:-1", "topk:1.5", "topk:nan", "topk:0.1x"})
    CHECK_THROWS_WITH(compression_of(part), Catch::Contains("topk:0.01"));
}

}  // namespace ps::worker
