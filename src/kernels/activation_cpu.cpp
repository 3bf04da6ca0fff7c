#include "kernels/activation.h"
#include "kernels/activation_math.h"
#include "kernels/lanes.h"

namespace ps::kernels::PS_ISA {
namespace {

template <class F>
void map(F f, const float* x, float* y, std::int64_t count) {
  PS_INDEPENDENT_LOOP
  for (std::int64_t i = 0; i < count; ++i) y[i] = f.forward(x[i]);
}

template <class F>
void map_backward(F f, const float* x, const float* dy, float* dx, std::int64_t count) {
  PS_INDEPENDENT_LOOP
  for (std::int64_t i = 0; i < count; ++i) dx[i] = f.backward(x[i], dy[i]);
}

void forward(const Activation& f, const float* x, float* y, std::int64_t count) {
  switch (f.kind) {
    case ActivationKind::kRelu:
      return map(Relu{}, x, y, count);
    case ActivationKind::kLeakyRelu:
      return map(LeakyRelu{f.slope}, x, y, count);
    case ActivationKind::kSilu:
      return map(Silu{}, x, y, count);
  }
}

void backward(const Activation& f, const float* x, const float* dy, float* dx, std::int64_t count) {
  switch (f.kind) {
    case ActivationKind::kRelu:
      return map_backward(Relu{}, x, dy, dx, count);
    case ActivationKind::kLeakyRelu:
      return map_backward(LeakyRelu{f.slope}, x, dy, dx, count);
    case ActivationKind::kSilu:
      return map_backward(Silu{}, x, dy, dx, count);
  }
}

}  // namespace

extern const ActivationOps activation_ops{.forward = forward, .backward = backward};

}  // namespace ps::kernels::PS_ISA
