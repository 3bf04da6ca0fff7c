#include "kernels/lanes.h"
#include "kernels/pad.h"

namespace ps::kernels::PS_ISA {
namespace {

using Index = std::int64_t;

// Where a row of x lies in y.
Index place(const Pad& pad, Index plane, Index row) {
  return (plane * pad.out_height() + pad.top + row) * pad.out_width() + pad.left;
}

void forward(const Pad& pad, const float* x, float* y) {
  fill(y, pad.planes * pad.out_height() * pad.out_width(), 0.0F);
  for (Index plane = 0; plane < pad.planes; ++plane) {
    for (Index row = 0; row < pad.height; ++row) {
      const float* in = x + (plane * pad.height + row) * pad.width;
      float* out = y + place(pad, plane, row);
      PS_INDEPENDENT_LOOP
      for (Index i = 0; i < pad.width; ++i) out[i] = in[i];
    }
  }
}

void backward(const Pad& pad, const float* dy, float* dx) {
  for (Index plane = 0; plane < pad.planes; ++plane) {
    for (Index row = 0; row < pad.height; ++row) {
      const float* in = dy + place(pad, plane, row);
      float* out = dx + (plane * pad.height + row) * pad.width;
      PS_INDEPENDENT_LOOP
      for (Index i = 0; i < pad.width; ++i) out[i] = in[i];
    }
  }
}

}  // namespace

extern const PadOps pad_ops{.forward = forward, .backward = backward};

}  // namespace ps::kernels::PS_ISA
