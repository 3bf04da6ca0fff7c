// Kernels over arrays whose every output needs the inputs of its own index only. An output may be
// an input.
#pragma once

#include <cstdint>

#include "kernels/device_math.cuh"

namespace ps::kernels {

// y[i] = f(x[i]), the first 4 * packs of them four at a time.
template <class F>
__global__ void map_kernel(F f, const float* x, float* y, std::int64_t packs, std::int64_t count) {
  for (std::int64_t i = thread_index(); i < packs; i += thread_count()) {
    Pack<4> values = load<4>(x + 4 * i);
    for (float& value : values.at) value = f(value);
    store<4>(y + 4 * i, values);
  }
  for (std::int64_t i = 4 * packs + thread_index(); i < count; i += thread_count()) y[i] = f(x[i]);
}

// y[i] = f(a[i], b[i]).
template <class F>
__global__ void zip_kernel(
    F f, const float* a, const float* b, float* y, std::int64_t packs, std::int64_t count) {
  for (std::int64_t i = thread_index(); i < packs; i += thread_count()) {
    Pack<4> values = load<4>(a + 4 * i);
    const Pack<4> others = load<4>(b + 4 * i);
    for (int k = 0; k < 4; ++k) values.at[k] = f(values.at[k], others.at[k]);
    store<4>(y + 4 * i, values);
  }
  for (std::int64_t i = 4 * packs + thread_index(); i < count; i += thread_count()) {
    y[i] = f(a[i], b[i]);
  }
}

template <class F>
void map(StreamView stream, F f, const float* x, float* y, std::int64_t count) {
  if (count <= 0) return;
  const std::int64_t packs = aligned(x, y) ? count / 4 : 0;
  launch(stream, grid_over(packs > 0 ? packs : count), map_kernel<F>, f, x, y, packs, count);
}

template <class F>
void zip(StreamView stream, F f, const float* a, const float* b, float* y, std::int64_t count) {
  if (count <= 0) return;
  const std::int64_t packs = aligned(a, b, y) ? count / 4 : 0;
  launch(stream, grid_over(packs > 0 ? packs : count), zip_kernel<F>, f, a, b, y, packs, count);
}

}  // namespace ps::kernels
