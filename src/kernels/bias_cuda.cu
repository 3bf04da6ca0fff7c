#include "kernels/bias.h"
#include "kernels/channels.cuh"
#include "kernels/cuda_backend.h"

namespace ps::kernels {
namespace {

using Index = std::int64_t;

// y [.., channels, by_plane's packs] += bias.
template <int kWidth>
__global__ void add_kernel(
    Index packs, Divisor by_plane, Divisor by_channels, const float* bias, float* y) {
  for (Index i = thread_index(); i < packs; i += thread_count()) {
    const Index row = by_plane.quotient(i);
    const float value = bias[row - by_channels.quotient(row) * by_channels.value()];
    Pack<kWidth> values = load<kWidth>(y + i * kWidth);
    for (float& at : values.at) at += value;
    store<kWidth>(y + i * kWidth, values);
  }
}

constexpr int kUnroll = 4;

// Of several slices the sums into `partial`.
template <int kWidth>
__global__ void __launch_bounds__(kBlock)
    sums_kernel(Planes<kWidth> planes, int slices, const float* dy, double* partial, float* dbias) {
  __shared__ double shared[kBlock / kWarp];
  const Slice slice = slice_of_block(planes.packs(), slices);
  double total = 0.0;
  for (Index first = slice.begin + threadIdx.x; first < slice.end; first += kUnroll * kBlock) {
    float sum = 0.0F;  // a few in float32: operations in float64 are rare on many devices
    for (int i = 0; i < kUnroll; ++i) {
      const Index pack = first + i * kBlock;
      if (pack >= slice.end) continue;
      const Pack<kWidth> values = load<kWidth>(dy + planes.offset(slice.channel, pack));
      for (const float value : values.at) sum += value;
    }
    total += double{sum};
  }
  total = block_sum(total, shared);
  if (threadIdx.x != 0) return;
  if (slices > 1) {
    partial[blockIdx.x] = total;
  } else {
    dbias[slice.channel] = static_cast<float>(total);
  }
}

// A warp for each channel's slices.
__global__ void __launch_bounds__(kBlock)
    add_slices_kernel(Index channels, int slices, const double* partial, float* dbias) {
  const Index channel = thread_index() / kWarp;
  if (channel >= channels) return;
  const int lane = lane_index();
  const double total = warp_sum(lane < slices ? partial[channel * slices + lane] : 0.0);
  if (lane == 0) dbias[channel] = static_cast<float>(total);
}

// Planes of one value: neighbouring threads have neighbouring channels, a block kWarp of them.
__global__ void __launch_bounds__(kBlock)
    columns_kernel(Index rows, Index channels, const float* dy, float* dbias) {
  constexpr int kParts = kBlock / kWarp;
  __shared__ double shared[kParts][kWarp];
  const int lane = lane_index();
  const int part = warp_index();
  const Index channel = static_cast<Index>(blockIdx.x) * kWarp + lane;
  double total = 0.0;
  if (channel < channels) {
    for (Index row = part; row < rows; row += kParts) total += double{dy[row * channels + channel]};
  }
  shared[part][lane] = total;
  __syncthreads();
  if (part != 0 || channel >= channels) return;
  for (int other = 1; other < kParts; ++other) total += shared[other][lane];
  dbias[channel] = static_cast<float>(total);
}

template <int kWidth>
void add_bias(StreamView stream, const Bias& shape, const float* bias, float* y) {
  const Index packs = shape.batch * shape.channels * shape.plane / kWidth;
  launch(stream, grid_over(packs), add_kernel<kWidth>, packs, Divisor(shape.plane / kWidth),
         Divisor(shape.channels), bias, y);
}

template <int kWidth>
void sum_planes(
    StreamView stream, const Bias& shape, const float* dy, double* partial, float* dbias) {
  const Planes<kWidth> planes(shape.batch, shape.channels, shape.plane);
  const int slices = slices_of(shape.channels, planes.packs(), kUnroll);
  const Grid grid{.blocks = dim3(static_cast<unsigned>(shape.channels * slices))};
  launch(stream, grid, sums_kernel<kWidth>, planes, slices, dy, partial, dbias);
  if (slices > 1) {
    // Fewer channels than kSliceBlocks.
    launch(stream, grid_over(shape.channels * kWarp), add_slices_kernel, shape.channels, slices,
           partial, dbias);
  }
}

}  // namespace

void CudaBackend::bias(const Bias& shape, const float* bias, float* y) {
  if (shape.batch == 0 || shape.channels == 0 || shape.plane == 0) return;
  const DeviceGuard guard = guard_on();
  shape.plane % 4 == 0 && aligned(y) ? add_bias<4>(stream_, shape, bias, y)
                                     : add_bias<1>(stream_, shape, bias, y);
}

void CudaBackend::bias_backward(const Bias& shape, const float* dy, float* dbias) {
  if (shape.channels == 0) return;
  if (shape.batch == 0 || shape.plane == 0) return zero(dbias, shape.channels);
  const DeviceGuard guard = guard_on();
  if (shape.plane == 1) {
    const Grid grid{.blocks = dim3(static_cast<unsigned>((shape.channels + kWarp - 1) / kWarp))};
    return launch(stream_, grid, columns_kernel, shape.batch, shape.channels, dy, dbias);
  }
  auto* partial = scratch<double>(kMostPartials);
  shape.plane % 4 == 0 && aligned(dy) ? sum_planes<4>(stream_, shape, dy, partial, dbias)
                                      : sum_planes<1>(stream_, shape, dy, partial, dbias);
}

}  // namespace ps::kernels
