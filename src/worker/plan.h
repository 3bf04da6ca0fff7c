// How one model's step travels: its chunks, the shard of each, and the buckets (chunks of one shard
// that share a message). Computed once from the scheduler's table; pure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cluster/placement.h"
#include "wire/control.h"

namespace ps::worker {

struct Bucket {
  std::uint32_t shard = 0;
  // Indices into Plan::chunks, ascending; the first one is the bucket's priority.
  std::vector<std::uint32_t> chunks = {};
  std::vector<std::uint32_t> parameters = {};  // the parameters they belong to, ascending
  std::size_t bytes = 0;
};

struct Plan {
  std::vector<cluster::Chunk> chunks;
  std::vector<std::uint32_t> placement;    // shard of each chunk
  std::vector<std::uint32_t> first_chunk;  // of each parameter; one more at the end
  std::vector<Bucket> buckets;             // by the first chunk in them: early layers first
  std::vector<std::vector<std::uint32_t>> buckets_of_parameter;
  std::vector<std::uint32_t> buckets_of_shard;  // how many

  // The chunk that starts there, if there is one.
  [[nodiscard]] std::optional<std::uint32_t> find_at(const wire::Segment& segment) const;
  // The chunk that starts exactly there, if there is one with that count.
  [[nodiscard]] std::optional<std::uint32_t> find(const wire::Segment& segment) const;
};

// REQUIRES: placement has one entry per chunk, each below `shards` (the caller has checked what
// came over the wire).
Plan make_plan(const wire::ModelInfo& model, std::uint32_t shards);

// The largest payload of a bucket: the chunk size, but at least enough to be worth a message.
std::size_t bucket_bytes(std::uint64_t chunk_bytes);

}  // namespace ps::worker
