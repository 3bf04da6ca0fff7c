// Sizes of encoded values, and the tables of codecs by instruction set. Compiled without extra
// flags.
#include "kernels/codec.h"

#include "base/random.h"
#include "kernels/codec_top_cpu.h"

namespace ps::kernels {

PS_ISA_DISPATCH(CodecOps, codec)

std::size_t encoded_bytes(Codec codec, std::size_t count, std::size_t k) noexcept {
  switch (codec) {
    case Codec::kFp16:
    case Codec::kBf16:
      return 2 * count;
    case Codec::kInt8:
      return 4 * ((count + kInt8Block - 1) / kInt8Block) + count;
    case Codec::kTopK:
      return 8 * k;
    case Codec::kSign:
      return 4 * ((count + kSignBlock - 1) / kSignBlock) + (count + 7) / 8;
  }
  return 0;
}

std::size_t encode_workspace(Codec codec, std::size_t count, std::size_t k) noexcept {
  return codec == Codec::kTopK ? top_workspace(count, k).bytes : 0;
}

std::uint64_t message_seed(std::uint64_t step, std::uint64_t first, std::uint64_t source) noexcept {
  const auto words = philox(step, first, source);
  return std::uint64_t{words[1]} << 32 | words[0];
}

CodecError check_size(const DecodePass& pass) noexcept {
  switch (pass.codec) {
    case Codec::kFp16:
    case Codec::kBf16:
    case Codec::kInt8:
    case Codec::kSign:
      return pass.bytes == encoded_bytes(pass.codec, pass.count) ? CodecError::kNone
                                                                 : CodecError::kSize;
    case Codec::kTopK:
      return pass.bytes % 8 == 0 && pass.bytes / 8 <= pass.count ? CodecError::kNone
                                                                 : CodecError::kSize;
  }
  return CodecError::kSize;
}

}  // namespace ps::kernels
