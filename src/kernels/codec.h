// Gradients in fewer bytes, for the wire: fp16, bf16, int8 with a scale per block, top-k, one bit.
// The arithmetic is in codec_math.h; the same input gives the same bytes on every instruction set
// and on GPUs (codec_cuda.h), but for the payloads of NaNs in what is decoded.
//
// Formats, little endian, of n values:
//   kFp16, kBf16  n u16: IEEE binary16, or a float32's upper half, rounded to nearest even; what is
//                 too large becomes an infinity, a NaN stays one.
//   kInt8         ceil(n / 256) f32 scales, one a block; n i8 codes q. A value is scale * q. Scales
//                 have 17 significant bits and q seven, so the product is exact.
//   kTopK         k u32 indices, ascending; k f32 values: the k largest magnitudes (of equal ones
//                 the first), unrounded. The others are 0.
//   kSign         ceil(n / 1024) f32 scales, one a block; ceil(n / 8) bytes: value i is bit i % 8
//   of
//                 byte i / 8; scale, or -scale where the bit is set. A scale is the mean magnitude
//                 of its block. Bits behind the last are 0.
// An infinity or a NaN in the input stays visible: as itself, or (kInt8, kSign) as its block's
// scale, which is a NaN then and which decoding refuses.
//
// Error feedback: with a residual, what is encoded is p = value + residual, and the residual
// becomes p less what was sent; 0 where that is not finite. Over steps, what was sent plus the
// residual is the sum of the values. A residual belongs to one sender and one array; a repeated
// message must be the old bytes, not a second encoding.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"

namespace ps::kernels {

// Numbers for the wire, after those of wire::Codec.
enum class Codec : std::uint16_t { kFp16 = 2, kBf16 = 3, kInt8 = 4, kTopK = 5, kSign = 6 };

inline constexpr std::size_t kInt8Block = 256;
inline constexpr std::size_t kSignBlock = 1024;

// What `count` values take; `k`, at most count, is kTopK's alone.
[[nodiscard]] std::size_t encoded_bytes(Codec codec, std::size_t count, std::size_t k = 0) noexcept;

enum class Rounding : std::uint8_t {
  kNearest,     // a tie goes up
  kStochastic,  // up with the probability that makes the mean right: Philox keyed by (seed, index)
};

// REQUIRES: kTopK: count < 2^32, k <= count. On the CPU all pointers but the workspace may lie at
// any byte address; nothing overlaps.
struct EncodePass {
  Codec codec = Codec::kFp16;
  std::size_t count = 0;
  std::size_t k = 0;  // kTopK: how many are sent
  const float* values = nullptr;
  float* residual = nullptr;     // or null: no error feedback
  std::byte* encoded = nullptr;  // encoded_bytes()
  // kInt8's. A seed is for one message: (step, array, sender) in some mixture.
  Rounding rounding = Rounding::kNearest;
  std::uint64_t seed = 0;
  // kTopK's: encode_workspace() bytes, aligned to 8.
  std::byte* workspace = nullptr;
};

[[nodiscard]] std::size_t encode_workspace(Codec codec, std::size_t count, std::size_t k) noexcept;

// The seed for the values from `first` on of what `source` (a worker and an array) sends at `step`:
// no two messages round alike, and a job that is run again does.
[[nodiscard]] std::uint64_t message_seed(std::uint64_t step,
                                         std::uint64_t first,
                                         std::uint64_t source) noexcept;

// What decoding has against bytes.
enum class CodecError : std::uint32_t {
  kNone = 0,
  kSize,   // not a size that `count` values have; or an unknown codec
  kScale,  // negative, no number, or so large that a value could overflow
  kIndex,  // not below count, or not above the one before
};

enum class DecodeInto : std::uint8_t {
  kValues,  // values[i] = weight * x
  kSum,     // values[i] += weight * x (kTopK: where something was sent), as update_math.h adds
};

// On the CPU `encoded` and `values` may lie at any byte address.
struct DecodePass {
  Codec codec = Codec::kFp16;
  std::size_t count = 0;
  const std::byte* encoded = nullptr;
  std::size_t bytes = 0;
  float* values = nullptr;
  float weight = 1.0F;
  DecodeInto into = DecodeInto::kValues;
};

struct CodecOps {
  void (*encode)(const EncodePass& pass);
  // Any bytes may come. On an error nothing is written.
  CodecError (*decode)(const DecodePass& pass);
};

const CodecOps& codec(Isa isa);

// Whether `bytes` can be what `count` values take; what both devices' decode() looks at first.
[[nodiscard]] CodecError check_size(const DecodePass& pass) noexcept;

}  // namespace ps::kernels
