// The functions behind ReduceOps, for other kernels of the same instruction set to call directly.
// To be included only by files that are compiled per instruction set (isa.h).
#pragma once

#include <cstddef>

namespace ps::kernels::PS_ISA {

// A float at any byte address, as it may lie in a message. x86 reads it as fast.
using PackedFloat __attribute__((aligned(1))) = float;

void start_sum(float* sum, const PackedFloat* values, float weight, std::size_t size);
void add_to_sum(float* sum, const PackedFloat* values, float weight, std::size_t size);
void divide_sum(float* sum, float divisor, std::size_t size);
void scale_sum(float* sum, float factor, std::size_t size);

}  // namespace ps::kernels::PS_ISA
