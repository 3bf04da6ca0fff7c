// The job that psbench pushpull measures: workers that do nothing but steps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include <ps/session.h>

#include "commands.h"
#include "raw.h"

namespace psbench {

struct PushPullOptions {
  SizeOptions size{.bytes = std::size_t{64} << 20, .seconds = 10.0};
  std::uint32_t workers = 1;
  std::uint32_t servers = 1;
  std::string transport = "ipc";
  bool all_reduce = false;  // its steps, too
  std::string result;       // in a process of the job: where rank 0 puts what it measured
};

// `configured_chunk`: transport.chunk_bytes, 0 for the default.
RawSizes raw_sizes(const PushPullOptions& options, std::size_t configured_chunk);

// One worker's part. Rank 0, which alone has `raw`, decides how many steps there are, measures the
// raw ways in turns with them, and returns what it found; the others return null. Every rank throws
// ps::Error(kInternal) when its last weights are not those of that many steps.
nlohmann::json pushpull_worker(ps::Session& session, const PushPullOptions& options, RawPeers* raw);

}  // namespace psbench
