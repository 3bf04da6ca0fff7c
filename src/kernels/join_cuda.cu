#include "kernels/cuda_backend.h"
#include "kernels/device_math.cuh"
#include "kernels/join.h"

namespace ps::kernels {
namespace {

using Index = std::int64_t;

// All in packs: of a sample's `floats` (the divisor) of the part, and of the whole.
template <int kWidth>
__global__ void put_kernel(Index packs,
                           Divisor by_floats,
                           Index offset,
                           Index whole_size,
                           const float* part,
                           float* whole) {
  for (Index i = thread_index(); i < packs; i += thread_count()) {
    const Index sample = by_floats.quotient(i);
    const Index place = sample * whole_size + offset + i - sample * by_floats.value();
    store<kWidth>(whole + place * kWidth, load<kWidth>(part + i * kWidth));
  }
}

template <int kWidth>
__global__ void take_kernel(Index packs,
                            Divisor by_floats,
                            Index offset,
                            Index whole_size,
                            const float* whole,
                            float* part) {
  for (Index i = thread_index(); i < packs; i += thread_count()) {
    const Index sample = by_floats.quotient(i);
    const Index place = sample * whole_size + offset + i - sample * by_floats.value();
    store<kWidth>(part + i * kWidth, load<kWidth>(whole + place * kWidth));
  }
}

template <int kWidth>
__global__ void put_alone_kernel(
    Index packs, Divisor by_whole, Index offset, Index floats, const float* part, float* whole) {
  for (Index i = thread_index(); i < packs; i += thread_count()) {
    const Index sample = by_whole.quotient(i);
    const Index within = i - sample * by_whole.value() - offset;
    Pack<kWidth> values = {};
    if (within >= 0 && within < floats) {
      values = load<kWidth>(part + (sample * floats + within) * kWidth);
    }
    store<kWidth>(whole + i * kWidth, values);
  }
}

bool in_packs(const JoinedPart& shape, const float* part, const float* whole) {
  return shape.floats % 4 == 0 && shape.offset % 4 == 0 && shape.whole % 4 == 0 &&
         aligned(part, whole);
}

// Over the part's packs.
template <int kWidth, class Kernel, class From, class To>
void over_part(StreamView stream, const JoinedPart& shape, Kernel kernel, From from, To to) {
  const Index packs = shape.batch * shape.floats / kWidth;
  launch(stream, grid_over(packs), kernel, packs, Divisor(shape.floats / kWidth),
         shape.offset / kWidth, shape.whole / kWidth, from, to);
}

template <int kWidth>
void over_whole(StreamView stream, const JoinedPart& shape, const float* part, float* whole) {
  const Index packs = shape.batch * shape.whole / kWidth;
  launch(stream, grid_over(packs), put_alone_kernel<kWidth>, packs, Divisor(shape.whole / kWidth),
         shape.offset / kWidth, shape.floats / kWidth, part, whole);
}

}  // namespace

void CudaBackend::join(const JoinedPart& shape, const float* part, float* whole) {
  if (shape.batch * shape.floats == 0) return;
  const DeviceGuard guard = guard_on();
  in_packs(shape, part, whole) ? over_part<4>(stream_, shape, put_kernel<4>, part, whole)
                               : over_part<1>(stream_, shape, put_kernel<1>, part, whole);
}

void CudaBackend::take(const JoinedPart& shape, const float* whole, float* part) {
  if (shape.batch * shape.floats == 0) return;
  const DeviceGuard guard = guard_on();
  in_packs(shape, part, whole) ? over_part<4>(stream_, shape, take_kernel<4>, whole, part)
                               : over_part<1>(stream_, shape, take_kernel<1>, whole, part);
}

void CudaBackend::join_alone(const JoinedPart& shape, const float* part, float* whole) {
  if (shape.batch * shape.whole == 0) return;
  const DeviceGuard guard = guard_on();
  in_packs(shape, part, whole) ? over_whole<4>(stream_, shape, part, whole)
                               : over_whole<1>(stream_, shape, part, whole);
}

}  // namespace ps::kernels
