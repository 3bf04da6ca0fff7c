#include "server/decode.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/codec.h"

namespace ps::server {
namespace {

const kernels::CodecOps& ops() {
  return kernels::codec(kernels::best_isa());
}

// The codecs that compress have the same numbers there.
kernels::Codec kernel_codec(wire::Codec codec) {
  return static_cast<kernels::Codec>(codec);
}

// int8 and sign tell of a gradient that is not finite by a scale that is a NaN; any other scale
// that decoding has refused is nonsense.
bool scales_are_nan_or_good(const kernels::DecodePass& pass) {
  const bool sign = pass.codec == kernels::Codec::kSign;
  const std::size_t block = sign ? kernels::kSignBlock : kernels::kInt8Block;
  for (std::size_t i = 0; i < (pass.count + block - 1) / block; ++i) {
    float scale = 0.0F;
    std::memcpy(&scale, pass.encoded + i * sizeof(scale), sizeof(scale));
    if (std::isnan(scale)) continue;
    const float largest = std::numeric_limits<float>::max() / (sign ? 1.0F : 128.0F);
    if (std::signbit(scale) || !(scale <= largest)) return false;
  }
  return true;
}

std::string text_of(kernels::CodecError error, const wire::Segment& segment) {
  const std::string where = "compressed gradient of parameter " +
                            std::to_string(segment.parameter) + " from element " +
                            std::to_string(segment.offset) + ": ";
  switch (error) {
    case kernels::CodecError::kNone:
      break;
    case kernels::CodecError::kSize:
      return where + std::to_string(segment.bytes) + " bytes cannot be " +
             std::to_string(segment.count) + " values of codec " +
             std::to_string(static_cast<unsigned>(segment.codec));
    case kernels::CodecError::kScale:
      return where + "a scale is negative, or too large for its values to be finite";
    case kernels::CodecError::kIndex:
      return where + "an index is not below " + std::to_string(segment.count) +
             ", or not above the one before it";
  }
  return where + "unknown";
}

// Empty, or what is wrong.
std::string decode_segment(const wire::Segment& segment,
                           std::span<const std::byte> from,
                           std::span<float> to) {
  if (segment.codec == wire::Codec::kFloat32) {
    std::memcpy(to.data(), from.data(), from.size());
    return {};
  }
  // Places are checked and then written to: they must not lie where the sender can change them in
  // between (net/shm_lending.h).
  const Buffer own = segment.codec == wire::Codec::kTopK ? Buffer::copy_of(from) : Buffer();
  const kernels::DecodePass pass{.codec = kernel_codec(segment.codec),
                                 .count = segment.count,
                                 .encoded = own.empty() ? from.data() : own.data(),
                                 .bytes = from.size(),
                                 .values = to.data()};
  const kernels::CodecError error = ops().decode(pass);
  if (error == kernels::CodecError::kNone) return {};
  if (error != kernels::CodecError::kScale || !scales_are_nan_or_good(pass))
    return text_of(error, segment);
  std::ranges::fill(to, std::numeric_limits<float>::quiet_NaN());
  return {};
}

}  // namespace

wire::Codec codec_of_data(const Compression& compression, wire::Type type) {
  switch (type) {
    case wire::Type::kPush:
    case wire::Type::kPushPull:
      return wire::codec_of(compression.push);
    case wire::Type::kPull:
      return wire::codec_of(compression.pull);
    default:
      return wire::Codec::kFloat32;
  }
}

std::size_t decoded_bytes(std::span<const wire::Segment> segments) {
  std::size_t bytes = 0;
  for (const wire::Segment& segment : segments)
    bytes += wire::plain_bytes(segment.codec, segment.count);
  return bytes;
}

std::string decode(wire::Message& message, const Compression& compression, BlockPool& pool) {
  const bool plain = std::ranges::all_of(message.segments, [](const wire::Segment& segment) {
    return segment.codec == wire::Codec::kFloat32;
  });
  if (compression.push == Compression::Push::kNone || plain) return {};
  const std::size_t bytes = decoded_bytes(message.segments);
  const Memory values = pool.acquire(bytes);
  std::vector<wire::Segment> segments = message.segments;
  std::size_t from = 0;
  std::size_t to = 0;
  for (wire::Segment& segment : segments) {
    const auto room = values.as<float>().subspan(to, segment.count);
    std::string fault =
        decode_segment(segment, message.payload.bytes().subspan(from, segment.bytes), room);
    if (!fault.empty()) return fault;
    from += segment.bytes;
    to += segment.count;
    segment.codec = wire::Codec::kFloat32;
    segment.bytes = static_cast<std::uint32_t>(room.size_bytes());
  }
  message.segments = std::move(segments);
  message.payload = values.buffer(0, bytes);
  return {};
}

void encode_weights(wire::Codec codec, std::span<const float> weights, const Memory& to) {
  ops().encode({.codec = kernel_codec(codec),
                .count = weights.size(),
                .values = weights.data(),
                .encoded = to.bytes().data()});
}

}  // namespace ps::server
