// The sum of two tensors: residual connections, and gradients that meet where a value forks.
#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace ps::kernels {

struct AddOps {
  // y = a + b, arrays of `count`; y may be a or b.
  void (*run)(const float* a, const float* b, float* y, std::int64_t count);
};

const AddOps& add(Isa isa);

}  // namespace ps::kernels
