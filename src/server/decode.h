// Compressed gradients and weights at the server: pushes become fp32 when they are taken up, so
// that everything behind knows fp32 alone. Pure but for the pool. Any bytes may come.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include <ps/compression.h>

#include "base/block_pool.h"
#include "base/buffer.h"
#include "wire/header.h"

namespace ps::server {

// How a model's data may travel in a request, or the answer to one, of this type, besides as fp32.
[[nodiscard]] wire::Codec codec_of_data(const Compression& compression, wire::Type type);

// What the elements of these segments take as they are kept.
[[nodiscard]] std::size_t decoded_bytes(std::span<const wire::Segment> segments);

// Replaces a push's compressed elements by fp32 ones in a block of `pool`; a message of fp32 alone
// stays as it is, and is not copied. Returns what is wrong with the bytes, in words; then the
// message is as it was. A gradient that was not finite becomes NaN, wherever the codec says no more
// than that. REQUIRES: wire::decode() has taken it, and its segments, decoded, are within
// wire::kMaxPayloadBytes.
[[nodiscard]] std::string decode(wire::Message& message,
                                 const Compression& compression,
                                 BlockPool& pool);

// REQUIRES: kFp16 or kBf16, and room for so many values in `to`.
void encode_weights(wire::Codec codec, std::span<const float> weights, const Memory& to);

}  // namespace ps::server
