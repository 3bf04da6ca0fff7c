// Weighted sums on the CPU: plain loops that the compiler vectorizes for each instruction set.
#include "kernels/reduce_cpu.h"

#include "kernels/reduce.h"
#include "kernels/update_math.h"

namespace ps::kernels::PS_ISA {

void start_sum(float* __restrict sum,
               const PackedFloat* __restrict values,
               float weight,
               std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) sum[i] = weight * values[i];
}

void add_to_sum(float* __restrict sum,
                const PackedFloat* __restrict values,
                float weight,
                std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) sum[i] = add_weighted(sum[i], weight, values[i]);
}

void divide_sum(float* sum, float divisor, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) sum[i] /= divisor;
}

void scale_sum(float* sum, float factor, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) sum[i] *= factor;
}

extern const ReduceOps reduce_ops{.start = start_sum, .add = add_to_sum, .divide = divide_sum};

}  // namespace ps::kernels::PS_ISA
