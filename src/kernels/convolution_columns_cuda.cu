// Convolution on a GPU as products of unrolled input (im2col) by cuBLAS, for its tensor cores: some
// images at a time, as many as the workspace holds. Pointwise ones need no unrolling: their passes
// forward and to the input go this way in every precision, all images at once, without a workspace.
#include <algorithm>

#include "kernels/blas_cuda.h"
#include "kernels/convolution_cuda.h"
#include "kernels/convolution_math.h"
#include "kernels/device_math.cuh"

namespace ps::kernels {
namespace {

using Index = std::int64_t;

Index plane_of(const Convolution& s) {
  return s.out_height() * s.out_width();
}

// Rows of an image's column matrix, all groups': channels, and taps within.
Index rows_of(const Convolution& s) {
  return s.channels * s.kernel * s.kernel;
}

Index column_floats(const Convolution& s) {
  return convolution_is_pointwise(s) ? 0 : rows_of(s) * plane_of(s);
}

// Images whose columns, and whose gradients of the weights, are in the workspace at a time.
Index images_of(const Convolution& s) {
  constexpr Index kMostFloats = Index{32} * 1024 * 1024;
  constexpr Index kMost = 16;
  const Index floats = column_floats(s) + s.out_channels * convolution_taps(s);
  return std::clamp<Index>(kMostFloats / floats, 1, kMost);
}

// Images that pass at a time where only columns need a place.
Index step_of(const Convolution& s) {
  return convolution_is_pointwise(s) ? s.batch : images_of(s);
}

// What the kernels divide by.
struct ColumnDivisors {
  Divisor plane;
  Divisor width;
  Divisor rows;
  Divisor window;
  Divisor kernel;
};

ColumnDivisors divisors_of(const Convolution& s) {
  return {Divisor(plane_of(s)), Divisor(s.out_width()), Divisor(rows_of(s)),
          Divisor(s.kernel * s.kernel), Divisor(s.kernel)};
}

// columns [images, rows, plane] = the pixels that the outputs read. A thread for each pack, which
// is within a row of outputs.
template <int kWidth>
__global__ void unroll_kernel(
    Convolution s, ColumnDivisors by, Index packs, const float* x, float* columns) {
  for (Index i = thread_index(); i < packs; i += thread_count()) {
    const Index row = by.plane.quotient(i * kWidth);
    const Index pixel = i * kWidth - row * by.plane.value();
    const Index out_row = by.width.quotient(pixel);
    const Index out_column = pixel - out_row * by.width.value();
    const Index image = by.rows.quotient(row);
    const Index channel = by.window.quotient(row - image * by.rows.value());
    const Index tap = row - image * by.rows.value() - channel * by.window.value();
    const Index tap_row = by.kernel.quotient(tap);
    const Index in_row = out_row * s.stride - s.padding + tap_row;
    const Index first = out_column * s.stride - s.padding + tap - tap_row * s.kernel;
    const float* from = x + ((image * s.channels + channel) * s.height + in_row) * s.width;
    Pack<kWidth> values;
    for (int k = 0; k < kWidth; ++k) {
      const Index column = first + k * s.stride;
      const bool inside = in_row >= 0 && in_row < s.height && column >= 0 && column < s.width;
      values.at[k] = inside ? from[column] : 0.0F;
    }
    store<kWidth>(columns + i * kWidth, values);
  }
}

// The transpose: a thread for each pixel of the input adds up what was read from it.
__global__ void roll_kernel(Convolution s,
                            Divisor by_width,
                            Divisor by_height,
                            Index count,
                            const float* columns,
                            float* dx) {
  const Index out_height = s.out_height();
  const Index out_width = s.out_width();
  for (Index i = thread_index(); i < count; i += thread_count()) {
    const Index rows = by_width.quotient(i);
    const Index plane = by_height.quotient(rows);  // of all images
    const Index below = rows - plane * s.height + s.padding;
    const Index right = i - rows * s.width + s.padding;
    float total = 0.0F;
    for (Index tap_row = 0; tap_row < s.kernel; ++tap_row) {
      const Index row = (below - tap_row) / s.stride;
      if (below < tap_row || row * s.stride != below - tap_row || row >= out_height) continue;
      for (Index tap = 0; tap < s.kernel; ++tap) {
        const Index column = (right - tap) / s.stride;
        if (right < tap || column * s.stride != right - tap || column >= out_width) continue;
        const Index from = (plane * s.kernel + tap_row) * s.kernel + tap;
        total += columns[(from * out_height + row) * out_width + column];
      }
    }
    dx[i] = total;
  }
}

// sum = the first of `partial` [slices, count], or sum + that, and so on.
__global__ void add_images_kernel(
    Index count, Index slices, bool first, const float* partial, float* sum) {
  for (Index i = thread_index(); i < count; i += thread_count()) {
    float total = first ? 0.0F : sum[i];
    for (Index slice = 0; slice < slices; ++slice) total += partial[slice * count + i];
    sum[i] = total;
  }
}

// Calls body(shape of `step` images or the rest, offset of the first in x, in y).
template <class Body>
void for_images(const Convolution& shape, Index step, const Body& body) {
  for (Index image = 0; image < shape.batch; image += step) {
    Convolution s = shape;
    s.batch = std::min(step, shape.batch - image);
    body(s, image * s.channels * s.height * s.width, image * s.out_channels * plane_of(s));
  }
}

const float* unroll(StreamView stream, const Convolution& s, const float* x) {
  if (convolution_is_pointwise(s)) return x;
  const Index count = s.batch * column_floats(s);
  const ColumnDivisors by = divisors_of(s);
  if (s.out_width() % 4 == 0 && aligned(s.workspace)) {
    launch(stream, grid_over(count / 4), unroll_kernel<4>, s, by, count / 4, x, s.workspace);
  } else {
    launch(stream, grid_over(count), unroll_kernel<1>, s, by, count, x, s.workspace);
  }
  return s.workspace;
}

// Calls body(offset in an image's columns, in its outputs, in the weights) for every group.
template <class Body>
void for_groups(const Convolution& s, const Body& body) {
  const Index taps = convolution_taps(s);
  const Index outputs = s.out_channels / s.groups;
  for (Index group = 0; group < s.groups; ++group) {
    body(group * taps * plane_of(s), group * outputs * plane_of(s), group * outputs * taps);
  }
}

}  // namespace

std::int64_t convolution_columns_workspace(const Convolution& s) {
  return images_of(s) * (column_floats(s) + s.out_channels * convolution_taps(s));
}

void convolve_columns(
    Blas& blas, const Convolution& shape, const float* x, const float* weights, float* y) {
  for_images(shape, step_of(shape), [&](const Convolution& s, Index x_offset, Index y_offset) {
    const float* columns = unroll(blas.stream(), s, x + x_offset);
    const Index plane = plane_of(s);
    const Index taps = convolution_taps(s);
    for_groups(s, [&](Index column, Index output, Index weight) {
      blas.multiply(
          {.m = s.out_channels / s.groups,
           .n = plane,
           .k = taps,
           .a = weights + weight,
           .a_stride = taps,
           .b = columns + column,
           .b_stride = plane,
           .c = y + y_offset + output,
           .c_stride = plane},
          {.count = s.batch, .b_step = rows_of(s) * plane, .c_step = s.out_channels * plane});
    });
  });
}

void convolve_columns_backward_data(
    Blas& blas, const Convolution& shape, const float* dy, const float* weights, float* dx) {
  for_images(shape, step_of(shape), [&](const Convolution& s, Index x_offset, Index y_offset) {
    const bool pointwise = convolution_is_pointwise(s);
    float* columns = pointwise ? dx + x_offset : s.workspace;
    const Index plane = plane_of(s);
    const Index taps = convolution_taps(s);
    for_groups(s, [&](Index column, Index output, Index weight) {
      blas.multiply(
          {.m = taps,
           .n = plane,
           .k = s.out_channels / s.groups,
           .transpose_a = true,
           .a = weights + weight,
           .a_stride = taps,
           .b = dy + y_offset + output,
           .b_stride = plane,
           .c = columns + column,
           .c_stride = plane},
          {.count = s.batch, .b_step = s.out_channels * plane, .c_step = rows_of(s) * plane});
    });
    if (pointwise) return;
    const Index count = s.batch * s.channels * s.height * s.width;
    launch(blas.stream(), grid_over(count), roll_kernel, s, Divisor(s.width), Divisor(s.height),
           count, columns, dx + x_offset);
  });
}

void convolve_columns_backward_weights(
    Blas& blas, const Convolution& shape, const float* x, const float* dy, float* dweights) {
  const Index count = shape.out_channels * convolution_taps(shape);
  // A product for each image, so that many run at once, behind all columns.
  float* partial = shape.workspace + images_of(shape) * column_floats(shape);
  for_images(shape, images_of(shape), [&](const Convolution& s, Index x_offset, Index y_offset) {
    const float* columns = unroll(blas.stream(), s, x + x_offset);
    const Index plane = plane_of(s);
    const Index taps = convolution_taps(s);
    for_groups(s, [&](Index column, Index output, Index weight) {
      blas.multiply({.m = s.out_channels / s.groups,
                     .n = taps,
                     .k = plane,
                     .transpose_b = true,
                     .a = dy + y_offset + output,
                     .a_stride = plane,
                     .b = columns + column,
                     .b_stride = plane,
                     .c = partial + weight,
                     .c_stride = taps},
                    {.count = s.batch,
                     .a_step = s.out_channels * plane,
                     .b_step = rows_of(s) * plane,
                     .c_step = count});
    });
    launch(blas.stream(), grid_over(count), add_images_kernel, count, s.batch, y_offset == 0,
           partial, dweights);
  });
}

}  // namespace ps::kernels
