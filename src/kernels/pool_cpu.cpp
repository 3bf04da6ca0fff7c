#include "kernels/lanes.h"
#include "kernels/pool.h"
#include "kernels/window.h"

namespace ps::kernels::PS_ISA {
namespace {

using Index = std::int64_t;

// Lets x[column(i)] compete for the outputs i of `range`.
template <class Column>
void compete(WindowRange range,
             const float* x,
             Index plane_offset,
             const Column& column,
             float* y,
             std::int32_t* winners) {
  PS_INDEPENDENT_LOOP
  for (Index i = range.first; i < range.last; ++i) {
    const float value = x[column(i)];
    const bool wins = value > y[i] || value != value;
    y[i] = wins ? value : y[i];
    winners[i] = wins ? static_cast<std::int32_t>(plane_offset + column(i)) : winners[i];
  }
}

// One row of outputs, one tap of the window after the other, so that the inner loop is over
// outputs.
void pool_row(const MaxPool& pool, Index row, const float* plane, float* y, std::int32_t* winners) {
  const Index outputs = pool.out_width();
  fill(y, outputs, -__builtin_inff());
  const Index first_row = row * pool.stride - pool.padding;
  const Index first = (first_row < 0 ? 0 : first_row) * pool.width;
  for (Index i = 0; i < outputs; ++i) {
    const Index column = i * pool.stride - pool.padding;
    winners[i] = static_cast<std::int32_t>(first + (column < 0 ? 0 : column));
  }
  for (Index tap_row = 0; tap_row < pool.kernel; ++tap_row) {
    const Index in_row = row * pool.stride - pool.padding + tap_row;
    if (in_row < 0 || in_row >= pool.height) continue;
    for (Index tap = 0; tap < pool.kernel; ++tap) {
      const Index shift = tap - pool.padding;
      const WindowRange range = window_inside(outputs, pool.stride, shift, pool.width);
      const Index offset = in_row * pool.width;
      const float* x = plane + offset;
      if (pool.stride == 2) {
        compete(
            range, x, offset, [shift](Index i) { return 2 * i + shift; }, y, winners);
      } else {
        compete(
            range, x, offset, [shift, stride = pool.stride](Index i) { return stride * i + shift; },
            y, winners);
      }
    }
  }
}

// The commonest window, 2 x 2 without overlap or padding: all four taps at once.
void pool_row_2x2(
    const MaxPool& pool, Index row, const float* plane, float* y, std::int32_t* winners) {
  const auto width = static_cast<std::int32_t>(pool.width);
  const auto outputs = static_cast<std::int32_t>(pool.out_width());
  const std::int32_t offset = static_cast<std::int32_t>(row) * 2 * width;
  const float* x = plane + offset;
  PS_INDEPENDENT_LOOP
  for (std::int32_t i = 0; i < outputs; ++i) {
    const auto better = [](float value, float best) { return value > best || value != value; };
    const std::int32_t left = 2 * i;
    float best = x[left];
    std::int32_t winner = left;
    const float right = x[left + 1];
    winner = better(right, best) ? left + 1 : winner;
    best = better(right, best) ? right : best;
    const float below = x[width + left];
    winner = better(below, best) ? width + left : winner;
    best = better(below, best) ? below : best;
    const float last = x[width + left + 1];
    winner = better(last, best) ? width + left + 1 : winner;
    best = better(last, best) ? last : best;
    y[i] = best;
    winners[i] = offset + winner;
  }
}

void max_forward(const MaxPool& pool, const float* x, float* y, std::int32_t* winners) {
  const Index rows = pool.out_height();
  const Index columns = pool.out_width();
  const bool is_2x2 =
      pool.kernel == 2 && pool.stride == 2 && pool.padding == 0 && pool.padding_end == 0;
  const auto pool_one_row = is_2x2 ? pool_row_2x2 : pool_row;
  for (Index plane = 0; plane < pool.planes; ++plane) {
    for (Index row = 0; row < rows; ++row) {
      const Index offset = (plane * rows + row) * columns;
      pool_one_row(pool, row, x + plane * pool.height * pool.width, y + offset, winners + offset);
    }
  }
}

void max_backward(const MaxPool& pool, const float* dy, const std::int32_t* winners, float* dx) {
  const Index in_plane = pool.height * pool.width;
  const Index out_plane = pool.out_height() * pool.out_width();
  fill(dx, pool.planes * in_plane, 0.0F);
  for (Index plane = 0; plane < pool.planes; ++plane) {
    float* target = dx + plane * in_plane;
    const Index offset = plane * out_plane;
    for (Index i = 0; i < out_plane; ++i) target[winners[offset + i]] += dy[offset + i];
  }
}

void average_forward(Index planes, Index plane, const float* x, float* y) {
  for (Index p = 0; p < planes; ++p) {
    const double total = sum(plane, [in = x + p * plane](Index i) { return in[i]; });
    y[p] = static_cast<float>(total / static_cast<double>(plane));
  }
}

void average_backward(Index planes, Index plane, const float* dy, float* dx) {
  const float share = 1.0F / static_cast<float>(plane);
  for (Index p = 0; p < planes; ++p) fill(dx + p * plane, plane, dy[p] * share);
}

}  // namespace

extern const MaxPoolOps max_pool_ops{.forward = max_forward, .backward = max_backward};
extern const AveragePoolOps average_pool_ops{.forward = average_forward,
                                             .backward = average_backward};

}  // namespace ps::kernels::PS_ISA
