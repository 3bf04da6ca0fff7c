// A model's snapshot as tensors and metadata of a file, and back. Names: "<parameter>" the weights,
// "<parameter>#state0" and on, "#average", "#mean_square" what else there is of it; metadata
// "ps.checkpoint", "ps.mode", "ps.optimizer", "ps.samples", "ps.version" and, by parameter,
// "ps.counts.<parameter>". Pure.
#pragma once

#include <cstdint>
#include <vector>

#include <ps/safetensors.h>

#include "wire/control.h"
#include "worker/snapshot.h"

namespace ps::session {

// REQUIRES: a snapshot of this table. Throws ps::Error(kInvalidArgument) where a parameter has the
// name of another one's part.
SafetensorsFile to_file(const worker::Snapshot& snapshot,
                        const std::vector<wire::ParameterInfo>& table,
                        const ModelOptions& options);

// Throws ps::Error: kMismatch, naming the tensor, for a file of another model or optimizer,
// kCorrupt for counts that make no sense.
worker::Snapshot from_file(const SafetensorsFile& file,
                           const std::vector<wire::ParameterInfo>& table,
                           const ModelOptions& options);

// Tells it from others; never 0.
std::uint64_t hash_of(const SafetensorsFile& file);

// What the servers are to start with for a model whose updates are made on the workers, when those
// go on with `snapshot`: their counts, for each of the `parameters` that travel.
worker::Snapshot counts_only(const worker::Snapshot& snapshot, std::size_t parameters);

}  // namespace ps::session
