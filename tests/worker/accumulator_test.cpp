#include "worker/accumulator.h"

#include <vector>

#include "support/catch.h"

namespace {

using ps::Memory;
using ps::ParameterKind;
using ps::worker::Accumulator;

void set(const Memory& memory, std::vector<float> values) {
  std::ranges::copy(values, memory.as<float>().begin());
}

std::vector<float> get(const Memory& memory) {
  return {memory.as<float>().begin(), memory.as<float>().end()};
}

}  // namespace

TEST_CASE("accumulator: the step's gradient is the mean over the joined batch", "[unit][worker]") {
  const Memory g = Memory::allocate(2 * sizeof(float));
  Accumulator sums(ps::Reduce::kMean, {{ParameterKind::kTrained, g}});
  for (int step = 0; step < 2; ++step) {  // nothing is left over for a second step
    set(g, {1, -2});
    sums.add(2, 2);
    set(g, {4, 8});
    sums.add(1, 5);
    CHECK(sums.weight() == 3.0);
    CHECK(sums.samples() == 7);
    set(g, {10, 6});
    CHECK(sums.finish(0, 5, true));
    CHECK(get(g) == std::vector<float>{(2 + 4 + 50) / 8.0F, (-4 + 8 + 30) / 8.0F});
    sums.clear();
    CHECK(sums.weight() == 0.0);
    CHECK(sums.samples() == 0);
  }
}

TEST_CASE("accumulator: without an add() a step is what it was", "[unit][worker]") {
  const Memory g = Memory::allocate(sizeof(float));
  Accumulator sums(ps::Reduce::kMean, {{ParameterKind::kTrained, g}});
  set(g, {3});
  sums.add(0, 4);  // samples alone
  CHECK(sums.finish(0, 2, true));
  CHECK_FALSE(sums.finish(0, 2, false));
  CHECK(get(g) == std::vector<float>{3});
  CHECK(sums.samples() == 4);
}

TEST_CASE("accumulator: a step that does not touch a parameter takes what was added",
          "[unit][worker]") {
  const double weight = GENERATE(0.0, 2.0);
  const Memory g = Memory::allocate(sizeof(float));
  Accumulator sums(ps::Reduce::kMean, {{ParameterKind::kTrained, g}});
  set(g, {6});
  sums.add(2, 2);
  set(g, {99});
  CHECK(sums.finish(0, weight, weight == 0));
  CHECK(get(g) == std::vector<float>{weight == 0 ? 6.0F : 3.0F});
}

TEST_CASE("accumulator: what each kind and reduction means by together", "[unit][worker]") {
  const auto together = [](ps::Reduce reduce, ParameterKind kind) {
    const Memory g = Memory::allocate(sizeof(float));
    Accumulator sums(reduce, {{kind, g}});
    set(g, {1});
    sums.add(3, 3);
    set(g, {5});
    sums.finish(0, 1, true);
    return get(g).front();
  };
  CHECK(together(ps::Reduce::kMean, ParameterKind::kTrained) == 2.0F);
  CHECK(together(ps::Reduce::kSum, ParameterKind::kTrained) == 6.0F);
  CHECK(together(ps::Reduce::kSum, ParameterKind::kAverage) == 2.0F);
  CHECK(together(ps::Reduce::kMean, ParameterKind::kAdd) == 6.0F);
  CHECK(together(ps::Reduce::kMean, ParameterKind::kAssign) == 5.0F);
}
