// The fused update on a GPU: a thread takes four elements (one where addresses forbid it) through
// all contributions, the rule and back, so each byte crosses the memory's bus once.
#include "kernels/finite_math.h"
#include "kernels/float4_cuda.cuh"
#include "kernels/update_cuda.h"
#include "kernels/update_math.h"

namespace ps::kernels::gpu {
namespace {

// A WeightedSum as a launch takes it, by value.
struct Terms {
  const float* prefix = nullptr;
  const float* values[kMostContributions] = {};
  float weights[kMostContributions] = {};
  std::size_t count = 0;
  float divisor = 1.0F;
  float factor = 1.0F;
};

struct Vectors {
  std::size_t size;
  const float* weights;
  float* new_weights;
  float* state;
  float* state2;
};

// The gradient of kWidth elements from i on, from left to right (update.h).
template <unsigned kWidth>
__device__ __forceinline__ Floats<kWidth> gradient_at(const Terms& terms, std::size_t i) {
  Floats<kWidth> sum;
  std::size_t k = 0;
  if (terms.prefix != nullptr) {
    sum = load_any<kWidth>(terms.prefix + i);
  } else {
    sum = load_any<kWidth>(terms.values[0] + i);
    for (float& x : sum.at) x = terms.weights[0] * x;
    k = 1;
  }
  for (; k < terms.count; ++k) {
    const Floats<kWidth> next = load_any<kWidth>(terms.values[k] + i);
    const float weight = terms.weights[k];
#pragma unroll
    for (unsigned j = 0; j < kWidth; ++j) sum.at[j] = add_weighted(sum.at[j], weight, next.at[j]);
  }
  if (terms.divisor != 1.0F) {
    for (float& x : sum.at) x /= terms.divisor;
  }
  if (terms.factor != 1.0F) {
    for (float& x : sum.at) x *= terms.factor;
  }
  return sum;
}

template <unsigned kWidth, class Rule>
__device__ __forceinline__ std::uint32_t apply(const Vectors& vectors,
                                               const Terms& terms,
                                               const Rule& rule,
                                               std::size_t i) {
  const Floats<kWidth> g = gradient_at<kWidth>(terms, i);
  Floats<kWidth> w = load_aligned<kWidth>(vectors.weights + i);
  Floats<kWidth> state;
  Floats<kWidth> state2;
  if constexpr (Rule::kStates >= 1) state = load_aligned<kWidth>(vectors.state + i);
  if constexpr (Rule::kStates == 2) state2 = load_aligned<kWidth>(vectors.state2 + i);
  std::uint32_t seen = 0;
#pragma unroll
  for (unsigned j = 0; j < kWidth; ++j) {
    if constexpr (Rule::kStates == 0) {
      w.at[j] = rule(w.at[j], g.at[j]);
    } else if constexpr (Rule::kStates == 1) {
      w.at[j] = rule(w.at[j], g.at[j], state.at[j]);
    } else {
      w.at[j] = rule(w.at[j], g.at[j], state.at[j], state2.at[j]);
    }
    seen |= finite_mark(w.at[j]);
  }
  store_aligned<kWidth>(vectors.new_weights + i, w);
  if constexpr (Rule::kStates >= 1) store_aligned<kWidth>(vectors.state + i, state);
  if constexpr (Rule::kStates == 2) store_aligned<kWidth>(vectors.state2 + i, state2);
  return seen;
}

template <unsigned kWidth, class Rule>
__global__ void update_kernel(const Vectors vectors,
                              const Terms terms,
                              const Rule rule,
                              std::uint32_t* not_finite) {
  std::uint32_t seen = 0;
  for_each<kWidth>(vectors.size, [&](auto width, std::size_t i) {
    seen |= apply<decltype(width)::kValue>(vectors, terms, rule, i);
  });
  if (!is_finite_mark(seen)) atomicOr(not_finite, 1U);
}

template <unsigned kWidth>
__global__ void fold_kernel(float* sum, const Terms terms, std::size_t size) {
  for_each<kWidth>(size, [&](auto width, std::size_t i) {
    constexpr unsigned kN = decltype(width)::kValue;
    store_aligned<kN>(sum + i, gradient_at<kN>(terms, i));
  });
}

// The first `count` contributions after `done`, on top of the prefix.
Terms terms_of(const WeightedSum& sum, const float* prefix, std::size_t done, std::size_t count) {
  Terms terms;
  terms.prefix = prefix;
  terms.count = count;
  for (std::size_t k = 0; k < count; ++k) {
    terms.values[k] = sum.contributions[done + k].values;
    terms.weights[k] = sum.contributions[done + k].weight;
  }
  return terms;
}

void fold(float* sum, const Terms& terms, std::size_t size, StreamView stream) {
  const Grid grid = grid_over(static_cast<std::int64_t>(size + 3) / 4);
  if (aligned16(sum)) {
    launch(stream, grid, fold_kernel<4>, sum, terms, size);
  } else {
    launch(stream, grid_over(static_cast<std::int64_t>(size)), fold_kernel<1>, sum, terms, size);
  }
}

}  // namespace

template <class Rule>
void update(const UpdatePass& pass,
            const Rule& rule,
            float* scratch,
            std::uint32_t* not_finite,
            StreamView stream) {
  if (pass.size == 0) return;
  const DeviceGuard guard(stream.device());
  const WeightedSum& gradient = pass.gradient;
  const float* prefix = gradient.prefix;
  std::size_t done = 0;
  for (; gradient.count - done > kMostContributions; done += kMostContributions) {
    fold(scratch, terms_of(gradient, prefix, done, kMostContributions), pass.size, stream);
    prefix = scratch;
  }
  Terms terms = terms_of(gradient, prefix, done, gradient.count - done);
  terms.divisor = gradient.divisor;
  terms.factor = gradient.factor;
  const Vectors vectors{.size = pass.size,
                        .weights = pass.weights,
                        .new_weights = pass.new_weights,
                        .state = Rule::kStates >= 1 ? pass.state : nullptr,
                        .state2 = Rule::kStates == 2 ? pass.state2 : nullptr};
  const auto size = static_cast<std::int64_t>(pass.size);
  if (aligned16(vectors.weights) && aligned16(vectors.new_weights) && aligned16(vectors.state) &&
      aligned16(vectors.state2)) {
    launch(stream, grid_over((size + 3) / 4), update_kernel<4, Rule>, vectors, terms, rule,
           not_finite);
  } else {
    launch(stream, grid_over(size), update_kernel<1, Rule>, vectors, terms, rule, not_finite);
  }
}

#define PS_UPDATE_CUDA(Rule) \
  template void update(const UpdatePass&, const Rule&, float*, std::uint32_t*, StreamView);
PS_FOR_EACH_UPDATE_RULE(PS_UPDATE_CUDA)
#undef PS_UPDATE_CUDA

void start_sum(float* sum, const float* values, float weight, std::size_t size, StreamView stream) {
  if (size == 0) return;
  const DeviceGuard guard(stream.device());
  Terms terms;
  terms.values[0] = values;
  terms.weights[0] = weight;
  terms.count = 1;
  fold(sum, terms, size, stream);
}

void add_to_sum(
    float* sum, const float* values, float weight, std::size_t size, StreamView stream) {
  if (size == 0) return;
  const DeviceGuard guard(stream.device());
  Terms terms;
  terms.prefix = sum;
  terms.values[0] = values;
  terms.weights[0] = weight;
  terms.count = 1;
  fold(sum, terms, size, stream);
}

void divide_sum(float* sum, float divisor, std::size_t size, StreamView stream) {
  if (size == 0) return;
  const DeviceGuard guard(stream.device());
  Terms terms;
  terms.prefix = sum;
  terms.divisor = divisor;
  fold(sum, terms, size, stream);
}

}  // namespace ps::kernels::gpu
