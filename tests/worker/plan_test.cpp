#include "worker/plan.h"

#include <numeric>
#include <set>

#include "base/random.h"
#include "support/catch.h"

namespace ps::worker {
namespace {

wire::ModelInfo model_of(const std::vector<std::int64_t>& sizes,
                         std::uint64_t chunk_bytes,
                         std::uint32_t shards) {
  wire::ModelInfo model;
  for (const std::int64_t size : sizes)
    model.parameters.push_back(
        {"p" + std::to_string(model.parameters.size()), {size}, ParameterKind::kTrained});
  model.options.chunk_bytes = chunk_bytes;
  model.placement = cluster::place(cluster::chunks_of(model.parameters, chunk_bytes), shards);
  return model;
}

}  // namespace

TEST_CASE("plan: every chunk is in one bucket of its own shard, within the limits", "[unit]") {
  Random random(3);
  for (int round = 0; round < 100; ++round) {
    std::vector<std::int64_t> sizes(random.below(8));
    for (auto& size : sizes) size = static_cast<std::int64_t>(1 + random.below(60000));
    const auto shards = static_cast<std::uint32_t>(1 + random.below(4));
    const std::uint64_t chunk_bytes = 4 * (1 + random.below(40000));
    const auto model = model_of(sizes, chunk_bytes, shards);
    const Plan plan = make_plan(model, shards);
    std::vector<int> seen(plan.chunks.size());
    std::vector<std::uint32_t> buckets_of_shard(shards);
    std::uint32_t last_first = 0;
    for (std::uint32_t b = 0; b < plan.buckets.size(); ++b) {
      const Bucket& bucket = plan.buckets[b];
      REQUIRE_FALSE(bucket.chunks.empty());
      REQUIRE(bucket.chunks.size() <= wire::kMaxSegments);
      REQUIRE((bucket.bytes <= bucket_bytes(chunk_bytes) || bucket.chunks.size() == 1));
      REQUIRE(bucket.chunks.front() >= last_first);  // early layers first
      last_first = bucket.chunks.front();
      std::size_t bytes = 0;
      std::set<std::uint32_t> parameters;
      for (const std::uint32_t at : bucket.chunks) {
        ++seen[at];
        REQUIRE(plan.placement[at] == bucket.shard);
        bytes += plan.chunks[at].count * sizeof(float);
        parameters.insert(plan.chunks[at].parameter);
      }
      REQUIRE(bytes == bucket.bytes);
      REQUIRE(std::vector(parameters.begin(), parameters.end()) == bucket.parameters);
      for (const std::uint32_t p : parameters) {
        const auto& of = plan.buckets_of_parameter[p];
        REQUIRE(std::count(of.begin(), of.end(), b) == 1);
      }
      ++buckets_of_shard[bucket.shard];
    }
    REQUIRE(std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; }));
    REQUIRE(buckets_of_shard == plan.buckets_of_shard);
    REQUIRE(plan.first_chunk.size() == sizes.size() + 1);
  }
}

TEST_CASE("plan: small chunks share a message, as many as it may hold", "[unit]") {
  const auto model = model_of({5000}, 4, 1);
  const Plan plan = make_plan(model, 1);
  REQUIRE(plan.chunks.size() == 5000);
  REQUIRE(plan.buckets.size() == 3);
  CHECK(plan.buckets[0].chunks.size() == wire::kMaxSegments);
  CHECK(bucket_bytes(4) == std::size_t{64} << 10);
  CHECK(bucket_bytes(1 << 20) == std::size_t{1} << 20);
}

TEST_CASE("plan: finds exactly the chunks there are", "[unit]") {
  const auto model = model_of({100, 3}, 128, 2);
  const Plan plan = make_plan(model, 2);
  for (std::uint32_t i = 0; i < plan.chunks.size(); ++i) {
    const auto& chunk = plan.chunks[i];
    wire::Segment segment{
        .parameter = chunk.parameter, .offset = chunk.offset, .count = chunk.count};
    CHECK(plan.find(segment) == i);
    ++segment.offset;
    CHECK_FALSE(plan.find(segment));
    --segment.offset;
    ++segment.count;
    CHECK_FALSE(plan.find(segment));
  }
  CHECK_FALSE(plan.find({.parameter = 2, .offset = 0, .count = 1}));
  CHECK_FALSE(plan.find({.parameter = ~0U, .offset = 0, .count = 1}));
  CHECK_FALSE(plan.find({.parameter = 0, .offset = ~std::uint64_t{0}, .count = 32}));
}

}  // namespace ps::worker
