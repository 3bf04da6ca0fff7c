// Zeros around planes.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"
#include "kernels/isa.h"

namespace ps::kernels {

// `planes` planes of height x width each, and how many pixels are added at each side.
struct Pad {
  std::int64_t planes = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t left = 0;
  std::int64_t right = 0;
  std::int64_t top = 0;
  std::int64_t bottom = 0;

  [[nodiscard]] PS_HOST_DEVICE std::int64_t out_height() const { return top + height + bottom; }
  [[nodiscard]] PS_HOST_DEVICE std::int64_t out_width() const { return left + width + right; }
};

struct PadOps {
  // y [planes, out_height, out_width]
  void (*forward)(const Pad& pad, const float* x, float* y);
  // dx [planes, height, width]: dy without the sides.
  void (*backward)(const Pad& pad, const float* dy, float* dx);
};

const PadOps& pad(Isa isa);

}  // namespace ps::kernels
