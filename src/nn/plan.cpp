#include "nn/plan.h"

#include <algorithm>

#include "base/assert.h"

namespace ps::nn {
namespace {

std::int64_t aligned(std::int64_t floats) {
  return (floats + 15) / 16 * 16;
}

// Memory that is lent to one gradient after the other and grows to the largest.
class Slots {
 public:
  int acquire(std::int64_t floats) {
    // The free one that fits best, else the largest.
    int best = -1;
    for (int i = 0; i < static_cast<int>(slots_.size()); ++i) {
      const Slot& slot = slots_[static_cast<std::size_t>(i)];
      if (slot.taken) continue;
      if (best < 0 || better(slot.floats, slots_[static_cast<std::size_t>(best)].floats, floats)) {
        best = i;
      }
    }
    if (best < 0) {
      best = static_cast<int>(slots_.size());
      slots_.emplace_back();
    }
    Slot& slot = slots_[static_cast<std::size_t>(best)];
    slot.taken = true;
    slot.floats = std::max(slot.floats, aligned(floats));
    return best;
  }
  void release(int slot) { slots_[static_cast<std::size_t>(slot)].taken = false; }

  // Lays all slots out from `offset` on; returns where they end.
  std::int64_t place(std::int64_t offset) {
    for (Slot& slot : slots_) {
      slot.offset = offset;
      offset += slot.floats;
    }
    return offset;
  }
  [[nodiscard]] std::int64_t offset(int slot) const {
    return slot < 0 ? kNowhere : slots_[static_cast<std::size_t>(slot)].offset;
  }

 private:
  struct Slot {
    std::int64_t floats = 0;
    std::int64_t offset = 0;
    bool taken = false;
  };

  static bool better(std::int64_t candidate, std::int64_t best, std::int64_t wanted) {
    if (candidate >= wanted) return best < wanted || candidate < best;
    return candidate > best;
  }

  std::vector<Slot> slots_;
};

std::int64_t place_values(std::span<const PlanNode> nodes, std::vector<NodePlacement>& places) {
  std::vector<int> readers(nodes.size(), 0);
  for (const PlanNode& node : nodes) {
    for (const int input : node.inputs) ++readers[static_cast<std::size_t>(input)];
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) readers[i] += nodes[i].exported ? 1 : 0;
  std::int64_t offset = 0;
  for (std::size_t i = 1; i < nodes.size(); ++i) {
    if (nodes[i].floats == 0) continue;
    const int first = nodes[i].inputs.empty() ? 0 : nodes[i].inputs.front();
    // Only over a value that nobody else reads, and never over the caller's.
    if (nodes[i].forward_in_place && first != 0 && readers[static_cast<std::size_t>(first)] == 1) {
      places[i].value = places[static_cast<std::size_t>(first)].value;
      continue;
    }
    places[i].value = offset;
    offset += aligned(nodes[i].floats);
  }
  return offset;
}

// The slots of a node's gradient and of what its backward pass writes.
struct GradientSlots {
  int own = -1;
  std::array<int, kMaxInputs> input = none();
  std::array<int, kMaxInputs> add_to = none();

  static constexpr std::array<int, kMaxInputs> none() {
    std::array<int, kMaxInputs> slots{};
    slots.fill(-1);
    return slots;
  }
};

// Follows the backward pass of one node.
void take_slots(std::span<const PlanNode> nodes,
                std::size_t i,
                std::vector<GradientSlots>& grads,
                Slots& slots) {
  GradientSlots& node = grads[i];
  PS_ASSERT(node.own >= 0, "a value that no later layer reads has no gradient");
  bool handed_on = false;
  for (std::size_t k = 0; k < nodes[i].inputs.size(); ++k) {
    const auto input = static_cast<std::size_t>(nodes[i].inputs[k]);
    if (input == 0) continue;
    int& gradient = grads[input].own;
    if (gradient >= 0) {
      node.input[k] = slots.acquire(nodes[input].floats);
      node.add_to[k] = gradient;
      continue;
    }
    const bool in_place = k == 0 && nodes[i].backward_in_place;
    gradient = in_place ? node.own : slots.acquire(nodes[input].floats);
    handed_on = handed_on || in_place;
    node.input[k] = gradient;
  }
  for (std::size_t k = 0; k < kMaxInputs; ++k) {
    if (node.add_to[k] >= 0) slots.release(node.input[k]);
  }
  if (!handed_on) slots.release(node.own);
}

}  // namespace

Plan plan_memory(std::span<const PlanNode> nodes) {
  Plan plan;
  plan.nodes.resize(nodes.size());
  const std::int64_t values = place_values(nodes, plan.nodes);
  Slots slots;
  std::vector<GradientSlots> grads(nodes.size());
  for (std::size_t i = 1; i < nodes.size(); ++i) {
    if (nodes[i].exported || i + 1 == nodes.size()) grads[i].own = slots.acquire(nodes[i].floats);
  }
  for (std::size_t i = nodes.size() - 1; i > 0; --i) {
    if (!nodes[i].inputs.empty()) take_slots(nodes, i, grads, slots);
  }
  plan.floats = slots.place(values);
  for (std::size_t i = 1; i < nodes.size(); ++i) {
    NodePlacement& place = plan.nodes[i];
    place.gradient = slots.offset(grads[i].own);
    for (std::size_t k = 0; k < kMaxInputs; ++k) {
      place.input_gradient[k] = slots.offset(grads[i].input[k]);
      place.add_to[k] = slots.offset(grads[i].add_to[k]);
    }
  }
  return plan;
}

}  // namespace ps::nn
