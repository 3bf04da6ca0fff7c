// Small jobs for tests of pssim, whose figures can be had by hand: a model of equal buckets.
#pragma once

#include <cstdint>

#include "pssim/job.h"

namespace pssim {

inline constexpr std::uint64_t kBucketBytes = std::uint64_t{64} << 10U;

// Each shard has `buckets_each` buckets of kBucketBytes. The network and the updates take next to
// nothing, a step 1 s.
inline Job equal_job(std::uint32_t workers, std::uint32_t shards, std::uint32_t buckets_each) {
  Job job;
  job.workers = workers;
  job.shards = shards;
  job.compute.mean_seconds = 1.0;
  job.worker_bytes_per_second = job.shard_bytes_per_second = 1e13;
  job.memory_bytes_per_second = 1e15;
  job.latency_seconds = 1e-9;
  job.chunk_bytes = kBucketBytes;
  const auto size = static_cast<std::int64_t>(kBucketBytes * shards * buckets_each / sizeof(float));
  job.parameters = {{.name = "weights", .shape = {size}}};
  return job;
}

inline void set_link(Job& job, double bytes_per_second) {
  job.worker_bytes_per_second = job.shard_bytes_per_second = bytes_per_second;
}

}  // namespace pssim
