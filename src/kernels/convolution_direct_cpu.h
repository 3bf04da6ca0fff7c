// Filling a canvas: shared by the passes of direct convolution. Not for other files.
#pragma once

#include <cstdint>

#include "kernels/convolution_direct.h"
#include "kernels/lanes.h"
#include "kernels/vector.h"
#include "kernels/window.h"

namespace ps::kernels::PS_ISA {

// One phase of one row: the pixels in `range`, zeros around them.
static inline void copy_phase(
    const float* in, std::int64_t stride, WindowRange range, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < range.first; ++i) out[i] = 0.0F;
  std::int64_t i = range.first;
  if (stride == 1) {
    for (; i + kLanes <= range.last; i += kLanes) store(out + i, load(in + i));
    for (; i < range.last; ++i) out[i] = in[i];
  } else if (stride == 2) {
    for (; i < range.last; ++i) out[i] = in[2 * i];
  } else {
    for (; i < range.last; ++i) out[i] = in[stride * i];
  }
  for (i = range.last; i < count; ++i) out[i] = 0.0F;
}

// Canvas rows [first, first + rows) of every channel.
static inline void paint(const Canvas& canvas,
                         const float* image,
                         std::int64_t first,
                         std::int64_t rows,
                         std::int64_t pitch,
                         float* out) {
  WindowRange ranges[kMaxDirectStride];
  for (std::int64_t phase = 0; phase < canvas.phases; ++phase) {
    ranges[phase] =
        window_inside(canvas.phase_pitch, canvas.stride, phase - canvas.left, canvas.width);
  }
  for (std::int64_t channel = 0; channel < canvas.channels; ++channel) {
    const float* plane = image + channel * canvas.height * canvas.pitch - canvas.left;
    float* to = out + channel * pitch;
    for (std::int64_t row = first - canvas.top; row < first - canvas.top + rows; ++row) {
      const bool inside = row >= 0 && row < canvas.height;
      for (std::int64_t phase = 0; phase < canvas.phases; ++phase) {
        copy_phase(plane + row * canvas.pitch + phase, canvas.stride,
                   inside ? ranges[phase] : WindowRange{0, 0}, canvas.phase_pitch, to);
        to += canvas.phase_pitch;
      }
    }
  }
}

static inline float* aligned(float* workspace) {
  const auto address = reinterpret_cast<std::uintptr_t>(workspace);
  return workspace + (64 - address % 64) % 64 / sizeof(float);
}

}  // namespace ps::kernels::PS_ISA
