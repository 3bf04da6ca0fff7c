// Filling a canvas: shared by the passes of direct convolution. Not for other files.
#pragma once

#include <cstdint>

#include "kernels/convolution_canvas.h"
#include "kernels/lanes.h"
#include "kernels/vector.h"
#include "kernels/window.h"

namespace ps::kernels::PS_ISA {

static inline void copy_row(const Canvas& canvas, const float* row, float* out) {
  for (std::int64_t phase = 0; phase < canvas.phases; ++phase, out += canvas.phase_pitch) {
    const std::int64_t shift = phase - canvas.left;
    const WindowRange range = window_inside(canvas.phase_pitch, canvas.stride, shift, canvas.width);
    fill(out, range.first, 0.0F);
    const float* in = row + shift;
    if (canvas.stride == 1) {
      for (std::int64_t i = range.first; i < range.last; ++i) out[i] = in[i];
    } else if (canvas.stride == 2) {
      for (std::int64_t i = range.first; i < range.last; ++i) out[i] = in[2 * i];
    } else {
      for (std::int64_t i = range.first; i < range.last; ++i) out[i] = in[canvas.stride * i];
    }
    fill(out + range.last, canvas.phase_pitch - range.last, 0.0F);
  }
}

// Canvas rows [first, first + rows) of every channel.
static inline void paint(const Canvas& canvas,
                         const float* image,
                         std::int64_t first,
                         std::int64_t rows,
                         std::int64_t pitch,
                         float* out) {
  const std::int64_t width = row_pitch(canvas);
  for (std::int64_t channel = 0; channel < canvas.channels; ++channel) {
    const float* plane = image + channel * canvas.height * canvas.pitch;
    for (std::int64_t i = 0; i < rows; ++i) {
      float* to = out + channel * pitch + i * width;
      const std::int64_t row = first + i - canvas.top;
      if (row < 0 || row >= canvas.height) {
        fill(to, width, 0.0F);
      } else {
        copy_row(canvas, plane + row * canvas.pitch, to);
      }
    }
  }
}

static inline float* aligned(float* workspace) {
  const auto address = reinterpret_cast<std::uintptr_t>(workspace);
  return workspace + (64 - address % 64) % 64 / sizeof(float);
}

}  // namespace ps::kernels::PS_ISA
