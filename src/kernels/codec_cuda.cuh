// What the codecs' kernels share. For X_cuda.cu only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/codec.h"
#include "kernels/codec_math.h"
#include "kernels/float4_cuda.cuh"
#include "kernels/update_math.h"

namespace ps::kernels::gpu {

inline constexpr unsigned kAllLanes = 0xFFFFFFFFU;

// What kernels need of an EncodePass. (No padding: arguments are copied as bytes.)
struct Encoding {
  std::size_t count;
  std::size_t k;
  const float* values;
  float* residual;
  std::byte* encoded;

  explicit Encoding(const EncodePass& pass)
      : count(pass.count),
        k(pass.k),
        values(pass.values),
        residual(pass.residual),
        encoded(pass.encoded) {}
};

// And of a DecodePass.
struct Decoding {
  std::size_t count;
  float* values;
  float weight;
  std::uint32_t add;

  explicit Decoding(const DecodePass& pass)
      : count(pass.count),
        values(pass.values),
        weight(pass.weight),
        add(pass.into == DecodeInto::kSum ? 1 : 0) {}
};

__device__ __forceinline__ void report(std::uint32_t* error, CodecError what) {
  atomicMax(error, static_cast<std::uint32_t>(what));
}

// What decoding does with value x.
__device__ __forceinline__ float put(const Decoding& pass, float old, float x) {
  return pass.add != 0 ? add_weighted(old, pass.weight, x) : pass.weight * x;
}

void encode_top(const EncodePass& pass, StreamView stream);
void decode_top(const DecodePass& pass, std::uint32_t* error, StreamView stream);
[[nodiscard]] std::size_t top_workspace_cuda(std::size_t count) noexcept;

}  // namespace ps::kernels::gpu
