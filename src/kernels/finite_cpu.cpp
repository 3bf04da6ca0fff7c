// The check for infinities and NaNs on the CPU.
#include "kernels/finite.h"
#include "kernels/finite_math.h"
#include "kernels/reduce_cpu.h"

namespace ps::kernels::PS_ISA {
namespace {

// Four places at once: one stream of reads alone does not fill the memory's bandwidth (measured:
// 18 GB/s against 29).
bool all(const PackedFloat* values, std::size_t size) {
  const std::size_t quarter = size / 4;
  const PackedFloat* second = values + quarter;
  const PackedFloat* third = second + quarter;
  const PackedFloat* fourth = third + quarter;
  std::uint32_t marks = 0;
  for (std::size_t i = 0; i < quarter; ++i) {
    marks |= finite_mark(values[i]) | finite_mark(second[i]);
    marks |= finite_mark(third[i]) | finite_mark(fourth[i]);
  }
  for (std::size_t i = 4 * quarter; i < size; ++i) marks |= finite_mark(values[i]);
  return is_finite_mark(marks);
}

}  // namespace

extern const FiniteOps finite_ops{.all = all};

}  // namespace ps::kernels::PS_ISA
