#include "kernels/compensate.h"
#include "kernels/lanes.h"
#include "kernels/reduce_cpu.h"

namespace ps::kernels::PS_ISA {
namespace {

void constant(const CompensatePass& pass, float lambda) {
  const PackedFloat* gradient = pass.gradient;
  const float* weights = pass.weights;
  const float* pulled = pass.pulled;
  float* out = pass.out;
  PS_INDEPENDENT_LOOP
  for (std::size_t i = 0; i < pass.size; ++i) {
    out[i] = compensated(gradient[i], weights[i], pulled[i], lambda);
  }
}

void adaptive(const CompensatePass& pass, const AdaptiveCompensation& rule, float* mean_square) {
  const AdaptiveCompensation compensate = rule;
  const PackedFloat* gradient = pass.gradient;
  const float* weights = pass.weights;
  const float* pulled = pass.pulled;
  float* out = pass.out;
  PS_INDEPENDENT_LOOP
  for (std::size_t i = 0; i < pass.size; ++i) {
    float square = mean_square[i];
    out[i] = compensate(gradient[i], weights[i], pulled[i], square);
    mean_square[i] = square;
  }
}

}  // namespace

extern const CompensateOps compensate_ops{.constant = constant, .adaptive = adaptive};

}  // namespace ps::kernels::PS_ISA
