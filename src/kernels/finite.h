// Whether a vector holds an infinity or a NaN, at the speed of memory.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/isa.h"

namespace ps::kernels {

struct FiniteOps {
  bool (*all)(const float* values, std::size_t size);
};

const FiniteOps& finite(Isa isa);

// True when every value is finite; so for none. The values may lie at any byte address.
bool all_finite(std::span<const float> values);

}  // namespace ps::kernels
