// Two launches a pass: the channels' sums, then the values. What the first leaves for each slice of
// a channel, the second's blocks add again, each for itself.
#include "kernels/activation_math.h"
#include "kernels/batch_norm.h"
#include "kernels/batch_norm_math.h"
#include "kernels/channels.cuh"
#include "kernels/cuda_backend.h"
#include "kernels/moments.cuh"

namespace ps::kernels {
namespace {

using Index = std::int64_t;

// What the kernels need of a BatchNorm.
struct Norm {
  const float* gamma;
  const float* beta;
  float epsilon;
  int silu;
};

__device__ __forceinline__ NormLine line_of(const Norm& norm,
                                            Index channel,
                                            float mean,
                                            float inverse) {
  return norm_line(norm.gamma[channel], norm.beta[channel], mean, inverse);
}

struct Statistics {
  float mean;
  float variance;
};

// Where they go: of several slices the moments, of one the results.
struct ChannelOutputs {
  Moments* partial;
  float* mean;
  float* variance;
};

template <int kWidth>
__global__ void __launch_bounds__(kBlock)
    moments_kernel(Planes<kWidth> planes, int slices, const float* x, ChannelOutputs out) {
  __shared__ Moments shared[kBlock / kWarp];
  const Slice slice = slice_of_block(planes.packs(), slices);
  Moments own{};
  for (Index first = slice.begin + threadIdx.x; first < slice.end; first += kUnroll * kBlock) {
    Pack<kWidth> group[kUnroll] = {};
    int packs = 0;
    for (int i = 0; i < kUnroll; ++i) {
      const Index pack = first + i * kBlock;
      if (pack >= slice.end) continue;
      group[i] = load<kWidth>(x + planes.offset(slice.channel, pack));
      packs = i + 1;
    }
    merge(&own, moments_of(group, packs));
  }
  const Moments m = merge_block(own, shared);
  if (threadIdx.x != 0) return;
  if (slices > 1) {
    out.partial[blockIdx.x] = m;
  } else {
    out.mean[slice.channel] = static_cast<float>(m.mean);
    out.variance[slice.channel] =
        static_cast<float>(m.squares / static_cast<double>(planes.floats()));
  }
}

// All threads of the block get them; if they come in slices, the channel's first block saves them.
__device__ Statistics statistics_of(const Slice& piece,
                                    Index floats,
                                    int slices,
                                    const ChannelOutputs& out) {
  if (slices == 1) return {out.mean[piece.channel], out.variance[piece.channel]};
  __shared__ Statistics shared;
  if (warp_index() == 0) {
    const int lane = lane_index();
    Moments m{};
    if (lane < slices) m = out.partial[piece.channel * slices + lane];
    m = merge_warp(m);
    if (lane == 0) {
      shared = {static_cast<float>(m.mean),
                static_cast<float>(m.squares / static_cast<double>(floats))};
      if (piece.number == 0) {
        out.mean[piece.channel] = shared.mean;
        out.variance[piece.channel] = shared.variance;
      }
    }
  }
  __syncthreads();
  return shared;
}

template <int kWidth>
__global__ void __launch_bounds__(kBlock) normalize_kernel(Planes<kWidth> planes,
                                                           Norm norm,
                                                           int pieces,
                                                           int slices,
                                                           const float* x,
                                                           float* y,
                                                           ChannelOutputs out) {
  const Slice piece = slice_of_block(planes.packs(), pieces);
  const Statistics s = statistics_of(piece, planes.floats(), slices, out);
  const NormLine line =
      line_of(norm, piece.channel, s.mean, inverse_deviation(s.variance, norm.epsilon));
  for (Index pack = piece.begin + threadIdx.x; pack < piece.end; pack += kBlock) {
    const Index offset = planes.offset(piece.channel, pack);
    Pack<kWidth> values = load<kWidth>(x + offset);
    for (float& value : values.at) {
      value = line.at(value);
      if (norm.silu != 0) value = Silu{}.forward(value);
    }
    store<kWidth>(y + offset, values);
  }
}

// The gradient before the activation.
__device__ float inner_gradient(const Norm& norm, const NormLine& line, float x, float dy) {
  return norm.silu != 0 ? Silu{}.backward(line.at(x), dy) : dy;
}

// Blocks that a multiprocessor shall hold at once, as many as the smallest can: without the number
// ptxas aims at more, and spills.
constexpr int kBlocks = 4;

// Sums that the input's gradient is made of: of dy, and of dy * (x - mean).
struct Sums {
  double dy;
  double dy_x;
};

template <int kWidth>
__global__ void __launch_bounds__(kBlock, kBlocks) gradient_sums_kernel(
    Planes<kWidth> planes, Norm norm, BatchNormBackward a, int slices, Sums* partial) {
  __shared__ double shared[kBlock / kWarp];
  const Slice slice = slice_of_block(planes.packs(), slices);
  const float inverse = inverse_deviation(a.variance[slice.channel], norm.epsilon);
  const NormLine line = line_of(norm, slice.channel, a.mean[slice.channel], inverse);
  Sums sums{};
  for (Index first = slice.begin + threadIdx.x; first < slice.end; first += kUnroll * kBlock) {
    // A few in float32: operations in float64 are rare on many devices.
    float dy_sum = 0.0F;
    float dy_x_sum = 0.0F;
    for (int i = 0; i < kUnroll; ++i) {
      const Index pack = first + i * kBlock;
      if (pack >= slice.end) continue;
      const Index offset = planes.offset(slice.channel, pack);
      const Pack<kWidth> x = load<kWidth>(a.x + offset);
      const Pack<kWidth> dy = load<kWidth>(a.dy + offset);
      for (int k = 0; k < kWidth; ++k) {
        const float inner = inner_gradient(norm, line, x.at[k], dy.at[k]);
        dy_sum += inner;
        dy_x_sum += inner * (x.at[k] - line.mean);
      }
    }
    sums.dy += double{dy_sum};
    sums.dy_x += double{dy_x_sum};
  }
  sums.dy = block_sum(sums.dy, shared);
  sums.dy_x = block_sum(sums.dy_x, shared);
  if (threadIdx.x != 0) return;
  if (slices > 1) {
    partial[blockIdx.x] = sums;
  } else {
    a.dbeta[slice.channel] = static_cast<float>(sums.dy);
    a.dgamma[slice.channel] = static_cast<float>(sums.dy_x * double{inverse});
  }
}

struct ParameterGradients {
  float dgamma;
  float dbeta;
};

// All threads of the block get them; if they come in slices, the channel's first block saves them.
__device__ ParameterGradients gradients_of(const Slice& piece,
                                           float inverse,
                                           int slices,
                                           const Sums* partial,
                                           const BatchNormBackward& a) {
  if (slices == 1) return {a.dgamma[piece.channel], a.dbeta[piece.channel]};
  __shared__ ParameterGradients shared;
  if (warp_index() == 0) {
    const int lane = lane_index();
    Sums sums{};
    if (lane < slices) sums = partial[piece.channel * slices + lane];
    sums.dy = warp_sum(sums.dy);
    sums.dy_x = warp_sum(sums.dy_x);
    if (lane == 0) {
      shared = {static_cast<float>(sums.dy_x * double{inverse}), static_cast<float>(sums.dy)};
      if (piece.number == 0) {
        a.dgamma[piece.channel] = shared.dgamma;
        a.dbeta[piece.channel] = shared.dbeta;
      }
    }
  }
  __syncthreads();
  return shared;
}

template <int kWidth>
__global__ void __launch_bounds__(kBlock) gradient_kernel(Planes<kWidth> planes,
                                                          Norm norm,
                                                          BatchNormBackward a,
                                                          int pieces,
                                                          int slices,
                                                          const Sums* partial) {
  const Slice piece = slice_of_block(planes.packs(), pieces);
  const float inverse = inverse_deviation(a.variance[piece.channel], norm.epsilon);
  const ParameterGradients g = gradients_of(piece, inverse, slices, partial, a);
  if (a.dx == nullptr) return;
  const NormLine line = line_of(norm, piece.channel, a.mean[piece.channel], inverse);
  const NormSlope slope =
      norm_slope(line, inverse, g.dgamma, g.dbeta, static_cast<double>(planes.floats()));
  for (Index pack = piece.begin + threadIdx.x; pack < piece.end; pack += kBlock) {
    const Index offset = planes.offset(piece.channel, pack);
    const Pack<kWidth> x = load<kWidth>(a.x + offset);
    Pack<kWidth> values = load<kWidth>(a.dy + offset);
    for (int k = 0; k < kWidth; ++k) {
      // Computed again: storing it would move more bytes than reading its inputs twice.
      const float inner = inner_gradient(norm, line, x.at[k], values.at[k]);
      values.at[k] = slope.at(x.at[k], inner);
    }
    store<kWidth>(a.dx + offset, values);
  }
}

__global__ void track_kernel(Tracking tracking,
                             const float* batch,
                             const float* running,
                             float* next) {
  for (Index i = thread_index(); i < tracking.channels; i += thread_count()) {
    next[i] = tracked(tracking, batch[i], running[i]);
  }
}

// The second launch's blocks a channel.
int pieces_of(Index channels, Index packs) {
  constexpr Index kMostBlocks = 8192;
  const Index wanted = (packs + 2 * kBlock - 1) / (2 * kBlock);
  return static_cast<int>(std::clamp<Index>(wanted, 1, std::max<Index>(kMostBlocks / channels, 1)));
}

Grid grid_of(Index channels, int slices) {
  return {.blocks = dim3(static_cast<unsigned>(channels * slices))};
}

Norm facts_of(const BatchNorm& norm) {
  return {norm.gamma, norm.beta, norm.epsilon, norm.silu ? 1 : 0};
}

bool empty(const BatchNorm& norm) {
  return norm.batch == 0 || norm.channels == 0 || norm.plane == 0;
}

template <int kWidth>
void train(
    StreamView stream, const BatchNorm& norm, const float* x, float* y, const ChannelOutputs& out) {
  const Planes<kWidth> planes(norm.batch, norm.channels, norm.plane);
  const int slices = slices_of(norm.channels, planes.packs(), kUnroll);
  const int pieces = pieces_of(norm.channels, planes.packs());
  launch(stream, grid_of(norm.channels, slices), moments_kernel<kWidth>, planes, slices, x, out);
  launch(stream, grid_of(norm.channels, pieces), normalize_kernel<kWidth>, planes, facts_of(norm),
         pieces, slices, x, y, out);
}

template <int kWidth>
void differentiate(StreamView stream,
                   const BatchNorm& norm,
                   const BatchNormBackward& a,
                   Sums* partial) {
  const Planes<kWidth> planes(norm.batch, norm.channels, norm.plane);
  const int slices = slices_of(norm.channels, planes.packs(), kUnroll);
  const int pieces = a.dx == nullptr ? 1 : pieces_of(norm.channels, planes.packs());
  launch(stream, grid_of(norm.channels, slices), gradient_sums_kernel<kWidth>, planes,
         facts_of(norm), a, slices, partial);
  if (a.dx == nullptr && slices == 1) return;
  launch(stream, grid_of(norm.channels, pieces), gradient_kernel<kWidth>, planes, facts_of(norm), a,
         pieces, slices, partial);
}

}  // namespace

void CudaBackend::batch_norm_training(
    const BatchNorm& norm, const float* x, float* y, float* mean, float* variance) {
  if (empty(norm)) return;
  const DeviceGuard guard = guard_on();
  const ChannelOutputs out{scratch<Moments>(kMostPartials), mean, variance};
  if (norm.plane % 4 == 0 && aligned(x, y)) {
    train<4>(stream_, norm, x, y, out);
  } else {
    train<1>(stream_, norm, x, y, out);
  }
}

void CudaBackend::batch_norm_evaluation(
    const BatchNorm& norm, const float* x, float* y, const float* mean, const float* variance) {
  if (empty(norm)) return;
  const DeviceGuard guard = guard_on();
  const auto normalize = [&](const auto& planes, auto kernel) {
    const int pieces = pieces_of(norm.channels, planes.packs());
    // Of one slice they are only read.
    const ChannelOutputs given{nullptr, const_cast<float*>(mean), const_cast<float*>(variance)};
    launch(stream_, grid_of(norm.channels, pieces), kernel, planes, facts_of(norm), pieces, 1, x, y,
           given);
  };
  if (norm.plane % 4 == 0 && aligned(x, y)) {
    normalize(Planes<4>(norm.batch, norm.channels, norm.plane), normalize_kernel<4>);
  } else {
    normalize(Planes<1>(norm.batch, norm.channels, norm.plane), normalize_kernel<1>);
  }
}

void CudaBackend::batch_norm_backward(const BatchNorm& norm, const BatchNormBackward& arguments) {
  if (empty(norm)) return;
  const DeviceGuard guard = guard_on();
  const bool packs = norm.plane % 4 == 0 && aligned(arguments.x, arguments.dy, arguments.dx);
  Sums* partial = scratch<Sums>(kMostPartials);
  packs ? differentiate<4>(stream_, norm, arguments, partial)
        : differentiate<1>(stream_, norm, arguments, partial);
}

void CudaBackend::track(const Tracking& tracking,
                        const float* batch,
                        const float* running,
                        float* next) {
  if (tracking.channels == 0) return;
  const DeviceGuard guard = guard_on();
  launch(stream_, grid_over(tracking.channels), track_kernel, tracking, batch, running, next);
}

}  // namespace ps::kernels
