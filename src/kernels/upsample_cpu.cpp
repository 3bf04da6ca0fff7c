#include "kernels/lanes.h"
#include "kernels/upsample.h"

namespace ps::kernels::PS_ISA {
namespace {

using Index = std::int64_t;

// `Factor` is a number that the compiler knows or not: an Index, or Two.
struct Two {
  constexpr operator Index() const { return 2; }  // NOLINT(*-explicit-*): stands for an Index
};

template <class Factor>
void enlarge(const Upsample& shape, Factor factor, const float* x, float* y) {
  const Index width = shape.width;
  for (Index row = 0; row < shape.planes * shape.height; ++row) {
    const float* in = x + row * width;
    for (Index copy = 0; copy < factor; ++copy) {
      float* out = y + (row * factor + copy) * width * factor;
      PS_INDEPENDENT_LOOP
      for (Index i = 0; i < width; ++i) {
        for (Index k = 0; k < factor; ++k) out[i * factor + k] = in[i];
      }
    }
  }
}

template <class Factor>
void reduce(const Upsample& shape, Factor factor, const float* dy, float* dx) {
  const Index width = shape.width;
  for (Index row = 0; row < shape.planes * shape.height; ++row) {
    float* out = dx + row * width;
    fill(out, width, 0.0F);
    for (Index copy = 0; copy < factor; ++copy) {
      const float* in = dy + (row * factor + copy) * width * factor;
      PS_INDEPENDENT_LOOP
      for (Index i = 0; i < width; ++i) {
        for (Index k = 0; k < factor; ++k) out[i] += in[i * factor + k];
      }
    }
  }
}

void forward(const Upsample& shape, const float* x, float* y) {
  shape.factor == 2 ? enlarge(shape, Two{}, x, y) : enlarge(shape, shape.factor, x, y);
}

void backward(const Upsample& shape, const float* dy, float* dx) {
  shape.factor == 2 ? reduce(shape, Two{}, dy, dx) : reduce(shape, shape.factor, dy, dx);
}

}  // namespace

extern const UpsampleOps upsample_ops{.forward = forward, .backward = backward};

}  // namespace ps::kernels::PS_ISA
