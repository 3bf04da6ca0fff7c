#include "wire/codec.h"

namespace ps::wire {
namespace {

constexpr std::uint64_t kTopKEntry = 8;  // an index and a value
constexpr std::uint64_t kScale = 4;
constexpr std::uint64_t kInt8Block = 256;
constexpr std::uint64_t kSignBlock = 1024;

constexpr std::uint64_t blocks(std::uint64_t count, std::uint64_t block) {
  return (count + block - 1) / block;
}

}  // namespace

bool known(Codec codec) noexcept {
  return codec <= Codec::kSign;
}

std::uint64_t encoded_bytes(Codec codec, std::uint64_t count) noexcept {
  switch (codec) {
    case Codec::kFloat32:
      return sizeof(float) * count;
    case Codec::kUint64:
      return sizeof(std::uint64_t) * count;
    case Codec::kFp16:
    case Codec::kBf16:
      return sizeof(std::uint16_t) * count;
    case Codec::kInt8:
      return kScale * blocks(count, kInt8Block) + count;
    case Codec::kTopK:
      return kTopKEntry * count;
    case Codec::kSign:
      return kScale * blocks(count, kSignBlock) + blocks(count, 8);
  }
  return 0;
}

bool can_take(Codec codec, std::uint64_t count, std::uint64_t bytes) noexcept {
  if (codec != Codec::kTopK) return bytes == encoded_bytes(codec, count);
  return bytes > 0 && bytes % kTopKEntry == 0 && bytes <= encoded_bytes(codec, count);
}

std::uint64_t plain_bytes(Codec codec, std::uint64_t count) noexcept {
  return encoded_bytes(codec == Codec::kUint64 ? codec : Codec::kFloat32, count);
}

Codec codec_of(Compression::Push push) noexcept {
  switch (push) {
    case Compression::Push::kNone:
      return Codec::kFloat32;
    case Compression::Push::kFp16:
      return Codec::kFp16;
    case Compression::Push::kBf16:
      return Codec::kBf16;
    case Compression::Push::kInt8:
    case Compression::Push::kInt8Stochastic:
      return Codec::kInt8;
    case Compression::Push::kTopK:
      return Codec::kTopK;
    case Compression::Push::kSign:
      return Codec::kSign;
  }
  return Codec::kFloat32;
}

Codec codec_of(Compression::Pull pull) noexcept {
  switch (pull) {
    case Compression::Pull::kNone:
      return Codec::kFloat32;
    case Compression::Pull::kFp16:
      return Codec::kFp16;
    case Compression::Pull::kBf16:
      return Codec::kBf16;
  }
  return Codec::kFloat32;
}

}  // namespace ps::wire
