// Sums of squares on the CPU: 16 independent lanes, so that the compiler may vectorise what it must
// not reorder.
#include "kernels/norm.h"

namespace ps::kernels::PS_ISA {
namespace {

double squares(const float* values, std::size_t size) {
  constexpr std::size_t kLanes = 16;
  constexpr std::size_t kBlock = 4096;
  double total = 0.0;
  for (std::size_t start = 0; start < size; start += kBlock) {
    const std::size_t end = size - start < kBlock ? size : start + kBlock;
    double lanes[kLanes] = {};
    std::size_t i = start;
    for (; i + kLanes <= end; i += kLanes) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const double value = values[i + lane];
        lanes[lane] += value * value;
      }
    }
    for (std::size_t lane = 0; i < end; ++i, ++lane) {
      const double value = values[i];
      lanes[lane] += value * value;
    }
    double block = 0.0;
    for (const double lane : lanes) block += lane;
    total += block;
  }
  return total;
}

}  // namespace

extern const NormOps norm_ops{.squares = squares};

}  // namespace ps::kernels::PS_ISA
