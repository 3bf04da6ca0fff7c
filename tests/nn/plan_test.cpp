// The memory plan: whatever is alive at the same time lies apart.
#include "nn/plan.h"

#include <algorithm>
#include <vector>

#include "base/random.h"
#include "support/catch.h"

namespace ps::nn {
namespace {

// One-node-at-a-time reading of the plan: which gradient occupies which floats while the backward
// pass runs. `owner[i]` is the node whose gradient float i belongs to, -1 when free.
class Replay {
 public:
  Replay(std::span<const PlanNode> nodes, const Plan& plan)
      : nodes_(nodes),
        plan_(plan),
        owner_(static_cast<std::size_t>(plan.floats), -1),
        written_(nodes.size(), false) {}

  void run() {
    const auto last = static_cast<int>(nodes_.size()) - 1;
    claim(plan_.nodes.back().gradient, last);
    written_.back() = true;
    for (int node = last; node > 0; --node) step(node);
  }

 private:
  std::size_t index(int node) const { return static_cast<std::size_t>(node); }

  void claim(std::int64_t offset, int node) {
    REQUIRE(offset >= 0);
    REQUIRE(offset % 16 == 0);
    for (std::int64_t i = 0; i < nodes_[index(node)].floats; ++i) {
      int& owner = owner_.at(static_cast<std::size_t>(offset + i));
      REQUIRE(owner == -1);
      owner = node;
    }
  }
  void release(int node) { std::replace(owner_.begin(), owner_.end(), node, -1); }

  void step(int node) {
    const NodePlacement& place = plan_.nodes[index(node)];
    const int scratch = 1000;
    for (std::size_t k = 0; k < nodes_[index(node)].inputs.size(); ++k) {
      const int input = nodes_[index(node)].inputs[k];
      if (input == 0) {
        REQUIRE(place.input_gradient[k] == kNowhere);
        continue;
      }
      const std::int64_t target = place.input_gradient[k];
      const std::int64_t home = plan_.nodes[index(input)].gradient;
      if (written_[index(input)]) {
        // A second reader: beside the sum, then added to it.
        REQUIRE(place.add_to[k] == home);
        for (std::int64_t i = 0; i < nodes_[index(input)].floats; ++i) {
          int& owner = owner_.at(static_cast<std::size_t>(target + i));
          REQUIRE(owner == -1);
          owner = scratch;
        }
        continue;
      }
      REQUIRE(place.add_to[k] == kNowhere);
      REQUIRE(target == home);
      if (target == place.gradient && k == 0 && nodes_[index(node)].backward_in_place) {
        std::replace(owner_.begin(), owner_.end(), node, input);
      } else {
        claim(target, input);
      }
      written_[index(input)] = true;
    }
    release(scratch);
    release(node);
  }

  std::span<const PlanNode> nodes_;
  const Plan& plan_;
  std::vector<int> owner_;
  std::vector<bool> written_;
};

// Every node but the last is read; elementwise ones keep their input's size.
std::vector<PlanNode> random_graph(std::uint64_t seed) {
  Random random(seed);
  std::vector<PlanNode> nodes(1);
  nodes[0].floats = 20;
  std::vector<int> unread;
  const auto count = 2 + random.below(12);
  while (nodes.size() < count || unread.size() > 1) {
    const bool joins = unread.size() > 1 && (nodes.size() >= count || random.chance(0.4));
    const bool forks = !joins && random.chance(0.3);
    const int input = joins || (!forks && !unread.empty())
                          ? unread.back()
                          : static_cast<int>(random.below(nodes.size()));
    PlanNode node{.inputs = {input}, .floats = 1 + static_cast<std::int64_t>(random.below(90))};
    // Two values or more, some of them twice.
    for (std::size_t k = 2; joins && k <= unread.size(); ++k) {
      node.inputs.push_back(unread[unread.size() - k]);
      if (random.chance(0.2)) node.inputs.push_back(node.inputs.front());
      if (random.chance(0.5) || node.inputs.size() + 2 > kMaxInputs) break;
    }
    if (random.chance(0.5)) {
      node.floats = nodes[static_cast<std::size_t>(input)].floats;
      node.forward_in_place = random.chance(0.5) && !joins;
      node.backward_in_place = true;
    }
    for (const int read : node.inputs) std::erase(unread, read);
    unread.push_back(static_cast<int>(nodes.size()));
    nodes.push_back(node);
  }
  return nodes;
}

}  // namespace

TEST_CASE("nn: gradients that live together never share memory", "[unit]") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    const auto nodes = random_graph(seed);
    const Plan plan = plan_memory(nodes);
    Replay(nodes, plan).run();
  }
}

TEST_CASE("nn: values never share memory, but in place of one that nobody else reads", "[unit]") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    const auto nodes = random_graph(seed);
    const Plan plan = plan_memory(nodes);
    for (std::size_t i = 1; i < nodes.size(); ++i) {
      for (std::size_t j = 1; j < i; ++j) {
        const std::int64_t a = plan.nodes[i].value;
        const std::int64_t b = plan.nodes[j].value;
        if (a + nodes[i].floats <= b || b + nodes[j].floats <= a) continue;
        // Equal places: i follows j through in-place layers only, each the only reader of the last.
        REQUIRE(a == b);
        std::size_t follower = i;
        while (follower != j) {
          REQUIRE(nodes[follower].forward_in_place);
          const int input = nodes[follower].inputs.front();
          const auto readers = std::count_if(nodes.begin(), nodes.end(), [&](const PlanNode& n) {
            return std::count(n.inputs.begin(), n.inputs.end(), input) > 0;
          });
          REQUIRE(readers == 1);
          follower = static_cast<std::size_t>(input);
          REQUIRE(follower >= j);
        }
      }
    }
  }
}

TEST_CASE("nn: a chain's gradients need the memory of two", "[unit]") {
  std::vector<PlanNode> nodes(1);
  for (int i = 0; i < 20; ++i) nodes.push_back({.inputs = {i}, .floats = 64});
  REQUIRE(plan_memory(nodes).floats == 20 * 64 + 2 * 64);
}

}  // namespace ps::nn
