// The fused update on the CPU. Contributions are summed tile by tile in the first-level cache, so
// each is read from memory once whatever their number.
#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "kernels/finite_math.h"
#include "kernels/reduce_cpu.h"
#include "kernels/update.h"

// Iterations do not depend on each other, although new weights may replace the old ones in place.
#if defined(__clang__)
#define PS_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#pragma clang diagnostic ignored "-Wpass-failed"  // sanitizers' checks keep it from vectorizing
#else
#define PS_INDEPENDENT _Pragma("GCC ivdep")
#endif

namespace ps::kernels::PS_ISA {
namespace {

// Many vectors are read at once, each in short pieces, which hardware prefetchers follow badly:
// short tiles that are fetched a little ahead reach the memory's speed (docs/optimizers.md).
constexpr std::size_t kTile = 128;
constexpr std::size_t kAhead = 256;

PS_HOST_DEVICE void fetch(const float* values) {
  constexpr std::size_t kCacheLine = 64 / sizeof(float);
  for (std::size_t i = 0; i < kTile; i += kCacheLine) __builtin_prefetch(values + i);
}

template <class Rule>
void fetch_tile(const UpdatePass& pass, std::size_t begin) {
  fetch(pass.weights + begin);
  if constexpr (Rule::kStates >= 1) fetch(pass.state + begin);
  if constexpr (Rule::kStates == 2) fetch(pass.state2 + begin);
  if (pass.gradient.prefix != nullptr) fetch(pass.gradient.prefix + begin);
  for (std::size_t k = 0; k < pass.gradient.count; ++k) {
    fetch(pass.gradient.contributions[k].values + begin);
  }
}

// The gradient of `count` elements from `begin` on: in `tile`, or where it lies if a lone
// contribution is it already.
const PackedFloat* reduce_tile(const WeightedSum& sum,
                               std::size_t begin,
                               std::size_t count,
                               float* tile) {
  const WeightedValues* next = sum.contributions;
  const WeightedValues* end = next + sum.count;
  const bool as_it_is = sum.divisor == 1.0F && sum.factor == 1.0F;
  if (sum.prefix != nullptr) {
    if (next == end && as_it_is) return sum.prefix + begin;
    start_sum(tile, sum.prefix + begin, 1.0F, count);
  } else {
    if (sum.count == 1 && next->weight == 1.0F && as_it_is) return next->values + begin;
    start_sum(tile, next->values + begin, next->weight, count);
    ++next;
  }
  for (; next != end; ++next) add_to_sum(tile, next->values + begin, next->weight, count);
  if (sum.divisor != 1.0F) divide_sum(tile, sum.divisor, count);
  if (sum.factor != 1.0F) scale_sum(tile, sum.factor, count);
  return tile;
}

// Applies the rule to `count` elements from `begin` on; their weights to `new_weights`. The result
// tells of infinities and NaNs (finite_math.h).
template <class Rule>
std::uint32_t apply(const UpdatePass& pass,
                    const Rule rule,
                    std::size_t begin,
                    std::size_t count,
                    const PackedFloat* gradient,
                    float* new_weights) {
  const float* weights = pass.weights + begin;
  std::uint32_t seen = 0;
  if constexpr (Rule::kStates == 0) {
    PS_INDEPENDENT
    for (std::size_t i = 0; i < count; ++i) {
      const float w = rule(weights[i], gradient[i]);
      new_weights[i] = w;
      seen |= finite_mark(w);
    }
  } else if constexpr (Rule::kStates == 1) {
    float* state = pass.state + begin;
    PS_INDEPENDENT
    for (std::size_t i = 0; i < count; ++i) {
      float v = state[i];
      const float w = rule(weights[i], gradient[i], v);
      state[i] = v;
      new_weights[i] = w;
      seen |= finite_mark(w);
    }
  } else {
    float* state = pass.state + begin;
    float* state2 = pass.state2 + begin;
    PS_INDEPENDENT
    for (std::size_t i = 0; i < count; ++i) {
      float m = state[i];
      float v = state2[i];
      const float w = rule(weights[i], gradient[i], m, v);
      state[i] = m;
      state2[i] = v;
      new_weights[i] = w;
      seen |= finite_mark(w);
    }
  }
  return seen;
}

#if defined(__SSE2__)
// New weights of arrays larger than caches go past them: what they replace is not read first.
constexpr std::size_t kStreamed = (std::size_t{16} << 20) / sizeof(float);
static_assert(kTile % 4 == 0);

bool streams(const UpdatePass& pass) {
  return pass.size >= kStreamed && pass.new_weights != pass.weights &&
         reinterpret_cast<std::uintptr_t>(pass.new_weights) % 16 == 0;
}

void stream_tile(float* to, const float* tile) {
  for (std::size_t i = 0; i < kTile; i += 4) _mm_stream_ps(to + i, _mm_load_ps(tile + i));
}

template <class Rule>
std::uint32_t run_streaming(const UpdatePass& pass, const Rule& rule, std::size_t end) {
  alignas(64) float tile[kTile];
  alignas(64) float fresh[kTile];
  std::uint32_t seen = 0;
  for (std::size_t begin = 0; begin < end; begin += kTile) {
    if (pass.size - begin >= kAhead + kTile) fetch_tile<Rule>(pass, begin + kAhead);
    const PackedFloat* const gradient = reduce_tile(pass.gradient, begin, kTile, tile);
    seen |= apply(pass, rule, begin, kTile, gradient, fresh);
    stream_tile(pass.new_weights + begin, fresh);
  }
  _mm_sfence();  // before whoever is told that they are there
  return seen;
}
#else
bool streams(const UpdatePass& /*pass*/) {
  return false;
}
template <class Rule>
std::uint32_t run_streaming(const UpdatePass&, const Rule&, std::size_t) {
  return 0;
}
#endif

template <class Rule>
bool run(const UpdatePass& pass, const Rule& rule) {
  alignas(64) float tile[kTile];
  std::uint32_t seen = 0;
  std::size_t begin = 0;
  if (streams(pass)) {
    begin = pass.size / kTile * kTile;
    seen = run_streaming(pass, rule, begin);
  }
  for (; begin < pass.size; begin += kTile) {
    const std::size_t left = pass.size - begin;
    const std::size_t count = left < kTile ? left : kTile;
    if (left >= kAhead + kTile) fetch_tile<Rule>(pass, begin + kAhead);
    const PackedFloat* const gradient = reduce_tile(pass.gradient, begin, count, tile);
    seen |= apply(pass, rule, begin, count, gradient, pass.new_weights + begin);
  }
  return is_finite_mark(seen);
}

}  // namespace

extern const UpdateOps update_ops{.sgd = run<SgdRule>,
                                  .momentum = run<MomentumRule>,
                                  .nesterov = run<NesterovRule>,
                                  .adam = run<AdamRule>,
                                  .adagrad = run<AdagradRule>,
                                  .rmsprop = run<RmsPropRule>,
                                  .rmsprop_momentum = run<RmsPropMomentumRule>,
                                  .lars = run<LarsRule>,
                                  .lamb = run<LambRule>,
                                  .ftrl = run<FtrlRule>,
                                  .assign = run<AssignRule>,
                                  .move = run<MoveRule>,
                                  .add = run<AddRule>,
                                  .ema = run<EmaRule>};

}  // namespace ps::kernels::PS_ISA
