// Bytes per second of the fused update against y += x on arrays of the same size, one thread. The
// bytes are those of update.h's count, so a perfect pass reaches y += x. On a shared host run them
// interleaved: --benchmark_enable_random_interleaving=true --benchmark_repetitions=9.
#include <benchmark/benchmark.h>
#include <cstdint>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "kernels/finite.h"
#include "kernels/isa.h"
#include "kernels/reduce.h"
#include "kernels/update.h"

namespace {

using namespace ps;  // NOLINT: a program of its own

constexpr std::size_t kElements = std::size_t{16} << 20;  // 64 MiB

Memory filled(float value) {
  Memory memory = Memory::allocate(kElements * sizeof(float));
  for (float& x : memory.as<float>()) x = value;
  return memory;
}

void count_bytes(benchmark::State& state, std::size_t bytes_per_element) {
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>(kElements * bytes_per_element));
}

void add(benchmark::State& state) {
  const kernels::ReduceOps& ops = kernels::reduce(kernels::best_isa());
  const Memory x = filled(1e-6F);
  const Memory y = filled(1.0F);
  for (auto _ : state) {
    ops.add(y.as<float>().data(), x.as<float>().data(), 1.0F, kElements);
    benchmark::ClobberMemory();
  }
  count_bytes(state, 12);
}

void finite(benchmark::State& state) {
  const Memory x = filled(1.0F);
  for (auto _ : state) benchmark::DoNotOptimize(kernels::all_finite(x.as<float>()));
  count_bytes(state, 4);
}

// The arrays of one update of everything: range(0) contributions, in place unless range(1).
class Arrays {
 public:
  explicit Arrays(const benchmark::State& state) {
    for (std::int64_t i = 0; i < state.range(0); ++i) {
      gradients_.push_back(filled(1e-6F));
      terms_.push_back({.values = gradients_.back().as<float>().data(), .weight = 32.0F});
    }
    if (state.range(1) != 0) new_weights_ = filled(0.0F);
    pass.size = kElements;
    pass.weights = weights_.as<float>().data();
    pass.new_weights = new_weights_.as<float>().data();
    pass.state = state_.as<float>().data();
    pass.state2 = state2_.as<float>().data();
    pass.gradient.contributions = terms_.data();
    pass.gradient.count = terms_.size();
    pass.gradient.divisor = 32.0F * static_cast<float>(terms_.size());
  }

  kernels::UpdatePass pass;

 private:
  Memory weights_ = filled(1.0F);
  Memory new_weights_ = weights_;
  Memory state_ = filled(0.0F);
  Memory state2_ = filled(1e-6F);
  std::vector<Memory> gradients_;
  std::vector<kernels::WeightedValues> terms_;
};

void momentum(benchmark::State& state) {
  const kernels::UpdateOps& ops = kernels::update(kernels::best_isa());
  const Arrays arrays(state);
  const kernels::MomentumRule rule{.lr = 1e-3F, .weight_decay = 1e-4F, .momentum = 0.9F};
  for (auto _ : state) benchmark::DoNotOptimize(ops.momentum(arrays.pass, rule));
  count_bytes(state, 4 * static_cast<std::size_t>(state.range(0)) + 16);
}

void adam(benchmark::State& state) {
  const kernels::UpdateOps& ops = kernels::update(kernels::best_isa());
  const Arrays arrays(state);
  const kernels::AdamRule rule{.step = 1e-3F,
                               .root_scale = 1.0F,
                               .beta1 = 0.9F,
                               .rest1 = 0.1F,
                               .beta2 = 0.999F,
                               .rest2 = 0.001F,
                               .epsilon = 1e-8F};
  for (auto _ : state) benchmark::DoNotOptimize(ops.adam(arrays.pass, rule));
  count_bytes(state, 4 * static_cast<std::size_t>(state.range(0)) + 24);
}

// Any other rule; its states are counted by what the pass touches.
template <class Rule>
void rule_of(benchmark::State& state, bool (*pass)(const kernels::UpdatePass&, const Rule&)) {
  const Arrays arrays(state);
  Rule rule;
  if constexpr (requires { rule.lr; }) rule.lr = 1e-3F;
  if constexpr (requires { rule.epsilon; }) rule.epsilon = 1e-8F;
  if constexpr (requires { rule.rate; }) rule.rate = 1e-3F;
  for (auto _ : state) benchmark::DoNotOptimize(pass(arrays.pass, rule));
  count_bytes(state, 4 * static_cast<std::size_t>(state.range(0)) + 8 + 8 * Rule::kStates);
}

void sgd(benchmark::State& state) {
  rule_of(state, kernels::update(kernels::best_isa()).sgd);
}
void nesterov(benchmark::State& state) {
  rule_of(state, kernels::update(kernels::best_isa()).nesterov);
}
void adagrad(benchmark::State& state) {
  rule_of(state, kernels::update(kernels::best_isa()).adagrad);
}
void rmsprop(benchmark::State& state) {
  rule_of(state, kernels::update(kernels::best_isa()).rmsprop);
}
void lars(benchmark::State& state) {
  rule_of(state, kernels::update(kernels::best_isa()).lars);
}
void rmsprop_momentum(benchmark::State& state) {
  rule_of(state, kernels::update(kernels::best_isa()).rmsprop_momentum);
}
void lamb_direction(benchmark::State& state) {
  rule_of(state, kernels::update(kernels::best_isa()).lamb);
}
void ftrl(benchmark::State& state) {
  rule_of(state, kernels::update(kernels::best_isa()).ftrl);
}
void ema(benchmark::State& state) {
  rule_of(state, kernels::update(kernels::best_isa()).ema);
}

BENCHMARK(add);
BENCHMARK(sgd)->ArgNames({"n", "copy"})->Args({1, 0});
BENCHMARK(nesterov)->ArgNames({"n", "copy"})->Args({1, 0});
BENCHMARK(adagrad)->ArgNames({"n", "copy"})->Args({1, 0});
BENCHMARK(rmsprop)->ArgNames({"n", "copy"})->Args({1, 0});
BENCHMARK(rmsprop_momentum)->ArgNames({"n", "copy"})->Args({1, 0});
BENCHMARK(lars)->ArgNames({"n", "copy"})->Args({1, 0});
BENCHMARK(lamb_direction)->ArgNames({"n", "copy"})->Args({1, 0});
BENCHMARK(ftrl)->ArgNames({"n", "copy"})->Args({1, 0});
BENCHMARK(ema)->ArgNames({"n", "copy"})->Args({1, 0});
BENCHMARK(finite);
BENCHMARK(momentum)->ArgNames({"n", "copy"})->ArgsProduct({{1, 2, 4}, {0, 1}});
BENCHMARK(adam)->ArgNames({"n", "copy"})->ArgsProduct({{1, 2, 4}, {0, 1}});

}  // namespace
