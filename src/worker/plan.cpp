#include "worker/plan.h"

#include <algorithm>

namespace ps::worker {
namespace {

constexpr std::size_t kSmallestBucketBytes = std::size_t{64} << 10;

}  // namespace

std::size_t bucket_bytes(std::uint64_t chunk_bytes) {
  return std::max<std::size_t>(static_cast<std::size_t>(chunk_bytes), kSmallestBucketBytes);
}

std::optional<std::uint32_t> Plan::find_at(const wire::Segment& segment) const {
  if (segment.parameter + std::size_t{1} >= first_chunk.size()) return std::nullopt;
  const std::uint32_t begin = first_chunk[segment.parameter];
  const std::uint32_t end = first_chunk[segment.parameter + 1];
  if (begin == end) return std::nullopt;
  const std::uint64_t index = segment.offset / chunks[begin].count;
  if (index >= end - begin) return std::nullopt;
  const auto at = begin + static_cast<std::uint32_t>(index);
  if (chunks[at].offset != segment.offset) return std::nullopt;
  return at;
}

std::optional<std::uint32_t> Plan::find(const wire::Segment& segment) const {
  const auto at = find_at(segment);
  return at && chunks[*at].count == segment.count ? at : std::nullopt;
}

Plan make_plan(const wire::ModelInfo& model, std::uint32_t shards) {
  Plan plan;
  plan.chunks = cluster::chunks_of(model.parameters, model.options.chunk_bytes);
  plan.placement = model.placement;
  plan.buckets_of_parameter.resize(model.parameters.size());
  plan.buckets_of_shard.assign(shards, 0);
  const std::size_t limit = bucket_bytes(model.options.chunk_bytes);
  std::vector<std::optional<std::uint32_t>> open(
      shards);  // the bucket that each shard's next chunk may join
  for (std::uint32_t i = 0; i < plan.chunks.size(); ++i) {
    const std::uint32_t parameter = plan.chunks[i].parameter;
    while (plan.first_chunk.size() <= parameter) plan.first_chunk.push_back(i);
    const std::uint32_t shard = plan.placement[i];
    const std::size_t bytes = plan.chunks[i].count * sizeof(float);
    auto& current = open[shard];
    if (current) {
      const Bucket& bucket = plan.buckets[*current];
      if (bucket.bytes + bytes > limit || bucket.chunks.size() == wire::kMaxSegments)
        current.reset();
    }
    if (!current) {
      current = static_cast<std::uint32_t>(plan.buckets.size());
      plan.buckets.push_back({.shard = shard});
      ++plan.buckets_of_shard[shard];
    }
    Bucket& bucket = plan.buckets[*current];
    bucket.chunks.push_back(i);
    bucket.bytes += bytes;
    if (bucket.parameters.empty() || bucket.parameters.back() != parameter) {
      bucket.parameters.push_back(parameter);
      plan.buckets_of_parameter[parameter].push_back(*current);
    }
  }
  while (plan.first_chunk.size() <= model.parameters.size()) {
    plan.first_chunk.push_back(static_cast<std::uint32_t>(plan.chunks.size()));
  }
  return plan;
}

}  // namespace ps::worker
