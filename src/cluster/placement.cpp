#include "cluster/placement.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <numeric>

#include "base/assert.h"

namespace ps::cluster {
namespace {

constexpr std::uint64_t kSmallestChunkBytes = std::uint64_t{4} << 10;
constexpr std::uint64_t kLargestChunkBytes = std::uint64_t{4} << 20;
constexpr std::uint64_t kChunksWanted = 64;

}  // namespace

std::uint64_t elements(const wire::ParameterInfo& parameter) {
  std::uint64_t product = 1;
  for (const std::int64_t dimension : parameter.shape)
    product *= static_cast<std::uint64_t>(dimension);
  return product;
}

std::uint64_t total_bytes(std::span<const wire::ParameterInfo> parameters) {
  std::uint64_t sum = 0;
  for (const auto& parameter : parameters) sum += elements(parameter) * sizeof(float);
  return sum;
}

std::uint64_t chunk_bytes(std::span<const wire::ParameterInfo> parameters,
                          std::uint64_t configured) {
  if (configured != 0)
    return std::max<std::uint64_t>(configured / sizeof(float), 1) * sizeof(float);
  const std::uint64_t wanted = total_bytes(parameters) / kChunksWanted;
  return std::clamp(std::bit_floor(wanted), kSmallestChunkBytes, kLargestChunkBytes);
}

std::vector<Chunk> chunks_of(std::span<const wire::ParameterInfo> parameters,
                             std::uint64_t chunk_bytes) {
  const std::uint64_t step = chunk_bytes / sizeof(float);
  PS_ASSERT(step > 0, "a chunk holds at least one element");
  std::vector<Chunk> chunks;
  for (std::uint32_t i = 0; i < parameters.size(); ++i) {
    const std::uint64_t count = elements(parameters[i]);
    for (std::uint64_t offset = 0; offset < count; offset += step) {
      chunks.push_back({i, offset, static_cast<std::uint32_t>(std::min(step, count - offset))});
    }
  }
  return chunks;
}

std::vector<std::uint32_t> place(std::span<const Chunk> chunks, std::uint32_t shards) {
  PS_ASSERT(shards > 0, "a model is placed on at least one shard");
  std::vector<std::size_t> order(chunks.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return chunks[a].count > chunks[b].count; });
  std::vector<std::uint64_t> load(shards);
  std::vector<std::uint32_t> placement(chunks.size());
  for (const std::size_t i : order) {
    const auto lightest = std::min_element(load.begin(), load.end());
    placement[i] = static_cast<std::uint32_t>(lightest - load.begin());
    *lightest += chunks[i].count;
  }
  return placement;
}

double imbalance(std::span<const Chunk> chunks,
                 std::span<const std::uint32_t> placement,
                 std::uint32_t shards) {
  std::vector<std::uint64_t> load(shards);
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    load[placement[i]] += chunks[i].count;
    total += chunks[i].count;
  }
  if (total == 0) return 1.0;
  return static_cast<double>(*std::max_element(load.begin(), load.end())) * shards /
         static_cast<double>(total);
}

}  // namespace ps::cluster
