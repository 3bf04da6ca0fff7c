#include "worker/encoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/codec.h"

namespace ps::worker {
namespace {

using Push = Compression::Push;

bool feeds_back(Push push) {
  return push == Push::kInt8 || push == Push::kTopK || push == Push::kSign;
}

bool is_sparse(Push push) {
  return push == Push::kTopK || push == Push::kSign;
}

// The codecs that compress have the same numbers there.
kernels::Codec kernel_codec(wire::Codec codec) {
  return static_cast<kernels::Codec>(codec);
}

const kernels::CodecOps& ops() {
  return kernels::codec(kernels::best_isa());
}

}  // namespace

Encoder::Encoder(const Compression& compression,
                 std::span<const wire::ParameterInfo> parameters,
                 std::uint32_t rank)
    : compression_(compression), rank_(rank), residuals_(parameters.size()) {
  for (const wire::ParameterInfo& parameter : parameters)
    trained_.push_back(parameter.kind == ParameterKind::kTrained);
}

bool Encoder::compressible(std::uint32_t parameter) const {
  return parameter < trained_.size() && trained_[parameter];
}

wire::Codec Encoder::codec_of(const cluster::Chunk& chunk) const {
  const bool too_small = is_sparse(compression_.push) && chunk.count < kSmallestSparseChunk;
  if (too_small || !compressible(chunk.parameter)) return wire::Codec::kFloat32;
  return wire::codec_of(compression_.push);
}

wire::Codec Encoder::pull_codec_of(const cluster::Chunk& chunk) const {
  return compressible(chunk.parameter) ? wire::codec_of(compression_.pull) : wire::Codec::kFloat32;
}

std::uint32_t Encoder::bytes_of(const cluster::Chunk& chunk, wire::Codec codec) const {
  std::uint64_t elements = chunk.count;
  if (codec == wire::Codec::kTopK) {
    const double wanted = std::round(double{compression_.top} * chunk.count);
    elements = static_cast<std::uint64_t>(std::clamp(wanted, 1.0, double(chunk.count)));
  }
  return static_cast<std::uint32_t>(wire::encoded_bytes(codec, elements));
}

Encoding Encoder::encoding_of(std::span<const cluster::Chunk> chunks) const {
  Encoding all;
  bool compressed = false;
  for (const cluster::Chunk& chunk : chunks) {
    const wire::Codec codec = codec_of(chunk);
    const bool plain = codec == wire::Codec::kFloat32;
    compressed = compressed || !plain;
    all.source = source_of(chunk.parameter);
    all.pieces.push_back({.first = chunk.offset,
                          .count = chunk.count,
                          .codec = plain ? Push::kNone : compression_.push,
                          .at = all.bytes,
                          .bytes = bytes_of(chunk, codec)});
    all.bytes +=
        (all.pieces.back().bytes + kEncodedAlignment - 1) / kEncodedAlignment * kEncodedAlignment;
  }
  return compressed ? all : Encoding{};
}

void Encoder::encode(const wire::Segment& segment,
                     std::uint64_t step,
                     const Memory& gradient,
                     std::span<std::byte> to) {
  const auto values = gradient.as<const float>().subspan(segment.offset, segment.count);
  if (segment.codec == wire::Codec::kFloat32) {
    std::memcpy(to.data(), values.data(), to.size());
    return;
  }
  kernels::EncodePass pass{.codec = kernel_codec(segment.codec),
                           .count = segment.count,
                           .values = values.data(),
                           .residual = residual_of(segment, gradient.size()),
                           .encoded = to.data()};
  if (pass.codec == kernels::Codec::kTopK) {
    pass.k = segment.bytes / kernels::encoded_bytes(pass.codec, segment.count, 1);
    const std::size_t words =
        kernels::encode_workspace(pass.codec, pass.count, pass.k) / sizeof(std::uint64_t) + 1;
    if (workspace_.size() < words) workspace_.resize(words);
    pass.workspace = std::as_writable_bytes(std::span(workspace_)).data();
  }
  if (compression_.push == Push::kInt8Stochastic) {
    pass.rounding = kernels::Rounding::kStochastic;
    pass.seed = kernels::message_seed(step, segment.offset, source_of(segment.parameter));
  }
  ops().encode(pass);
}

std::uint64_t Encoder::source_of(std::uint32_t parameter) const {
  return std::uint64_t{rank_} << 32 | parameter;
}

float* Encoder::residual_of(const wire::Segment& segment, std::size_t bytes) {
  if (!feeds_back(compression_.push)) return nullptr;
  Memory& residual = residuals_[segment.parameter];
  if (residual.size() == 0) residual = Memory::allocate(bytes);
  return residual.as<float>().data() + segment.offset;
}

bool Encoder::decode_weights(const wire::Segment& segment,
                             std::span<const std::byte> from,
                             std::span<std::byte> to) const {
  if (!compressible(segment.parameter) || segment.codec != wire::codec_of(compression_.pull))
    return false;
  return ops().decode({.codec = kernel_codec(segment.codec),
                       .count = segment.count,
                       .encoded = from.data(),
                       .bytes = from.size(),
                       .values = reinterpret_cast<float*>(to.data())}) ==
         kernels::CodecError::kNone;
}

}  // namespace ps::worker
