// Which pieces a model is cut into, and which shard owns which. Pure functions of shapes and
// configuration, so every node that is told the same table computes the same.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "wire/control.h"

namespace ps::cluster {

// A contiguous slice of one parameter, in elements.
struct Chunk {
  std::uint32_t parameter = 0;
  std::uint64_t offset = 0;
  std::uint32_t count = 0;
  bool operator==(const Chunk&) const = default;
};

// REQUIRES: a validated shape (every dimension >= 1, the product below 2^40).
std::uint64_t elements(const wire::ParameterInfo& parameter);
std::uint64_t total_bytes(std::span<const wire::ParameterInfo> parameters);

// The chunk size in force: `configured` if not 0, else a 64th of the model as a power of two
// between 4 KiB (so that small models still balance) and 4 MiB (where transports are at their
// best).
std::uint64_t chunk_bytes(std::span<const wire::ParameterInfo> parameters,
                          std::uint64_t configured);

// The chunks of all parameters, in registration order and then by offset. A parameter is cut into
// pieces of chunk_bytes, the last one shorter.
std::vector<Chunk> chunks_of(std::span<const wire::ParameterInfo> parameters,
                             std::uint64_t chunk_bytes);

// The shard of each chunk. Longest processing time first (Graham 1969: max/mean <= 4/3, in practice
// far closer): chunks by falling size, each to the shard with the fewest bytes so far, ties to the
// lowest number.
std::vector<std::uint32_t> place(std::span<const Chunk> chunks, std::uint32_t shards);

// Bytes of the fullest shard over the mean; 1 is perfect. 1 for an empty model.
double imbalance(std::span<const Chunk> chunks,
                 std::span<const std::uint32_t> placement,
                 std::uint32_t shards);

}  // namespace ps::cluster
