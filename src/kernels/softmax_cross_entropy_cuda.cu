// Three launches: how many samples are valid, each sample by a warp, and the loss from the blocks'
// shares of it.
#include "kernels/activation_math.h"
#include "kernels/cuda_backend.h"
#include "kernels/device_math.cuh"
#include "kernels/softmax_cross_entropy.h"

namespace ps::kernels {
namespace {

using Index = std::int64_t;

__device__ __forceinline__ bool valid(std::int32_t label, Index classes) {
  return label >= 0 && label < classes;
}

__global__ void __launch_bounds__(kBlock)
    count_kernel(SoftmaxCrossEntropy shape, const std::int32_t* labels, ClassificationLoss* loss) {
  __shared__ Index shared[kBlock / kWarp];
  Index samples = 0;
  for (Index n = threadIdx.x; n < shape.batch; n += kBlock) {
    samples += valid(labels[n], shape.classes) ? 1 : 0;
  }
  samples = block_sum(samples, shared);
  if (threadIdx.x == 0) *loss = {0.0, samples, 0};
}

// A row's largest value and where it stands: the first of equals.
struct Largest {
  float value;
  Index at;
};

__device__ __forceinline__ Largest largest_of(const float* row, Index classes) {
  // As one that compares one after the other, from the first: a NaN wins only if it is that one.
  Largest best{row[0], 0};
  for (Index i = lane_index(); i < classes; i += kWarp) {
    if (row[i] > best.value) best = {row[i], i};
  }
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const Largest other{__shfl_xor_sync(kAllLanes, best.value, distance),
                        __shfl_xor_sync(kAllLanes, best.at, distance)};
    if (other.value > best.value || (other.value == best.value && other.at < best.at)) best = other;
  }
  return best;
}

__global__ void __launch_bounds__(kBlock) rows_kernel(SoftmaxCrossEntropy shape,
                                                      const float* logits,
                                                      const std::int32_t* labels,
                                                      float* dlogits,
                                                      const ClassificationLoss* counted,
                                                      ClassificationLoss* partial) {
  __shared__ double losses[kBlock / kWarp];
  __shared__ Index hits[kBlock / kWarp];
  const Index classes = shape.classes;
  const double share = counted->samples == 0 ? 0.0 : 1.0 / static_cast<double>(counted->samples);
  double loss = 0.0;
  Index correct = 0;
  for (Index n = thread_index() / kWarp; n < shape.batch; n += thread_count() / kWarp) {
    const float* row = logits + n * classes;
    float* gradient = dlogits == nullptr ? nullptr : dlogits + n * classes;
    const std::int32_t label = labels[n];
    if (!valid(label, classes)) {
      if (gradient == nullptr) continue;
      for (Index i = lane_index(); i < classes; i += kWarp) gradient[i] = 0.0F;
      continue;
    }
    const Largest best = largest_of(row, classes);
    const float wanted = row[label];
    double total = 0.0;
    // Relative to the largest, so that nothing overflows.
    for (Index i = lane_index(); i < classes; i += kWarp) {
      total += double{exponential(row[i] - best.value)};
    }
    total = __shfl_sync(kAllLanes, warp_sum(total), 0);
    if (lane_index() == 0) {
      loss += log(total) - (double{wanted} - double{best.value});
      correct += best.at == label ? 1 : 0;
    }
    if (gradient == nullptr) continue;
    const auto scale = static_cast<float>(share / total);
    for (Index i = lane_index(); i < classes; i += kWarp) {
      const float value = exponential(row[i] - best.value) * scale;
      gradient[i] = i == label ? value - static_cast<float>(share) : value;
    }
  }
  loss = block_sum(loss, losses);
  correct = block_sum(correct, hits);
  if (threadIdx.x == 0) partial[blockIdx.x] = {loss, 0, correct};
}

__global__ void __launch_bounds__(kBlock)
    loss_kernel(int blocks, const ClassificationLoss* partial, ClassificationLoss* loss) {
  __shared__ double losses[kBlock / kWarp];
  __shared__ Index hits[kBlock / kWarp];
  const auto thread = static_cast<int>(threadIdx.x);
  const double total = block_sum(thread < blocks ? partial[thread].loss : 0.0, losses);
  const Index correct = block_sum(thread < blocks ? partial[thread].correct : Index{0}, hits);
  if (thread != 0) return;
  loss->loss = loss->samples == 0 ? 0.0 : total * (1.0 / static_cast<double>(loss->samples));
  loss->correct = correct;
}

}  // namespace

void CudaBackend::softmax_cross_entropy(const SoftmaxCrossEntropy& shape,
                                        const float* logits,
                                        const std::int32_t* labels,
                                        float* dlogits,
                                        ClassificationLoss* loss) {
  const DeviceGuard guard = guard_on();
  const Index blocks =
      std::clamp<Index>((shape.batch + kBlock / kWarp - 1) / (kBlock / kWarp), 1, kBlock);
  const Grid grid{.blocks = dim3(static_cast<unsigned>(blocks))};
  auto* partial = scratch<ClassificationLoss>(blocks);
  launch(stream_, Grid{}, count_kernel, shape, labels, loss);
  if (shape.batch == 0) return;
  launch(stream_, grid, rows_kernel, shape, logits, labels, dlogits, loss, partial);
  launch(stream_, Grid{}, loss_kernel, static_cast<int>(blocks), partial, loss);
}

}  // namespace ps::kernels
