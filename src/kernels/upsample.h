// Nearest-neighbour enlargement: every pixel becomes factor x factor equal ones.
#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace ps::kernels {

// `planes` planes of height x width each.
struct Upsample {
  std::int64_t planes = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t factor = 2;
};

struct UpsampleOps {
  // y [planes, height * factor, width * factor]
  void (*forward)(const Upsample& shape, const float* x, float* y);
  // dx [planes, height, width]: the sums of the equal pixels' dy, row after row.
  void (*backward)(const Upsample& shape, const float* dy, float* dx);
};

const UpsampleOps& upsample(Isa isa);

}  // namespace ps::kernels
