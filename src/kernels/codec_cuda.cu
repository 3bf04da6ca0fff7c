// The dense codecs on a GPU. A warp encodes a block of values and keeps it in registers; decoding
// is one pass over the values, after one over the scales. Top-k: codec_top_cuda.cu.
#include "kernels/codec_cuda.cuh"
#include "kernels/codec_cuda.h"

namespace ps::kernels::gpu {
namespace {

// --- Encoding

template <unsigned kWidth>
__device__ __forceinline__ void store_halves(std::uint16_t* to, const std::uint16_t* halves) {
  if constexpr (kWidth == 4) {
    *reinterpret_cast<uint2*>(to) =
        make_uint2(halves[0] | static_cast<std::uint32_t>(halves[1]) << 16,
                   halves[2] | static_cast<std::uint32_t>(halves[3]) << 16);
  } else {
    *to = halves[0];
  }
}

template <class Half, unsigned kWidth>
__device__ __forceinline__ void encode_halves(const Encoding& pass, std::size_t i) {
  Floats<kWidth> p = load_any<kWidth>(pass.values + i);
  if (pass.residual != nullptr) {
    const Floats<kWidth> residual = load_aligned<kWidth>(pass.residual + i);
#pragma unroll
    for (unsigned j = 0; j < kWidth; ++j) p.at[j] += residual.at[j];
  }
  std::uint16_t halves[kWidth];
#pragma unroll
  for (unsigned j = 0; j < kWidth; ++j) halves[j] = Half::encode(p.at[j]);
  store_halves<kWidth>(reinterpret_cast<std::uint16_t*>(pass.encoded) + i, halves);
  if (pass.residual != nullptr) {
#pragma unroll
    for (unsigned j = 0; j < kWidth; ++j) p.at[j] = residual_of(p.at[j], Half::decode(halves[j]));
    store_aligned<kWidth>(pass.residual + i, p);
  }
}

template <class Half, unsigned kWidth>
__global__ void encode_half_kernel(const Encoding pass) {
  for_each<kWidth>(pass.count, [&](auto width, std::size_t i) {
    encode_halves<Half, decltype(width)::kValue>(pass, i);
  });
}

// Value i of this lane's kCount of a block: lane + 32 i, so that a warp's accesses are contiguous.
template <unsigned kCount>
struct Lane {
  float p[kCount];
  std::size_t begin;  // where the block's first is
  unsigned size;      // of the block

  __device__ __forceinline__ Lane(const Encoding& pass, std::size_t block) {
    constexpr unsigned kSize = kCount * kWarp;
    begin = block * kSize;
    size = pass.count - begin < kSize ? static_cast<unsigned>(pass.count - begin) : kSize;
    const float* values = pass.values + begin;
#pragma unroll
    for (unsigned i = 0; i < kCount; ++i) p[i] = has(i) ? values[at(i)] : 0.0F;
    if (pass.residual == nullptr) return;
    const float* residual = pass.residual + begin;
#pragma unroll
    for (unsigned i = 0; i < kCount; ++i) p[i] += has(i) ? residual[at(i)] : 0.0F;
  }

  // Within the block.
  [[nodiscard]] __device__ __forceinline__ static unsigned at(unsigned i) {
    return threadIdx.x % kWarp + kWarp * i;
  }
  [[nodiscard]] __device__ __forceinline__ bool has(unsigned i) const {
    return at(i) < size;
  }
};

template <unsigned kCount>
__device__ __forceinline__ void drop_residual(const Encoding& pass, const Lane<kCount>& lane) {
  for (unsigned i = 0; i < kCount; ++i) {
    if (lane.has(i)) pass.residual[lane.begin + lane.at(i)] = 0.0F;
  }
}

constexpr unsigned kInt8Values = kInt8Block / kWarp;

// The lane's numbers for stochastic rounding: values lane + 64 w and lane + 32 + 64 w take word w.
__device__ __forceinline__ void fill_rest(std::uint64_t seed, std::size_t block, float* rest) {
  const std::uint64_t counter = std::uint64_t{kPhiloxStride} * block + threadIdx.x % kWarp;
  const PhiloxWords low = philox_words(seed, counter);
  const PhiloxWords high = philox_words(seed, counter + kWarp);
#pragma unroll
  for (unsigned word = 0; word < 4; ++word) {
    rest[2 * word] = rest_of(low.at[word]);
    rest[2 * word + 1] = rest_of(high.at[word]);
  }
}

__device__ __forceinline__ void encode_int8_block(const Encoding& pass,
                                                  std::size_t block,
                                                  std::size_t blocks,
                                                  bool stochastic,
                                                  std::uint64_t seed) {
  const Lane<kInt8Values> lane(pass, block);
  std::uint32_t largest = 0;
#pragma unroll
  for (const float p : lane.p) largest = max(largest, magnitude_bits(p));
#pragma unroll
  for (int other = kWarp / 2; other > 0; other /= 2) {
    largest = max(largest, __shfl_xor_sync(kAllLanes, largest, other));
  }
  const std::uint32_t bits = int8_scale_bits(largest);
  if (threadIdx.x % kWarp == 0) reinterpret_cast<std::uint32_t*>(pass.encoded)[block] = bits;
  auto* codes = reinterpret_cast<signed char*>(pass.encoded) + 4 * blocks + lane.begin;
  float* residual = pass.residual == nullptr ? nullptr : pass.residual + lane.begin;
  float rest[kInt8Values];
#pragma unroll
  for (float& x : rest) x = 0.5F;
  if (stochastic) fill_rest(seed, block, rest);
  const bool finite = bits != kNanBits;
  const float scale = float_of(bits);
  const float divisor = bits == 0 || !finite ? 1.0F : scale;
#pragma unroll
  for (unsigned i = 0; i < kInt8Values; ++i) {
    const float p = finite ? lane.p[i] : 0.0F;
    const std::int32_t code = round_by(p / divisor, rest[i]);
    if (!lane.has(i)) continue;
    codes[lane.at(i)] = static_cast<signed char>(finite ? code : 0);
    if (residual != nullptr && finite) {
      residual[lane.at(i)] = residual_of(p, scale * static_cast<float>(code));
    }
  }
  if (pass.residual != nullptr && !finite) drop_residual(pass, lane);
}

__global__ void encode_int8_kernel(const Encoding pass,
                                   std::size_t blocks,
                                   bool stochastic,
                                   std::uint64_t seed) {
  const auto warps = static_cast<std::size_t>(thread_count()) / kWarp;
  for (auto block = static_cast<std::size_t>(thread_index()) / kWarp; block < blocks;
       block += warps) {
    encode_int8_block(pass, block, blocks, stochastic, seed);
  }
}

constexpr unsigned kSignValues = kSignBlock / kWarp;

// This lane's word of a block's bits, of which the block's last may be shorter.
__device__ __forceinline__ void store_word(std::byte* bytes, std::size_t size, std::uint32_t word) {
  const std::size_t begin = 4 * (threadIdx.x % kWarp);
  const std::size_t end = (size + 7) / 8;
  if (begin + 4 <= end) {
    *reinterpret_cast<std::uint32_t*>(bytes + begin) = word;
    return;
  }
  for (std::size_t i = begin; i < end; ++i, word >>= 8) {
    bytes[i] = static_cast<std::byte>(word & 0xFFU);
  }
}

__device__ __forceinline__ void encode_sign_block(const Encoding& pass,
                                                  std::size_t block,
                                                  std::size_t blocks) {
  const Lane<kSignValues> lane(pass, block);
  float sum = 0.0F;
  std::uint32_t word = 0;
#pragma unroll
  for (unsigned i = 0; i < kSignValues; ++i) {
    sum += float_of(magnitude_bits(lane.p[i]));
    const std::uint32_t signs =
        __ballot_sync(kAllLanes, static_cast<int>(bits_of(lane.p[i]) >> 31));
    word = threadIdx.x % kWarp == i ? signs : word;
  }
#pragma unroll
  for (int other = kWarp / 2; other > 0; other /= 2) {
    sum += __shfl_xor_sync(kAllLanes, sum, other);
  }
  const std::uint32_t mean = bits_of(sum / static_cast<float>(lane.size));
  const bool finite = mean < kInfinityBits;
  if (threadIdx.x % kWarp == 0) {
    reinterpret_cast<std::uint32_t*>(pass.encoded)[block] = finite ? mean : kNanBits;
  }
  store_word(pass.encoded + 4 * blocks + kSignBlock / 8 * block, lane.size, word);
  if (pass.residual == nullptr) return;
  if (!finite) return drop_residual(pass, lane);
  float* residual = pass.residual + lane.begin;
#pragma unroll
  for (unsigned i = 0; i < kSignValues; ++i) {
    const std::uint32_t sent = mean | (bits_of(lane.p[i]) & 0x80000000U);
    if (lane.has(i)) residual[lane.at(i)] = residual_of(lane.p[i], float_of(sent));
  }
}

__global__ void __launch_bounds__(kBlock, 2)
    encode_sign_kernel(const Encoding pass, std::size_t blocks) {
  const auto warps = static_cast<std::size_t>(thread_count()) / kWarp;
  for (auto block = static_cast<std::size_t>(thread_index()) / kWarp; block < blocks;
       block += warps) {
    encode_sign_block(pass, block, blocks);
  }
}

// --- Decoding: what stands for value i, and the next kWidth - 1.

template <class Half>
struct HalfValues {
  const std::uint16_t* halves;

  template <unsigned kWidth>
  [[nodiscard]] __device__ __forceinline__ Floats<kWidth> at(std::size_t i) const {
    if constexpr (kWidth == 4) {
      const uint2 four = *reinterpret_cast<const uint2*>(halves + i);
      return {Half::decode(static_cast<std::uint16_t>(four.x & 0xFFFFU)),
              Half::decode(static_cast<std::uint16_t>(four.x >> 16)),
              Half::decode(static_cast<std::uint16_t>(four.y & 0xFFFFU)),
              Half::decode(static_cast<std::uint16_t>(four.y >> 16))};
    } else {
      return {Half::decode(halves[i])};
    }
  }
};

struct Int8Values {
  const std::uint32_t* scales;
  const signed char* codes;  // aligned to 4

  template <unsigned kWidth>
  [[nodiscard]] __device__ __forceinline__ Floats<kWidth> at(std::size_t i) const {
    const float scale = float_of(scales[i / kInt8Block]);
    if constexpr (kWidth == 4) {
      const char4 four = *reinterpret_cast<const char4*>(codes + i);
      return {scale * static_cast<float>(four.x), scale * static_cast<float>(four.y),
              scale * static_cast<float>(four.z), scale * static_cast<float>(four.w)};
    } else {
      return {scale * static_cast<float>(codes[i])};
    }
  }
};

struct SignValues {
  const std::uint32_t* scales;
  const std::byte* bytes;

  template <unsigned kWidth>
  [[nodiscard]] __device__ __forceinline__ Floats<kWidth> at(std::size_t i) const {
    const std::uint32_t scale = scales[i / kSignBlock];
    const std::uint32_t bits = static_cast<std::uint32_t>(bytes[i / 8]) >> (i % 8);
    Floats<kWidth> values;
#pragma unroll
    for (unsigned j = 0; j < kWidth; ++j) values.at[j] = float_of(scale | (bits >> j << 31));
    return values;
  }
};

template <unsigned kWidth, class Source>
__global__ void decode_kernel(const Source source,
                              const Decoding pass,
                              const std::uint32_t* error) {
  if (*error != 0) return;
  for_each<kWidth>(pass.count, [&](auto width, std::size_t i) {
    constexpr unsigned kN = decltype(width)::kValue;
    const Floats<kN> x = source.template at<kN>(i);
    Floats<kN> values{};
    if (pass.add != 0) values = load_aligned<kN>(pass.values + i);
#pragma unroll
    for (unsigned j = 0; j < kN; ++j) values.at[j] = put(pass, values.at[j], x.at[j]);
    store_aligned<kN>(pass.values + i, values);
  });
}

__global__ void check_scales_kernel(const std::uint32_t* scales,
                                    std::size_t blocks,
                                    bool int8,
                                    std::uint32_t* error) {
  for (auto i = static_cast<std::size_t>(thread_index()); i < blocks;
       i += static_cast<std::size_t>(thread_count())) {
    if (!(int8 ? is_int8_scale(scales[i]) : is_sign_scale(scales[i]))) {
      report(error, CodecError::kScale);
    }
  }
}

// --- Launches

bool aligned8(const void* address) {
  return reinterpret_cast<std::uintptr_t>(address) % 8 == 0;
}

template <class Half>
void encode_half(const EncodePass& pass, StreamView stream) {
  const auto count = static_cast<std::int64_t>(pass.count);
  if (aligned16(pass.residual) && aligned8(pass.encoded)) {
    launch(stream, grid_over((count + 3) / 4), encode_half_kernel<Half, 4>, Encoding(pass));
  } else {
    launch(stream, grid_over(count), encode_half_kernel<Half, 1>, Encoding(pass));
  }
}

template <class Source>
void decode_from(const Source& source,
                 const DecodePass& pass,
                 const std::uint32_t* error,
                 StreamView stream) {
  const auto count = static_cast<std::int64_t>(pass.count);
  if (aligned16(pass.values) && aligned8(pass.encoded)) {
    launch(stream, grid_over((count + 3) / 4), decode_kernel<4, Source>, source, Decoding(pass),
           error);
  } else {
    launch(stream, grid_over(count), decode_kernel<1, Source>, source, Decoding(pass), error);
  }
}

}  // namespace

std::size_t encode_workspace(Codec codec, std::size_t count) noexcept {
  return codec == Codec::kTopK ? top_workspace_cuda(count) : 0;
}

void encode(const EncodePass& pass, StreamView stream) {
  if (pass.count == 0) return;
  const DeviceGuard guard(stream.device());
  const std::size_t int8_blocks = (pass.count + kInt8Block - 1) / kInt8Block;
  const std::size_t sign_blocks = (pass.count + kSignBlock - 1) / kSignBlock;
  switch (pass.codec) {
    case Codec::kFp16:
      return encode_half<Fp16>(pass, stream);
    case Codec::kBf16:
      return encode_half<Bf16>(pass, stream);
    case Codec::kInt8:
      return launch(stream, grid_over(static_cast<std::int64_t>(int8_blocks) * kWarp),
                    encode_int8_kernel, Encoding(pass), int8_blocks,
                    pass.rounding == Rounding::kStochastic, pass.seed);
    case Codec::kTopK:
      return encode_top(pass, stream);
    case Codec::kSign:
      return launch(stream, grid_over(static_cast<std::int64_t>(sign_blocks) * kWarp),
                    encode_sign_kernel, Encoding(pass), sign_blocks);
  }
}

CodecError decode(const DecodePass& pass, std::uint32_t* error, StreamView stream) {
  const CodecError wrong = check_size(pass);
  if (wrong != CodecError::kNone || pass.count == 0) return wrong;
  const DeviceGuard guard(stream.device());
  const bool int8 = pass.codec == Codec::kInt8;
  const std::size_t block = int8 ? kInt8Block : kSignBlock;
  const std::size_t blocks = (pass.count + block - 1) / block;
  const auto* scales = reinterpret_cast<const std::uint32_t*>(pass.encoded);
  const std::byte* behind = pass.encoded + 4 * blocks;
  if (int8 || pass.codec == Codec::kSign) {
    launch(stream, grid_over(static_cast<std::int64_t>(blocks)), check_scales_kernel, scales,
           blocks, int8, error);
  }
  switch (pass.codec) {
    case Codec::kFp16:
      decode_from(HalfValues<Fp16>{reinterpret_cast<const std::uint16_t*>(pass.encoded)}, pass,
                  error, stream);
      break;
    case Codec::kBf16:
      decode_from(HalfValues<Bf16>{reinterpret_cast<const std::uint16_t*>(pass.encoded)}, pass,
                  error, stream);
      break;
    case Codec::kInt8:
      decode_from(Int8Values{scales, reinterpret_cast<const signed char*>(behind)}, pass, error,
                  stream);
      break;
    case Codec::kSign:
      decode_from(SignValues{scales, behind}, pass, error, stream);
      break;
    case Codec::kTopK:
      decode_top(pass, error, stream);
      break;
  }
  return CodecError::kNone;
}

}  // namespace ps::kernels::gpu
