// What `pssim scale` simulates: a model over workers and shards, in one mode, on given machines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <ps/consistency.h>

#include "compute_time.h"
#include "wire/control.h"
#include "worker/plan.h"

namespace pssim {

struct Job {
  std::uint32_t workers = 1000;
  std::uint32_t shards = 32;
  std::uint64_t steps = 100;  // of a worker, on average
  ps::Consistency mode = ps::Sync{};
  ComputeTime compute;
  double worker_bytes_per_second = 3.125e9;  // each way
  double shard_bytes_per_second = 3.125e9;
  double latency_seconds = 10e-6;         // one way, of a message's first byte
  double memory_bytes_per_second = 10e9;  // of a shard's update
  std::uint64_t seed = 1;
  std::vector<ps::wire::ParameterInfo> parameters;
  std::uint64_t chunk_bytes = 0;  // 0: what the scheduler chooses
};

// "bsp", "asp" or "ssp:S". Throws ps::Error(kInvalidArgument), which says what is understood.
ps::Consistency parse_mode(const std::string& text);
// Bits a second, "25G" or "100M", as bytes a second. Throws likewise, naming `option`.
double parse_link(const std::string& option, const std::string& text);
// A detector's parameters by its name or file; or one array of so many bytes, "64MiB". Throws
// likewise.
std::vector<ps::wire::ParameterInfo> parse_model(const std::string& text);

// How the job's model travels, by the code of the scheduler and the workers.
struct Layout {
  ps::worker::Plan plan;
  std::vector<std::uint32_t> order;      // of buckets, as a step's leave
  std::vector<std::size_t> bytes;        // by bucket: of its message, either way
  std::vector<std::size_t> payload;      // by bucket: of its values
  std::vector<std::size_t> shard_bytes;  // by shard: of all its buckets' messages
  std::size_t total = 0;                 // of shard_bytes
  double imbalance = 1.0;                // the fullest shard over the mean
};
Layout layout_of(const Job& job);

// Of the fused update (SGD with momentum) of a bucket by so many gradients, by the bytes that it
// reads and writes.
double update_seconds(const Job& job, std::size_t payload, std::uint32_t gradients);

}  // namespace pssim
