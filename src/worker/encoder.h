// A model's gradients on their way out in fewer bytes: which chunks travel compressed, and, with
// error feedback, what of every gradient has not been sent yet. Pure; formats: kernels/codec.h.
//
// Invariant: over the steps, what encode() has made of a chunk plus its residual is the sum of what
// it was given, but for rounding and for values that are not finite (which are sent as such, once).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ps/compression.h>
#include <ps/encoding.h>

#include "base/buffer.h"
#include "cluster/placement.h"
#include "wire/control.h"
#include "wire/header.h"

namespace ps::worker {

class Encoder {
 public:
  Encoder() = default;  // compresses nothing
  Encoder(const Compression& compression,
          std::span<const wire::ParameterInfo> parameters,
          std::uint32_t rank);

  // How this chunk's gradient travels.
  [[nodiscard]] wire::Codec codec_of(const cluster::Chunk& chunk) const;
  // How its weights come back from a step.
  [[nodiscard]] wire::Codec pull_codec_of(const cluster::Chunk& chunk) const;
  // What the chunk takes in that codec.
  [[nodiscard]] std::uint32_t bytes_of(const cluster::Chunk& chunk, wire::Codec codec) const;

  // How a whole gradient, cut into these chunks of one parameter, travels, for whoever encodes it
  // in our stead. No pieces where none is compressed.
  [[nodiscard]] Encoding encoding_of(std::span<const cluster::Chunk> chunks) const;

  // The segment's part of its parameter's whole `gradient`, in its codec; once a step and chunk,
  // since it updates the residual. REQUIRES: a segment made of the three above; to.size() is its
  // bytes.
  void encode(const wire::Segment& segment,
              std::uint64_t step,
              const Memory& gradient,
              std::span<std::byte> to);

  // Weights that a shard has sent; false if they are in no codec that this model asks for.
  // REQUIRES: as many bytes as the codec takes.
  [[nodiscard]] bool decode_weights(const wire::Segment& segment,
                                    std::span<const std::byte> from,
                                    std::span<std::byte> to) const;

  // What of the parameter's gradients has not been sent; nothing before the first step, or without
  // error feedback.
  [[nodiscard]] std::span<const float> residual(std::uint32_t parameter) const {
    return residuals_[parameter].as<const float>();
  }

 private:
  [[nodiscard]] bool compressible(std::uint32_t parameter) const;
  // This worker's part in what rounds at random.
  [[nodiscard]] std::uint64_t source_of(std::uint32_t parameter) const;
  float* residual_of(const wire::Segment& segment, std::size_t bytes);

  Compression compression_;
  std::uint32_t rank_ = 0;
  std::vector<bool> trained_;      // by parameter
  std::vector<Memory> residuals_;  // likewise; made when first needed
  std::vector<std::uint64_t> workspace_;
};

}  // namespace ps::worker
