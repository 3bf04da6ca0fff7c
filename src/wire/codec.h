// How the elements of a segment are encoded, and in how many bytes. The formats themselves are the
// kernels' (kernels/codec.h), whose sizes these repeat: this folder knows no arithmetic.
#pragma once

#include <cstddef>
#include <cstdint>

#include <ps/compression.h>

namespace ps::wire {

enum class Codec : std::uint16_t {
  kFloat32 = 0,
  kUint64 = 1,
  // Gradients of a push, and, the first two, weights of an answer (ModelOptions::compression).
  kFp16 = 2,
  kBf16 = 3,
  kInt8 = 4,
  kTopK = 5,
  kSign = 6,
};

[[nodiscard]] bool known(Codec codec) noexcept;

// What `count` elements take; kTopK: at most.
[[nodiscard]] std::uint64_t encoded_bytes(Codec codec, std::uint64_t count) noexcept;
// Whether `count` elements can take `bytes`.
[[nodiscard]] bool can_take(Codec codec, std::uint64_t count, std::uint64_t bytes) noexcept;
// What they take in memory: 8 bytes each of kUint64, else 4.
[[nodiscard]] std::uint64_t plain_bytes(Codec codec, std::uint64_t count) noexcept;

[[nodiscard]] Codec codec_of(Compression::Push push) noexcept;
[[nodiscard]] Codec codec_of(Compression::Pull pull) noexcept;

}  // namespace ps::wire
