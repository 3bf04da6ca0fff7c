// The GPU's backend. Each operation's functions are defined in its X_cuda.cu, beside its kernels.
#pragma once

#include <memory>

#include "base/assert.h"
#include "kernels/backend.h"
#include "kernels/device.h"

namespace ps::kernels {

// Matrix products by cuBLAS, on one stream (blas_cuda.cpp).
class Blas;

class CudaBackend final : public Backend {
 public:
  CudaBackend(int device, Precision precision);
  ~CudaBackend() override;

  [[nodiscard]] StreamView stream() const noexcept { return stream_; }
  [[nodiscard]] const StreamView* queue() const noexcept override { return &queue_; }

  [[nodiscard]] Device device() const override;
  [[nodiscard]] Memory allocate(std::size_t bytes) override;
  void copy(const float* from, float* to, std::int64_t count) override;
  void zero(float* to, std::int64_t count) override;
  void upload(const void* host, void* to, std::size_t bytes) override;
  void download(const void* from, void* host, std::size_t bytes) override;
  void wait() override;

  void activate(const Activation& f, const float* x, float* y, std::int64_t count) override;
  void activate_backward(
      const Activation& f, const float* x, const float* dy, float* dx, std::int64_t count) override;

  void add(const float* a, const float* b, float* y, std::int64_t count) override;
  void scale(float* x, std::int64_t count, float factor) override;

  void batch_norm_training(
      const BatchNorm& norm, const float* x, float* y, float* mean, float* variance) override;
  void batch_norm_evaluation(const BatchNorm& norm,
                             const float* x,
                             float* y,
                             const float* mean,
                             const float* variance) override;
  void batch_norm_backward(const BatchNorm& norm, const BatchNormBackward& arguments) override;
  void track(const Tracking& tracking,
             const float* batch,
             const float* running,
             float* next) override;

  void bias(const Bias& shape, const float* bias, float* y) override;
  void bias_backward(const Bias& shape, const float* dy, float* dbias) override;

  [[nodiscard]] std::int64_t convolution_workspace(const Convolution& shape) const override;
  void convolve(const Convolution& shape, const float* x, const float* weights, float* y) override;
  void convolve_backward_data(const Convolution& shape,
                              const float* dy,
                              const float* weights,
                              float* dx) override;
  void convolve_backward_weights(const Convolution& shape,
                                 const float* x,
                                 const float* dy,
                                 float* dweights) override;

  [[nodiscard]] std::int64_t linear_workspace(const Linear& linear) const override;
  void linear(const Linear& linear,
              const float* x,
              const float* weights,
              const float* bias,
              float* y) override;
  void linear_backward_data(const Linear& linear,
                            const float* dy,
                            const float* weights,
                            float* dx) override;
  void linear_backward_weights(const Linear& linear,
                               const float* x,
                               const float* dy,
                               float* dweights,
                               float* dbias) override;

  void join(const JoinedPart& shape, const float* part, float* whole) override;
  void take(const JoinedPart& shape, const float* whole, float* part) override;
  void join_alone(const JoinedPart& shape, const float* part, float* whole) override;

  void max_pool(const MaxPool& pool, const float* x, float* y, std::int32_t* winners) override;
  void max_pool_backward(const MaxPool& pool,
                         const float* dy,
                         const std::int32_t* winners,
                         float* dx) override;
  void average_pool(std::int64_t planes, std::int64_t plane, const float* x, float* y) override;
  void average_pool_backward(std::int64_t planes,
                             std::int64_t plane,
                             const float* dy,
                             float* dx) override;

  void pad(const Pad& pad, const float* x, float* y) override;
  void pad_backward(const Pad& pad, const float* dy, float* dx) override;

  void upsample(const Upsample& shape, const float* x, float* y) override;
  void upsample_backward(const Upsample& shape, const float* dy, float* dx) override;

  void softmax_cross_entropy(const SoftmaxCrossEntropy& shape,
                             const float* logits,
                             const std::int32_t* labels,
                             float* dlogits,
                             ClassificationLoss* loss) override;

 private:
  DeviceGuard guard_on() const { return DeviceGuard(stream_.view().device()); }

  // Memory for what an operation's launches hand on to each other: they are done in order.
  template <class T>
  [[nodiscard]] T* scratch(std::int64_t count) const {
    PS_ASSERT(static_cast<std::size_t>(count) * sizeof(T) <= scratch_.size(), "kScratchBytes");
    return scratch_.as<T>();
  }

  Stream stream_;
  StreamView queue_ = stream_;
  DeviceBuffer scratch_;
  std::unique_ptr<Blas> blas_;
};

}  // namespace ps::kernels
