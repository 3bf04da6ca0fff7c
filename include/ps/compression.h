// Fewer bytes on the wire: how a model's gradients travel to the servers, and its weights back. An
// option of the model, equal on all workers. What each costs and when it pays: docs/compression.md.
#pragma once

#include <cstdint>
#include <string_view>

namespace ps {

// Only ParameterKind::kTrained is compressed, and only in modes where gradients travel and the
// servers apply the optimizer: sync, async and ssp. Sums, optimizer and weights stay fp32 on the
// servers. What checkpoint(), pull() and the first weights bring is not rounded, either.
struct Compression {
  enum class Push : std::uint8_t {
    kNone,            // fp32, 4 bytes a value
    kFp16,            // 2 bytes; beyond 65504 it is an infinity, which costs what Finite says
    kBf16,            // 2 bytes
    kInt8,            // 1 byte and 4 for each 256, rounded to nearest, with error feedback
    kInt8Stochastic,  // likewise, rounded at random so that the mean is right, without feedback
    kTopK,            // 8 bytes for each of the largest `top` of a chunk's values; error feedback
    kSign,            // 1 bit and 4 bytes for each 1024; error feedback
  };
  enum class Pull : std::uint8_t { kNone, kFp16, kBf16 };

  Push push = Push::kNone;
  Pull pull = Pull::kNone;  // of the weights that push_pull() brings
  float top = 0.01F;        // kTopK: in (0, 1]; at least one value of a chunk is sent

  bool operator==(const Compression&) const = default;
};

// kTopK and kSign leave chunks of fewer values as they are: biases and the like, which weigh little
// and suffer most.
inline constexpr std::uint32_t kSmallestSparseChunk = 1024;

// From "none", "fp16", "bf16", "int8", "int8-stochastic", "topk", "topk:0.001" or "sign", and from
// "none", "fp16" or "bf16". Throws ps::Error(kInvalidArgument) for anything else.
Compression compression_of(std::string_view push, std::string_view pull = "none");

}  // namespace ps
