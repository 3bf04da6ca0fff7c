// The compute kernels on one core: FLOP/s of products and convolutions, values/s of the rest. What
// a convolution can reach is the gemm line of the same run. On a shared host run them interleaved:
// --benchmark_enable_random_interleaving=true --benchmark_repetitions=9.
#include <benchmark/benchmark.h>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "kernels/activation.h"
#include "kernels/batch_norm.h"
#include "kernels/convolution.h"
#include "kernels/gemm.h"
#include "kernels/isa.h"
#include "kernels/pool.h"

namespace {

using namespace ps;  // NOLINT: a program of its own

std::vector<float> random_floats(std::int64_t count) {
  Random random(1);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(random.uniform(-1.0, 1.0));
  return values;
}

void count_flops(benchmark::State& state, std::int64_t flops) {
  state.counters["FLOP/s"] =
      benchmark::Counter(static_cast<double>(flops), benchmark::Counter::kIsIterationInvariantRate);
}

void count_values(benchmark::State& state, std::int64_t values) {
  state.SetItemsProcessed(state.iterations() * values);
}

void gemm(benchmark::State& state) {
  const std::int64_t m = state.range(0);
  const std::int64_t n = state.range(1);
  const std::int64_t k = state.range(2);
  const auto a = random_floats(m * k);
  const auto b = random_floats(k * n);
  std::vector<float> c(static_cast<std::size_t>(m * n));
  std::vector<float> workspace(kernels::kGemmWorkspaceFloats);
  for (auto _ : state) {
    kernels::gemm(kernels::best_isa())
        .run({.m = m,
              .n = n,
              .k = k,
              .a = a.data(),
              .a_stride = k,
              .b = b.data(),
              .b_stride = n,
              .c = c.data(),
              .c_stride = n,
              .workspace = workspace.data()});
    benchmark::ClobberMemory();
  }
  count_flops(state, 2 * m * n * k);
}
BENCHMARK(gemm)->ArgNames({"m", "n", "k"})->Args({1024, 1024, 1024})->Args({64, 784, 288});

enum Pass { kForward, kBackwardData, kBackwardWeights };

struct Arrays {
  std::vector<float> x, y, weights, dx, dweights, workspace;
};

void convolution(benchmark::State& state, Pass pass) {
  kernels::Convolution shape{.batch = state.range(0),
                             .channels = state.range(1),
                             .height = state.range(3),
                             .width = state.range(3),
                             .out_channels = state.range(2),
                             .kernel = state.range(4),
                             .stride = state.range(5),
                             .padding = state.range(4) / 2};
  const std::int64_t inputs = shape.batch * shape.channels * shape.height * shape.width;
  const std::int64_t pixels = shape.batch * shape.out_height() * shape.out_width();
  const std::int64_t weights = shape.out_channels * shape.channels * shape.kernel * shape.kernel;
  Arrays a{.x = random_floats(inputs),
           .y = random_floats(pixels * shape.out_channels),
           .weights = random_floats(weights),
           .dx = random_floats(inputs),
           .dweights = random_floats(weights),
           .workspace = random_floats(kernels::convolution_workspace_floats(shape))};
  shape.workspace = a.workspace.data();
  const kernels::ConvolutionOps& ops = kernels::convolution(kernels::best_isa());
  for (auto _ : state) {
    if (pass == kForward) ops.forward(shape, a.x.data(), a.weights.data(), a.y.data());
    if (pass == kBackwardData) {
      ops.backward_data(shape, a.y.data(), a.weights.data(), a.dx.data());
    }
    if (pass == kBackwardWeights) {
      ops.backward_weights(shape, a.x.data(), a.y.data(), a.dweights.data());
    }
    benchmark::ClobberMemory();
  }
  count_flops(state, 2 * pixels * weights);
}

void convolution_shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"batch", "in", "out", "size", "kernel", "stride"});
  b->Args({64, 1, 32, 28, 3, 1})->Args({64, 32, 64, 28, 3, 1})->Args({64, 32, 64, 14, 3, 1});
  b->Args({8, 3, 16, 160, 3, 1})->Args({8, 32, 64, 160, 3, 2})->Args({8, 256, 256, 20, 3, 1});
  b->Args({8, 128, 64, 40, 1, 1});
}
BENCHMARK_CAPTURE(convolution, forward, kForward)->Apply(convolution_shapes);
BENCHMARK_CAPTURE(convolution, backward_data, kBackwardData)->Apply(convolution_shapes);
BENCHMARK_CAPTURE(convolution, backward_weights, kBackwardWeights)->Apply(convolution_shapes);

// The sizes of a first layer: [64, 32, 28 x 28].
constexpr std::int64_t kBatch = 64;
constexpr std::int64_t kChannels = 32;
constexpr std::int64_t kSize = 28;
constexpr std::int64_t kValues = kBatch * kChannels * kSize * kSize;

void activation(benchmark::State& state, kernels::ActivationKind kind, bool back) {
  const auto x = random_floats(kValues);
  const auto dy = random_floats(kValues);
  auto y = random_floats(kValues);
  const kernels::ActivationOps& ops = kernels::activation(kernels::best_isa());
  const kernels::Activation f{.kind = kind, .slope = 0.1F};
  for (auto _ : state) {
    if (back) {
      ops.backward(f, x.data(), dy.data(), y.data(), kValues);
    } else {
      ops.forward(f, x.data(), y.data(), kValues);
    }
    benchmark::ClobberMemory();
  }
  count_values(state, kValues);
}
BENCHMARK_CAPTURE(activation, relu_forward, kernels::ActivationKind::kRelu, false);
BENCHMARK_CAPTURE(activation, silu_forward, kernels::ActivationKind::kSilu, false);
BENCHMARK_CAPTURE(activation, silu_backward, kernels::ActivationKind::kSilu, true);

void batch_norm(benchmark::State& state, bool back) {
  const auto x = random_floats(kValues);
  const auto dy = random_floats(kValues);
  auto y = random_floats(kValues);
  auto gamma = random_floats(kChannels);
  auto mean = random_floats(kChannels);
  std::vector<float> variance(kChannels, 1.0F);
  auto dgamma = random_floats(kChannels);
  const kernels::BatchNorm norm{.batch = kBatch,
                                .channels = kChannels,
                                .plane = kSize * kSize,
                                .gamma = gamma.data(),
                                .beta = gamma.data()};
  const kernels::BatchNormOps& ops = kernels::batch_norm(kernels::best_isa());
  for (auto _ : state) {
    if (back) {
      ops.backward(norm, {.x = x.data(),
                          .mean = mean.data(),
                          .variance = variance.data(),
                          .dy = dy.data(),
                          .dx = y.data(),
                          .dgamma = dgamma.data(),
                          .dbeta = mean.data()});
    } else {
      ops.forward_training(norm, x.data(), y.data(), mean.data(), variance.data());
    }
    benchmark::ClobberMemory();
  }
  count_values(state, kValues);
}
BENCHMARK_CAPTURE(batch_norm, forward, false);
BENCHMARK_CAPTURE(batch_norm, backward, true);

void max_pool(benchmark::State& state, bool back) {
  const auto x = random_floats(kValues);
  auto y = random_floats(kValues / 4);
  auto dx = random_floats(kValues);
  std::vector<std::int32_t> winners(kValues / 4);
  const kernels::MaxPool pool{.planes = kBatch * kChannels, .height = kSize, .width = kSize};
  const kernels::MaxPoolOps& ops = kernels::max_pool(kernels::best_isa());
  for (auto _ : state) {
    if (back) {
      ops.backward(pool, y.data(), winners.data(), dx.data());
    } else {
      ops.forward(pool, x.data(), y.data(), winners.data());
    }
    benchmark::ClobberMemory();
  }
  count_values(state, kValues);
}
BENCHMARK_CAPTURE(max_pool, forward, false);
BENCHMARK_CAPTURE(max_pool, backward, true);

}  // namespace
