// Bytes of float32 per second that each codec encodes and decodes, one thread, beside memcpy of the
// same array. Values are normal, as gradients nearly are. On a shared host run them interleaved:
// --benchmark_enable_random_interleaving=true --benchmark_repetitions=9.
#include <benchmark/benchmark.h>
#include <cstdint>
#include <cstring>

#include "base/buffer.h"
#include "base/random.h"
#include "kernels/codec.h"
#include "kernels/isa.h"

namespace {

using namespace ps;  // NOLINT: a program of its own
using kernels::Codec;

constexpr std::size_t kElements = std::size_t{4} << 20;  // 16 MiB

Memory normal_values() {
  Memory memory = Memory::allocate(kElements * sizeof(float));
  Random random(1);
  for (float& x : memory.as<float>()) x = static_cast<float>(1e-3 * random.normal());
  return memory;
}

void count_bytes(benchmark::State& state) {
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>(kElements * sizeof(float)));
}

void copy(benchmark::State& state) {
  const Memory from = normal_values();
  const Memory to = Memory::allocate(kElements * sizeof(float));
  for (auto _ : state) {
    std::memcpy(to.as<float>().data(), from.as<float>().data(), kElements * sizeof(float));
    benchmark::ClobberMemory();
  }
  count_bytes(state);
}

struct Message {
  Message(Codec codec, std::size_t sent)
      : encoded(Memory::allocate(kernels::encoded_bytes(codec, kElements, sent))),
        workspace(Memory::allocate(kernels::encode_workspace(codec, kElements, sent) + 8)) {
    pass.codec = codec;
    pass.count = kElements;
    pass.k = sent;
    pass.values = values.as<float>().data();
    pass.encoded = encoded.as<std::byte>().data();
    pass.workspace = workspace.as<std::byte>().data();
  }

  Memory values = normal_values();
  Memory residual = Memory::allocate(kElements * sizeof(float));
  Memory encoded;
  Memory workspace;
  kernels::EncodePass pass;
};

// range(0): with error feedback; range(1), top-k's: one value in so many is sent.
void encode(benchmark::State& state, Codec codec, kernels::Rounding rounding) {
  const std::size_t sent =
      codec == Codec::kTopK ? kElements / static_cast<std::size_t>(state.range(1)) : 0;
  Message message(codec, sent);
  message.pass.rounding = rounding;
  if (state.range(0) != 0) message.pass.residual = message.residual.as<float>().data();
  const kernels::CodecOps& ops = kernels::codec(kernels::best_isa());
  for (auto _ : state) {
    ++message.pass.seed;
    ops.encode(message.pass);
    benchmark::ClobberMemory();
  }
  count_bytes(state);
}

// range(0): added to a sum.
void decode(benchmark::State& state, Codec codec) {
  const std::size_t sent =
      codec == Codec::kTopK ? kElements / static_cast<std::size_t>(state.range(1)) : 0;
  const Message message(codec, sent);
  const kernels::CodecOps& ops = kernels::codec(kernels::best_isa());
  ops.encode(message.pass);
  const kernels::DecodePass pass{
      .codec = codec,
      .count = kElements,
      .encoded = message.pass.encoded,
      .bytes = kernels::encoded_bytes(codec, kElements, sent),
      .values = message.values.as<float>().data(),
      .into = state.range(0) != 0 ? kernels::DecodeInto::kSum : kernels::DecodeInto::kValues};
  for (auto _ : state) {
    benchmark::DoNotOptimize(ops.decode(pass));
    benchmark::ClobberMemory();
  }
  count_bytes(state);
}

using kernels::Rounding;

BENCHMARK(copy);
BENCHMARK_CAPTURE(encode, fp16, Codec::kFp16, Rounding::kNearest)
    ->ArgName("residual")
    ->Arg(0)
    ->Arg(1);
BENCHMARK_CAPTURE(encode, bf16, Codec::kBf16, Rounding::kNearest)
    ->ArgName("residual")
    ->Arg(0)
    ->Arg(1);
BENCHMARK_CAPTURE(encode, int8, Codec::kInt8, Rounding::kNearest)
    ->ArgName("residual")
    ->Arg(0)
    ->Arg(1);
BENCHMARK_CAPTURE(encode, int8_stochastic, Codec::kInt8, Rounding::kStochastic)
    ->ArgName("residual")
    ->Arg(0)
    ->Arg(1);
BENCHMARK_CAPTURE(encode, sign, Codec::kSign, Rounding::kNearest)
    ->ArgName("residual")
    ->Arg(0)
    ->Arg(1);
BENCHMARK_CAPTURE(encode, top, Codec::kTopK, Rounding::kNearest)
    ->ArgNames({"residual", "one_in"})
    ->ArgsProduct({{0, 1}, {10, 100, 1000}});
BENCHMARK_CAPTURE(decode, fp16, Codec::kFp16)->ArgName("sum")->Arg(0)->Arg(1);
BENCHMARK_CAPTURE(decode, bf16, Codec::kBf16)->ArgName("sum")->Arg(0)->Arg(1);
BENCHMARK_CAPTURE(decode, int8, Codec::kInt8)->ArgName("sum")->Arg(0)->Arg(1);
BENCHMARK_CAPTURE(decode, sign, Codec::kSign)->ArgName("sum")->Arg(0)->Arg(1);
BENCHMARK_CAPTURE(decode, top, Codec::kTopK)
    ->ArgNames({"sum", "one_in"})
    ->ArgsProduct({{0, 1}, {100, 1000}});

}  // namespace
