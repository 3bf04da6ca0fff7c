// Where a network's values and their gradients lie in one block of memory: decided once, from the
// graph alone. Values all live until the backward pass; gradients share memory as soon as the
// layers that read them are done.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "nn/layer.h"

namespace ps::nn {

// A value as the plan sees it. Node 0 is the input: the caller's memory, no gradient. Where the
// plan is of a part of a network, a value without inputs comes from an earlier part; one without
// floats, too, is none of this part's.
struct PlanNode {
  std::vector<int> inputs;         // earlier nodes, at most kMaxInputs
  std::int64_t floats = 0;         // of its value
  bool exported = false;           // later parts read it, and its gradient comes from there
  bool forward_in_place = false;   // see Layer
  bool backward_in_place = false;  // see Layer
};

inline constexpr std::int64_t kNowhere = -1;

// Offsets in floats, multiples of 16 (64 bytes); kNowhere: none.
struct NodePlacement {
  std::int64_t value = kNowhere;
  std::int64_t gradient = kNowhere;
  // Where the layer's backward pass writes each input's gradient ...
  std::array<std::int64_t, kMaxInputs> input_gradient = nowhere();
  // ... and, where another layer has written that gradient before, what it is to be added to.
  std::array<std::int64_t, kMaxInputs> add_to = nowhere();

  static constexpr std::array<std::int64_t, kMaxInputs> nowhere() {
    std::array<std::int64_t, kMaxInputs> offsets{};
    offsets.fill(kNowhere);
    return offsets;
  }
};

struct Plan {
  std::vector<NodePlacement> nodes;
  std::int64_t floats = 0;  // of the block
};

// REQUIRES: every node but the last is an input of a later one, or exported, or none of this
// part's. The gradients of values from earlier parts keep their places until the end.
Plan plan_memory(std::span<const PlanNode> nodes);

}  // namespace ps::nn
