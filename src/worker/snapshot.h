// All that training needs to go on with a model, whole parameters at a time: for checkpoints. Plain
// values; what is in a file of it, the session says.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include <ps/options.h>

#include "base/buffer.h"
#include "wire/header.h"

namespace ps::worker {

struct Snapshot {
  // What is counted by chunk, from an element on.
  struct Counts {
    std::uint64_t offset = 0;
    std::uint64_t version = 0;
    std::uint64_t updates = 0;  // of the optimizer
    bool operator==(const Counts&) const = default;
  };
  struct Parameter {
    std::map<wire::Part, Memory> parts;  // fp32, each as long as the weights
    std::vector<Counts> counts;          // by rising offset, the first 0
  };
  std::vector<Parameter> parameters;  // of the model's table; none: there is no snapshot
  std::uint64_t samples = 0;          // consumed by all workers
};

// The parts that a model's `kind` of parameter has on its servers, the counters not among them;
// the weights come last, since a shard takes a chunk for complete with them.
std::vector<wire::Part> parts_on_servers(const ModelOptions& options, ParameterKind kind);

// What the elements [offset, offset + count) start with: the least of what was counted there, since
// they may have been cut otherwise before. REQUIRES: counts as in a Snapshot.
Snapshot::Counts counts_of(const std::vector<Snapshot::Counts>& counts,
                           std::uint64_t offset,
                           std::uint64_t count);

}  // namespace ps::worker
