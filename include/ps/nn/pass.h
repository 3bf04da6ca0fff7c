// What a graph's passes tell their caller, and what they ask of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include <ps/encoding.h>

namespace ps::nn {

// What the softmax cross-entropy says about a batch.
struct Result {
  double loss = 0.0;         // mean over `samples`
  std::int64_t samples = 0;  // those whose label is a class; others (-1, say) do not count
  std::int64_t correct = 0;
};

// Called with a parameter's index once its gradient is complete: on the caller's thread, within
// backward, last layer first. The graph does not touch that gradient again in this step. Must not
// throw, nor call the graph.
using GradientReady = std::function<void(std::size_t parameter)>;

// Called with a parameter's index before a pass reads its weights: on the caller's thread, each
// once, first layer first. Returns when they are where they are bound. What it throws ends the
// pass. Must not call the graph.
using WeightsNeeded = std::function<void(std::size_t parameter)>;

// A gradient that shall leave the GPU encoded: how (with no pieces it leaves as it is), and to
// which how.bytes of the host's memory.
struct EncodedGradient {
  Encoding how;
  std::span<std::byte> to;
};

// Called at the begin of each backward pass: the number of the step that it is for, by which values
// are rounded at random. What it throws ends the pass. Must not call the graph.
using StepNumber = std::function<std::uint64_t()>;

}  // namespace ps::nn
