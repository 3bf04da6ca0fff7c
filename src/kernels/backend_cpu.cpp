// The CPU's backend: the widest instruction set's tables, on the calling thread.
#include <cstring>

#include "kernels/activation.h"
#include "kernels/add.h"
#include "kernels/backend.h"
#include "kernels/batch_norm_math.h"
#include "kernels/isa.h"

namespace ps::kernels {
namespace {

class CpuBackend final : public Backend {
 public:
  [[nodiscard]] Device device() const override { return {}; }

  [[nodiscard]] Memory allocate(std::size_t bytes) override { return Memory::allocate(bytes); }
  void copy(const float* from, float* to, std::int64_t count) override {
    download(from, to, static_cast<std::size_t>(count) * sizeof(float));
  }
  void zero(float* to, std::int64_t count) override {
    if (count > 0) std::memset(to, 0, static_cast<std::size_t>(count) * sizeof(float));
  }
  void upload(const void* host, void* to, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, host, bytes);
  }
  void download(const void* from, void* host, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(host, from, bytes);
  }
  void wait() override {}

  void activate(const Activation& f, const float* x, float* y, std::int64_t count) override {
    activation(isa_).forward(f, x, y, count);
  }
  void activate_backward(const Activation& f,
                         const float* x,
                         const float* dy,
                         float* dx,
                         std::int64_t count) override {
    activation(isa_).backward(f, x, dy, dx, count);
  }

  void add(const float* a, const float* b, float* y, std::int64_t count) override {
    kernels::add(isa_).run(a, b, y, count);
  }

  void scale(float* x, std::int64_t count, float factor) override {
    for (std::int64_t i = 0; i < count; ++i) x[i] *= factor;
  }

  void batch_norm_training(
      const BatchNorm& norm, const float* x, float* y, float* mean, float* variance) override {
    batch_norm(isa_).forward_training(norm, x, y, mean, variance);
  }
  void batch_norm_evaluation(const BatchNorm& norm,
                             const float* x,
                             float* y,
                             const float* mean,
                             const float* variance) override {
    batch_norm(isa_).forward_evaluation(norm, x, y, mean, variance);
  }
  void batch_norm_backward(const BatchNorm& norm, const BatchNormBackward& arguments) override {
    batch_norm(isa_).backward(norm, arguments);
  }
  void track(const Tracking& tracking,
             const float* batch,
             const float* running,
             float* next) override {
    for (std::int64_t i = 0; i < tracking.channels; ++i) {
      next[i] = tracked(tracking, batch[i], running[i]);
    }
  }

  void bias(const Bias& shape, const float* bias, float* y) override {
    kernels::bias(isa_).forward(shape, bias, y);
  }
  void bias_backward(const Bias& shape, const float* dy, float* dbias) override {
    kernels::bias(isa_).backward(shape, dy, dbias);
  }

  [[nodiscard]] std::int64_t convolution_workspace(const Convolution& shape) const override {
    return convolution_workspace_floats(shape);
  }
  void convolve(const Convolution& shape, const float* x, const float* weights, float* y) override {
    convolution(isa_).forward(shape, x, weights, y);
  }
  void convolve_backward_data(const Convolution& shape,
                              const float* dy,
                              const float* weights,
                              float* dx) override {
    convolution(isa_).backward_data(shape, dy, weights, dx);
  }
  void convolve_backward_weights(const Convolution& shape,
                                 const float* x,
                                 const float* dy,
                                 float* dweights) override {
    convolution(isa_).backward_weights(shape, x, dy, dweights);
  }

  [[nodiscard]] std::int64_t linear_workspace(const Linear& /*linear*/) const override {
    return kGemmWorkspaceFloats;
  }
  void linear(const Linear& linear,
              const float* x,
              const float* weights,
              const float* bias,
              float* y) override {
    kernels::linear(isa_).forward(linear, x, weights, bias, y);
  }
  void linear_backward_data(const Linear& linear,
                            const float* dy,
                            const float* weights,
                            float* dx) override {
    kernels::linear(isa_).backward_data(linear, dy, weights, dx);
  }
  void linear_backward_weights(const Linear& linear,
                               const float* x,
                               const float* dy,
                               float* dweights,
                               float* dbias) override {
    kernels::linear(isa_).backward_weights(linear, x, dy, dweights, dbias);
  }

  void join(const JoinedPart& shape, const float* part, float* whole) override {
    kernels::join(isa_).put(shape, part, whole);
  }
  void take(const JoinedPart& shape, const float* whole, float* part) override {
    kernels::join(isa_).take(shape, whole, part);
  }
  void join_alone(const JoinedPart& shape, const float* part, float* whole) override {
    kernels::join(isa_).put_alone(shape, part, whole);
  }

  void max_pool(const MaxPool& pool, const float* x, float* y, std::int32_t* winners) override {
    kernels::max_pool(isa_).forward(pool, x, y, winners);
  }
  void max_pool_backward(const MaxPool& pool,
                         const float* dy,
                         const std::int32_t* winners,
                         float* dx) override {
    kernels::max_pool(isa_).backward(pool, dy, winners, dx);
  }
  void average_pool(std::int64_t planes, std::int64_t plane, const float* x, float* y) override {
    kernels::average_pool(isa_).forward(planes, plane, x, y);
  }
  void average_pool_backward(std::int64_t planes,
                             std::int64_t plane,
                             const float* dy,
                             float* dx) override {
    kernels::average_pool(isa_).backward(planes, plane, dy, dx);
  }

  void pad(const Pad& pad, const float* x, float* y) override {
    kernels::pad(isa_).forward(pad, x, y);
  }
  void pad_backward(const Pad& pad, const float* dy, float* dx) override {
    kernels::pad(isa_).backward(pad, dy, dx);
  }

  void upsample(const Upsample& shape, const float* x, float* y) override {
    kernels::upsample(isa_).forward(shape, x, y);
  }
  void upsample_backward(const Upsample& shape, const float* dy, float* dx) override {
    kernels::upsample(isa_).backward(shape, dy, dx);
  }

  void softmax_cross_entropy(const SoftmaxCrossEntropy& shape,
                             const float* logits,
                             const std::int32_t* labels,
                             float* dlogits,
                             ClassificationLoss* loss) override {
    *loss = kernels::softmax_cross_entropy(isa_).run(shape, logits, labels, dlogits);
  }

 private:
  const Isa isa_ = best_isa();
};

}  // namespace

std::unique_ptr<Backend> cpu_backend() {
  return std::make_unique<CpuBackend>();
}

std::unique_ptr<Backend> make_backend(const Device& device, Precision precision) {
  return device.kind == DeviceKind::kCpu ? cpu_backend() : cuda_backend(device.index, precision);
}

}  // namespace ps::kernels
