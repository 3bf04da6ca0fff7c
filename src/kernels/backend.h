// A device's operations on arrays of its own memory: the CPU's at once, a GPU's in the order of one
// stream. What a network computes with. What each operation computes, and the shapes of its arrays,
// say the headers of its parameter types; the names are theirs.
//
// On a GPU every function enqueues and returns; results are there for what comes later on the
// stream, and for the host after wait(). Nothing allocates but allocate(), which is for the start.
// Pointers are to memory of this backend unless they say host. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include <ps/device.h>

#include "base/buffer.h"
#include "kernels/activation.h"
#include "kernels/batch_norm.h"
#include "kernels/bias.h"
#include "kernels/convolution.h"
#include "kernels/device.h"
#include "kernels/join.h"
#include "kernels/linear.h"
#include "kernels/pad.h"
#include "kernels/pool.h"
#include "kernels/softmax_cross_entropy.h"
#include "kernels/upsample.h"

namespace ps::kernels {

class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  [[nodiscard]] virtual Device device() const = 0;
  // What the operations are enqueued on; null on the CPU, where they are done at once.
  [[nodiscard]] virtual const StreamView* queue() const noexcept { return nullptr; }

  // --- Memory. `floats` and `count` are numbers of floats.

  // Zeroed and aligned. Only this backend's functions may touch a GPU's.
  [[nodiscard]] virtual Memory allocate(std::size_t bytes) = 0;
  virtual void copy(const float* from, float* to, std::int64_t count) = 0;
  virtual void zero(float* to, std::int64_t count) = 0;
  // From and to the host's memory, which must stay as it is until the stream has got there.
  virtual void upload(const void* host, void* to, std::size_t bytes) = 0;
  virtual void download(const void* from, void* host, std::size_t bytes) = 0;
  // Returns when all is done; throws what went wrong.
  virtual void wait() = 0;

  // --- Operations

  virtual void activate(const Activation& f, const float* x, float* y, std::int64_t count) = 0;
  virtual void activate_backward(
      const Activation& f, const float* x, const float* dy, float* dx, std::int64_t count) = 0;

  virtual void add(const float* a, const float* b, float* y, std::int64_t count) = 0;
  // x *= factor.
  virtual void scale(float* x, std::int64_t count, float factor) = 0;

  virtual void batch_norm_training(
      const BatchNorm& norm, const float* x, float* y, float* mean, float* variance) = 0;
  virtual void batch_norm_evaluation(const BatchNorm& norm,
                                     const float* x,
                                     float* y,
                                     const float* mean,
                                     const float* variance) = 0;
  virtual void batch_norm_backward(const BatchNorm& norm, const BatchNormBackward& arguments) = 0;
  // next[i] = (1 - share) * running[i] + share * scale * batch[i], in float64: running statistics.
  virtual void track(const Tracking& tracking,
                     const float* batch,
                     const float* running,
                     float* next) = 0;

  virtual void bias(const Bias& shape, const float* bias, float* y) = 0;
  virtual void bias_backward(const Bias& shape, const float* dy, float* dbias) = 0;

  // The workspace that `shape.workspace` must have here, in floats.
  [[nodiscard]] virtual std::int64_t convolution_workspace(const Convolution& shape) const = 0;
  virtual void convolve(const Convolution& shape,
                        const float* x,
                        const float* weights,
                        float* y) = 0;
  virtual void convolve_backward_data(const Convolution& shape,
                                      const float* dy,
                                      const float* weights,
                                      float* dx) = 0;
  virtual void convolve_backward_weights(const Convolution& shape,
                                         const float* x,
                                         const float* dy,
                                         float* dweights) = 0;

  [[nodiscard]] virtual std::int64_t linear_workspace(const Linear& linear) const = 0;
  virtual void linear(
      const Linear& linear, const float* x, const float* weights, const float* bias, float* y) = 0;
  virtual void linear_backward_data(const Linear& linear,
                                    const float* dy,
                                    const float* weights,
                                    float* dx) = 0;
  virtual void linear_backward_weights(
      const Linear& linear, const float* x, const float* dy, float* dweights, float* dbias) = 0;

  virtual void join(const JoinedPart& shape, const float* part, float* whole) = 0;
  virtual void take(const JoinedPart& shape, const float* whole, float* part) = 0;
  virtual void join_alone(const JoinedPart& shape, const float* part, float* whole) = 0;

  virtual void max_pool(const MaxPool& pool, const float* x, float* y, std::int32_t* winners) = 0;
  virtual void max_pool_backward(const MaxPool& pool,
                                 const float* dy,
                                 const std::int32_t* winners,
                                 float* dx) = 0;
  virtual void average_pool(std::int64_t planes, std::int64_t plane, const float* x, float* y) = 0;
  virtual void average_pool_backward(std::int64_t planes,
                                     std::int64_t plane,
                                     const float* dy,
                                     float* dx) = 0;

  virtual void pad(const Pad& pad, const float* x, float* y) = 0;
  virtual void pad_backward(const Pad& pad, const float* dy, float* dx) = 0;

  virtual void upsample(const Upsample& shape, const float* x, float* y) = 0;
  virtual void upsample_backward(const Upsample& shape, const float* dy, float* dx) = 0;

  // *loss is written, too: a ClassificationLoss in this backend's memory.
  virtual void softmax_cross_entropy(const SoftmaxCrossEntropy& shape,
                                     const float* logits,
                                     const std::int32_t* labels,
                                     float* dlogits,
                                     ClassificationLoss* loss) = 0;
};

// Of the CPU: the widest instruction set's kernels, on the calling thread.
std::unique_ptr<Backend> cpu_backend();
// On a stream of its own of that device. Throws Error{kUnavailable} if there is none.
std::unique_ptr<Backend> cuda_backend(int device, Precision precision = Precision::kFp32);
std::unique_ptr<Backend> make_backend(const Device& device, Precision precision = Precision::kFp32);

}  // namespace ps::kernels
