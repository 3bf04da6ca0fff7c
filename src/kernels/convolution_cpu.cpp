// Convolution: direct where that is faster, else as matrix products over unrolled blocks of input
// (im2col), image by image.
#include "kernels/convolution.h"
#include "kernels/convolution_direct.h"
#include "kernels/convolution_math.h"
#include "kernels/gemm.h"
#include "kernels/lanes.h"
#include "kernels/window.h"

namespace ps::kernels::PS_ISA {

extern const GemmOps gemm_ops;
extern const DirectConvolutionOps direct_convolution_ops;
extern const DirectWeightsOps direct_weights_ops;

namespace {

using Index = std::int64_t;

// Rows [first_row, first_row + rows) of the output of one image and group.
struct Block {
  Index first_row;
  Index rows;
  Index columns;  // rows * out_width
};

// Calls visit(tap, row within the block, input row or null, range, shift) for every tap and
// output row of a block: the outputs in range read input[output * stride + shift], the
// others (all, where input is null) read padding. `image`: one group's channels.
template <class Pixel, class Visit>
void for_taps(const Convolution& s, const Block& block, Pixel* image, const Visit& visit) {
  const Index outputs = s.out_width();
  const Index group_channels = s.channels / s.groups;
  Index tap = 0;
  for (Index channel = 0; channel < group_channels; ++channel) {
    Pixel* plane = image + channel * s.height * s.width;
    for (Index tap_row = 0; tap_row < s.kernel; ++tap_row) {
      for (Index tap_column = 0; tap_column < s.kernel; ++tap_column, ++tap) {
        const Index shift = tap_column - s.padding;
        const WindowRange range = window_inside(outputs, s.stride, shift, s.width);
        for (Index row = 0; row < block.rows; ++row) {
          const Index in_row = (block.first_row + row) * s.stride - s.padding + tap_row;
          Pixel* input = in_row < 0 || in_row >= s.height ? nullptr : plane + in_row * s.width;
          visit(tap, row, input, range, shift);
        }
      }
    }
  }
}

// columns [taps, block.columns] = the pixels that each output of the block reads.
void unroll(const Convolution& s, const Block& block, const float* image, float* columns) {
  const Index outputs = s.out_width();
  for_taps(s, block, image,
           [&](Index tap, Index row, const float* input, WindowRange range, Index shift) {
             float* out = columns + tap * block.columns + row * outputs;
             if (input == nullptr) return fill(out, outputs, 0.0F);
             fill(out, range.first, 0.0F);
             const float* in = input + shift;
             if (s.stride == 1) {
               for (Index i = range.first; i < range.last; ++i) out[i] = in[i];
             } else if (s.stride == 2) {
               for (Index i = range.first; i < range.last; ++i) out[i] = in[2 * i];
             } else {
               for (Index i = range.first; i < range.last; ++i) out[i] = in[s.stride * i];
             }
             fill(out + range.last, outputs - range.last, 0.0F);
           });
}

// The transpose of unroll: adds every column entry to the pixel it was read from.
void roll(const Convolution& s, const Block& block, const float* columns, float* image) {
  const Index outputs = s.out_width();
  for_taps(s, block, image,
           [&](Index tap, Index row, float* input, WindowRange range, Index shift) {
             if (input == nullptr) return;
             const float* in = columns + tap * block.columns + row * outputs;
             float* out = input + shift;
             if (s.stride == 1) {
               PS_INDEPENDENT_LOOP
               for (Index i = range.first; i < range.last; ++i) out[i] += in[i];
             } else {
               for (Index i = range.first; i < range.last; ++i) out[s.stride * i] += in[i];
             }
           });
}

// Where one image's group lies in x, y and weights.
struct Slice {
  Index x;
  Index y;
  Index weights;
};

// Calls body(slice, block) for every image, group and block of rows, in a fixed order.
template <class Body>
void for_blocks(const Convolution& s, const Body& body) {
  const Index rows = s.out_height();
  const Index pixels = rows * s.out_width();
  const Index step = convolution_is_pointwise(s) ? rows : convolution_block_rows(s);
  const Index group_outputs = s.out_channels / s.groups;
  for (Index image = 0; image < s.batch; ++image) {
    for (Index group = 0; group < s.groups; ++group) {
      const Slice slice{
          .x = (image * s.channels + group * (s.channels / s.groups)) * s.height * s.width,
          .y = (image * s.out_channels + group * group_outputs) * pixels,
          .weights = group * group_outputs * convolution_taps(s)};
      for (Index row = 0; row < rows; row += step) {
        const Index count = rows - row < step ? rows - row : step;
        body(slice, Block{row, count, count * s.out_width()});
      }
    }
  }
}

// The products' sizes and the workspace's two parts.
struct Plan {
  Index outputs;  // per group
  Index taps;
  Index pixels;
  Index width;
  bool pointwise;
  float* packing;
  float* columns;
};

Plan plan(const Convolution& s) {
  return {.outputs = s.out_channels / s.groups,
          .taps = convolution_taps(s),
          .pixels = s.out_height() * s.out_width(),
          .width = s.out_width(),
          .pointwise = convolution_is_pointwise(s),
          .packing = s.workspace,
          .columns = s.workspace + kGemmWorkspaceFloats};
}

void forward(const Convolution& s, const float* x, const float* weights, float* y) {
  if (forward_is_direct(s)) return direct_convolution_ops.forward(s, x, weights, y);
  const Plan p = plan(s);
  for_blocks(s, [&](const Slice& slice, const Block& block) {
    const float* columns = x + slice.x;
    if (!p.pointwise) {
      unroll(s, block, columns, p.columns);
      columns = p.columns;
    }
    gemm_ops.run({.m = p.outputs,
                  .n = block.columns,
                  .k = p.taps,
                  .a = weights + slice.weights,
                  .a_stride = p.taps,
                  .b = columns,
                  .b_stride = block.columns,
                  .c = y + slice.y + block.first_row * p.width,
                  .c_stride = p.pixels,
                  .workspace = p.packing});
  });
}

void backward_data(const Convolution& s, const float* dy, const float* weights, float* dx) {
  if (backward_data_is_direct(s)) {
    return direct_convolution_ops.backward_data(s, dy, weights, dx);
  }
  const Plan p = plan(s);
  if (!p.pointwise) fill(dx, s.batch * s.channels * s.height * s.width, 0.0F);
  for_blocks(s, [&](const Slice& slice, const Block& block) {
    gemm_ops.run({.m = p.taps,
                  .n = block.columns,
                  .k = p.outputs,
                  .transpose_a = true,
                  .a = weights + slice.weights,
                  .a_stride = p.taps,
                  .b = dy + slice.y + block.first_row * p.width,
                  .b_stride = p.pixels,
                  .c = p.pointwise ? dx + slice.x : p.columns,
                  .c_stride = block.columns,
                  .workspace = p.packing});
    if (!p.pointwise) roll(s, block, p.columns, dx + slice.x);
  });
}

void backward_weights(const Convolution& s, const float* x, const float* dy, float* dweights) {
  if (backward_weights_is_direct(s)) {
    return direct_weights_ops.backward_weights(s, x, dy, dweights);
  }
  const Plan p = plan(s);
  fill(dweights, s.out_channels * p.taps, 0.0F);
  for_blocks(s, [&](const Slice& slice, const Block& block) {
    const float* columns = x + slice.x;
    if (!p.pointwise) {
      unroll(s, block, columns, p.columns);
      columns = p.columns;
    }
    gemm_ops.run({.m = p.outputs,
                  .n = p.taps,
                  .k = block.columns,
                  .transpose_b = true,
                  .beta = 1.0F,
                  .a = dy + slice.y + block.first_row * p.width,
                  .a_stride = p.pixels,
                  .b = columns,
                  .b_stride = block.columns,
                  .c = dweights + slice.weights,
                  .c_stride = p.taps,
                  .workspace = p.packing});
  });
}

}  // namespace

extern const ConvolutionOps convolution_ops{
    .forward = forward, .backward_data = backward_data, .backward_weights = backward_weights};

}  // namespace ps::kernels::PS_ISA
