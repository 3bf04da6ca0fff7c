// The dense codecs on the CPU: block by block through the first-level cache, in plain loops that
// the compiler vectorizes for each instruction set. Top-k: codec_top_cpu.cpp.
#include "kernels/codec_cpu.h"

namespace ps::kernels::PS_ISA {
namespace {

// --- 16 bits

template <class Half>
void encode_half(const EncodePass& pass) {
  PackedHalf* encoded = reinterpret_cast<PackedHalf*>(pass.encoded);
  if (pass.residual == nullptr) return to_halves<Half>(pass.values, pass.count, encoded);
  constexpr std::size_t kBlock = 512;
  alignas(64) float p[kBlock];
  alignas(64) float sent[kBlock];
  for (std::size_t begin = 0; begin < pass.count; begin += kBlock) {
    const std::size_t left = pass.count - begin;
    const std::size_t size = left < kBlock ? left : kBlock;
    const PackedFloat* __restrict values = pass.values + begin;
    PackedFloat* __restrict residual = pass.residual + begin;
    for (std::size_t i = 0; i < size; ++i) p[i] = values[i] + residual[i];
    to_halves<Half>(p, size, encoded + begin);
    from_halves<Half>(encoded + begin, size, sent);
    for (std::size_t i = 0; i < size; ++i) residual[i] = residual_of(p[i], sent[i]);
  }
}

template <class Half, bool kAdd>
void decode_half(const DecodePass& pass) {
  const PackedHalf* __restrict encoded = reinterpret_cast<const PackedHalf*>(pass.encoded);
  PackedFloat* __restrict values = pass.values;
  const float weight = pass.weight;
  for (std::size_t i = 0; i < pass.count; ++i) {
    put<kAdd>(values[i], weight, Half::decode(encoded[i]));
  }
}

// --- Blocks

// p of `size` values from `begin` on, and the largest of their magnitude_bits().
std::uint32_t take_block(const EncodePass& pass, std::size_t begin, std::size_t size, float* p) {
  const PackedFloat* values = pass.values + begin;
  // As signed numbers, of which SSE2 knows the larger.
  std::int32_t largest = 0;
  if (pass.residual == nullptr) {
    for (std::size_t i = 0; i < size; ++i) p[i] = values[i];
  } else {
    const PackedFloat* residual = pass.residual + begin;
    for (std::size_t i = 0; i < size; ++i) p[i] = values[i] + residual[i];
  }
  for (std::size_t i = 0; i < size; ++i) {
    const auto magnitude = static_cast<std::int32_t>(magnitude_bits(p[i]));
    largest = largest < magnitude ? magnitude : largest;
  }
  return static_cast<std::uint32_t>(largest);
}

void drop_residual(const EncodePass& pass, std::size_t begin, std::size_t size) {
  if (pass.residual == nullptr) return;
  PackedFloat* residual = pass.residual + begin;
  for (std::size_t i = 0; i < size; ++i) residual[i] = 0.0F;
}

// --- int8

void fill_rest(std::uint64_t seed, std::size_t block, float* rest) {
  for (std::uint32_t j = 0; j < kPhiloxStride; ++j) {
    const PhiloxWords words = philox_words(seed, std::uint64_t{kPhiloxStride} * block + j);
    rest[j] = rest_of(words.at[0]);
    rest[j + kPhiloxStride] = rest_of(words.at[1]);
    rest[j + 2 * kPhiloxStride] = rest_of(words.at[2]);
    rest[j + 3 * kPhiloxStride] = rest_of(words.at[3]);
  }
}

void encode_int8(const EncodePass& pass) {
  alignas(64) float p[kInt8Block];
  alignas(64) float rest[kInt8Block];
  for (float& x : rest) x = 0.5F;
  const std::size_t blocks = (pass.count + kInt8Block - 1) / kInt8Block;
  PackedWord* scales = reinterpret_cast<PackedWord*>(pass.encoded);
  auto* all_codes = reinterpret_cast<signed char*>(pass.encoded) + 4 * blocks;
  for (std::size_t block = 0; block < blocks; ++block) {
    const std::size_t begin = block * kInt8Block;
    const std::size_t left = pass.count - begin;
    const std::size_t size = left < kInt8Block ? left : kInt8Block;
    const std::uint32_t bits = int8_scale_bits(take_block(pass, begin, size, p));
    scales[block] = bits;
    signed char* __restrict codes = all_codes + begin;
    if (bits == kNanBits) {
      for (std::size_t i = 0; i < size; ++i) codes[i] = 0;
      drop_residual(pass, begin, size);
      continue;
    }
    if (pass.rounding == Rounding::kStochastic) fill_rest(pass.seed, block, rest);
    const float scale = float_of(bits);
    const float divisor = bits == 0 ? 1.0F : scale;  // 0: all are (nearly) 0, and so are the codes
    if (pass.residual == nullptr) {
      for (std::size_t i = 0; i < size; ++i) {
        codes[i] = static_cast<signed char>(round_by(p[i] / divisor, rest[i]));
      }
    } else {
      PackedFloat* __restrict residual = pass.residual + begin;
      for (std::size_t i = 0; i < size; ++i) {
        const std::int32_t code = round_by(p[i] / divisor, rest[i]);
        codes[i] = static_cast<signed char>(code);
        residual[i] = residual_of(p[i], scale * static_cast<float>(code));
      }
    }
  }
}

template <bool kAdd>
CodecError decode_int8(const DecodePass& pass) {
  const std::size_t blocks = (pass.count + kInt8Block - 1) / kInt8Block;
  const PackedWord* scales = reinterpret_cast<const PackedWord*>(pass.encoded);
  const auto* all_codes = reinterpret_cast<const signed char*>(pass.encoded) + 4 * blocks;
  bool good = true;
  for (std::size_t block = 0; block < blocks; ++block) good &= is_int8_scale(scales[block]);
  if (!good) return CodecError::kScale;
  const float weight = pass.weight;
  for (std::size_t block = 0; block < blocks; ++block) {
    const std::size_t begin = block * kInt8Block;
    const std::size_t left = pass.count - begin;
    const std::size_t size = left < kInt8Block ? left : kInt8Block;
    const float scale = float_of(scales[block]);
    const signed char* __restrict codes = all_codes + begin;
    PackedFloat* __restrict values = pass.values + begin;
    for (std::size_t i = 0; i < size; ++i) {
      put<kAdd>(values[i], weight, scale * static_cast<float>(codes[i]));
    }
  }
  return CodecError::kNone;
}

// --- One bit

constexpr std::size_t kWordBits = 32;
constexpr std::size_t kWords = kSignBlock / kWordBits;

// The mean magnitude of a block whose missing values are 0: lane l adds values l, l + 32, ..., and
// the lanes are added as a tree.
float mean_magnitude(const float* p, std::size_t size) {
  float lanes[kWordBits] = {};
  for (std::size_t row = 0; row < kWords; ++row) {
    for (std::size_t lane = 0; lane < kWordBits; ++lane) {
      lanes[lane] += float_of(magnitude_bits(p[row * kWordBits + lane]));
    }
  }
  for (std::size_t half = kWordBits / 2; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0] / static_cast<float>(static_cast<std::int32_t>(size));
}

void encode_sign(const EncodePass& pass) {
  alignas(64) float p[kSignBlock];
  const std::size_t blocks = (pass.count + kSignBlock - 1) / kSignBlock;
  PackedWord* scales = reinterpret_cast<PackedWord*>(pass.encoded);
  std::byte* bytes = pass.encoded + 4 * blocks;
  for (std::size_t block = 0; block < blocks; ++block, bytes += kSignBlock / 8) {
    const std::size_t begin = block * kSignBlock;
    const std::size_t left = pass.count - begin;
    const std::size_t size = left < kSignBlock ? left : kSignBlock;
    take_block(pass, begin, size, p);
    for (std::size_t i = size; i < kSignBlock; ++i) p[i] = 0.0F;
    const std::uint32_t mean = bits_of(mean_magnitude(p, size));
    const bool finite = mean < kInfinityBits;
    scales[block] = finite ? mean : kNanBits;

    std::uint32_t words[kWords];
    for (std::size_t row = 0; row < kWords; ++row) {
      std::uint32_t word = 0;
      for (std::uint32_t bit = 0; bit < kWordBits; ++bit) {
        word |= (bits_of(p[row * kWordBits + bit]) >> 31) << bit;
      }
      words[row] = word;
    }
    __builtin_memcpy(bytes, words, (size + 7) / 8);
    if (!finite) {
      drop_residual(pass, begin, size);
    } else if (pass.residual != nullptr) {
      PackedFloat* __restrict residual = pass.residual + begin;
      for (std::size_t i = 0; i < size; ++i) {
        residual[i] = residual_of(p[i], float_of(mean | (bits_of(p[i]) & 0x80000000U)));
      }
    }
  }
}

template <bool kAdd>
CodecError decode_sign(const DecodePass& pass) {
  const std::size_t blocks = (pass.count + kSignBlock - 1) / kSignBlock;
  const PackedWord* scales = reinterpret_cast<const PackedWord*>(pass.encoded);
  const std::byte* bytes = pass.encoded + 4 * blocks;
  bool good = true;
  for (std::size_t block = 0; block < blocks; ++block) good &= is_sign_scale(scales[block]);
  if (!good) return CodecError::kScale;
  const float weight = pass.weight;
  for (std::size_t block = 0; block < blocks; ++block, bytes += kSignBlock / 8) {
    const std::size_t begin = block * kSignBlock;
    const std::size_t left = pass.count - begin;
    const std::size_t size = left < kSignBlock ? left : kSignBlock;
    std::uint32_t words[kWords] = {};
    __builtin_memcpy(words, bytes, (size + 7) / 8);
    const std::uint32_t scale = scales[block];
    PackedFloat* values = pass.values + begin;
    for (std::size_t row = 0; row < size; row += kWordBits) {
      const std::uint32_t word = words[row / kWordBits];
      const std::size_t here = size - row < kWordBits ? size - row : kWordBits;
      for (std::uint32_t bit = 0; bit < here; ++bit) {
        put<kAdd>(values[row + bit], weight, float_of(scale | (word >> bit << 31)));
      }
    }
  }
  return CodecError::kNone;
}

// --- All

void encode(const EncodePass& pass) {
  switch (pass.codec) {
    case Codec::kFp16:
      return encode_half<Fp16>(pass);
    case Codec::kBf16:
      return encode_half<Bf16>(pass);
    case Codec::kInt8:
      return encode_int8(pass);
    case Codec::kTopK:
      return encode_top(pass);
    case Codec::kSign:
      return encode_sign(pass);
  }
}

template <bool kAdd>
CodecError decode_dense(const DecodePass& pass) {
  switch (pass.codec) {
    case Codec::kFp16:
      decode_half<Fp16, kAdd>(pass);
      return CodecError::kNone;
    case Codec::kBf16:
      decode_half<Bf16, kAdd>(pass);
      return CodecError::kNone;
    case Codec::kInt8:
      return decode_int8<kAdd>(pass);
    case Codec::kSign:
      return decode_sign<kAdd>(pass);
    case Codec::kTopK:
      break;
  }
  return decode_top(pass);
}

CodecError decode(const DecodePass& pass) {
  const CodecError error = check_size(pass);
  if (error != CodecError::kNone) return error;
  return pass.into == DecodeInto::kSum ? decode_dense<true>(pass) : decode_dense<false>(pass);
}

}  // namespace

extern const CodecOps codec_ops{.encode = encode, .decode = decode};

}  // namespace ps::kernels::PS_ISA
