#include "kernels/activation.h"
#include "kernels/activation_math.h"
#include "kernels/cuda_backend.h"
#include "kernels/elementwise.cuh"

namespace ps::kernels {
namespace {

template <class F>
struct Forward {
  F f;
  PS_HOST_DEVICE float operator()(float x) const { return f.forward(x); }
};

template <class F>
struct Backward {
  F f;
  PS_HOST_DEVICE float operator()(float x, float dy) const { return f.backward(x, dy); }
};

}  // namespace

void CudaBackend::activate(const Activation& f, const float* x, float* y, std::int64_t count) {
  const DeviceGuard guard = guard_on();
  switch (f.kind) {
    case ActivationKind::kRelu:
      return map(stream_, Forward<Relu>{}, x, y, count);
    case ActivationKind::kLeakyRelu:
      return map(stream_, Forward<LeakyRelu>{{f.slope}}, x, y, count);
    case ActivationKind::kSilu:
      return map(stream_, Forward<Silu>{}, x, y, count);
  }
}

void CudaBackend::activate_backward(
    const Activation& f, const float* x, const float* dy, float* dx, std::int64_t count) {
  const DeviceGuard guard = guard_on();
  switch (f.kind) {
    case ActivationKind::kRelu:
      return zip(stream_, Backward<Relu>{}, x, dy, dx, count);
    case ActivationKind::kLeakyRelu:
      return zip(stream_, Backward<LeakyRelu>{{f.slope}}, x, dy, dx, count);
    case ActivationKind::kSilu:
      return zip(stream_, Backward<Silu>{}, x, dy, dx, count);
  }
}

}  // namespace ps::kernels
