#include "kernels/cuda_backend.h"
#include "kernels/device_math.cuh"
#include "kernels/pool.h"

namespace ps::kernels {
namespace {

using Index = std::int64_t;

// A plane's pixel, of those of an array.
struct Pixel {
  Index plane;
  Index row;
  Index column;
};

__device__ __forceinline__ Pixel pixel_at(const Divisor& width,
                                          const Divisor& height,
                                          Index index) {
  const Index rows = width.quotient(index);
  const Index plane = height.quotient(rows);
  return {plane, rows - plane * height.value(), index - rows * width.value()};
}

// A thread for each output.
__global__ void max_kernel(MaxPool pool,
                           Index count,
                           Divisor out_width,
                           Divisor out_height,
                           const float* x,
                           float* y,
                           std::int32_t* winners) {
  for (Index i = thread_index(); i < count; i += thread_count()) {
    const Pixel at = pixel_at(out_width, out_height, i);
    const float* plane = x + at.plane * pool.height * pool.width;
    const Index row = at.row * pool.stride - pool.padding;
    const Index column = at.column * pool.stride - pool.padding;
    const Index last_row = row + pool.kernel < pool.height ? row + pool.kernel : pool.height;
    const Index last_column = column + pool.kernel < pool.width ? column + pool.kernel : pool.width;
    const Index first_row = row < 0 ? 0 : row;
    const Index first_column = column < 0 ? 0 : column;
    Index winner = first_row * pool.width + first_column;
    float best = -__builtin_inff();
    for (Index r = first_row; r < last_row; ++r) {
      for (Index c = first_column; c < last_column; ++c) {
        const float value = plane[r * pool.width + c];
        const bool wins = value > best || value != value;
        best = wins ? value : best;
        winner = wins ? r * pool.width + c : winner;
      }
    }
    y[i] = best;
    winners[i] = static_cast<std::int32_t>(winner);
  }
}

// The windows that see a pixel, along one axis: [first, last).
struct Windows {
  Index first;
  Index last;
};

__device__ __forceinline__ Windows windows_at(const MaxPool& pool,
                                              const Divisor& stride,
                                              Index pixel,
                                              Index positions) {
  const Index end = pixel + pool.padding;  // the last window begins there or before
  const Index before = end - pool.kernel;  // those that begin here or before have passed
  const Index last = stride.quotient(end) + 1;
  return {before < 0 ? 0 : stride.quotient(before) + 1, last < positions ? last : positions};
}

// A thread for each input: it asks the windows that see it, in order, for what it has won.
__global__ void max_backward_kernel(MaxPool pool,
                                    Index count,
                                    Divisor width,
                                    Divisor height,
                                    Divisor stride,
                                    const float* dy,
                                    const std::int32_t* winners,
                                    float* dx) {
  const Index out_height = pool.out_height();
  const Index out_width = pool.out_width();
  for (Index i = thread_index(); i < count; i += thread_count()) {
    const Pixel at = pixel_at(width, height, i);
    const auto own = static_cast<std::int32_t>(at.row * pool.width + at.column);
    const Windows rows = windows_at(pool, stride, at.row, out_height);
    const Windows columns = windows_at(pool, stride, at.column, out_width);
    float total = 0.0F;
    for (Index row = rows.first; row < rows.last; ++row) {
      const Index begin = (at.plane * out_height + row) * out_width;
      for (Index column = columns.first; column < columns.last; ++column) {
        if (winners[begin + column] == own) total += dy[begin + column];
      }
    }
    dx[i] = total;
  }
}

// A warp for each plane.
__global__ void __launch_bounds__(kBlock)
    average_kernel(Index planes, Index plane, const float* x, float* y) {
  const Index first = thread_index() / kWarp;
  for (Index p = first; p < planes; p += thread_count() / kWarp) {
    double total = 0.0;
    float sum = 0.0F;  // a few in float32: operations in float64 are rare on many devices
    int pending = 0;
    for (Index i = lane_index(); i < plane; i += kWarp) {
      sum += x[p * plane + i];
      if (++pending < 16) continue;
      total += double{sum};
      sum = 0.0F;
      pending = 0;
    }
    total = warp_sum(total + double{sum});
    if (lane_index() == 0) y[p] = static_cast<float>(total / static_cast<double>(plane));
  }
}

__global__ void average_backward_kernel(
    Index count, Divisor by_plane, float share, const float* dy, float* dx) {
  for (Index i = thread_index(); i < count; i += thread_count()) {
    dx[i] = dy[by_plane.quotient(i)] * share;
  }
}

}  // namespace

void CudaBackend::max_pool(const MaxPool& pool, const float* x, float* y, std::int32_t* winners) {
  const Index count = pool.planes * pool.out_height() * pool.out_width();
  if (count == 0) return;
  const DeviceGuard guard = guard_on();
  launch(stream_, grid_over(count), max_kernel, pool, count, Divisor(pool.out_width()),
         Divisor(pool.out_height()), x, y, winners);
}

void CudaBackend::max_pool_backward(const MaxPool& pool,
                                    const float* dy,
                                    const std::int32_t* winners,
                                    float* dx) {
  const Index count = pool.planes * pool.height * pool.width;
  if (count == 0) return;
  const DeviceGuard guard = guard_on();
  launch(stream_, grid_over(count), max_backward_kernel, pool, count, Divisor(pool.width),
         Divisor(pool.height), Divisor(pool.stride), dy, winners, dx);
}

void CudaBackend::average_pool(Index planes, Index plane, const float* x, float* y) {
  if (planes == 0) return;
  const DeviceGuard guard = guard_on();
  launch(stream_, grid_over(planes * kWarp), average_kernel, planes, plane, x, y);
}

void CudaBackend::average_pool_backward(Index planes, Index plane, const float* dy, float* dx) {
  if (planes * plane == 0) return;
  const DeviceGuard guard = guard_on();
  launch(stream_, grid_over(planes * plane), average_backward_kernel, planes * plane,
         Divisor(plane), 1.0F / static_cast<float>(plane), dy, dx);
}

}  // namespace ps::kernels
