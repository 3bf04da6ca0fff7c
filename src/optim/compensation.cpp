#include "optim/compensation.h"

#include "base/assert.h"
#include "kernels/compensate.h"

namespace ps::optim {
namespace {

kernels::CompensatePass pass_of(const LateGradient& late) {
  const std::size_t size = late.gradient.size();
  PS_ASSERT(late.weights.size() == size && late.pulled.size() == size && late.out.size() == size,
            "a gradient has its weights' size");
  return {.size = size,
          .gradient = late.gradient.data(),
          .weights = late.weights.data(),
          .pulled = late.pulled.data(),
          .out = late.out.data()};
}

}  // namespace

void compensate(const LateGradient& late, float lambda) {
  kernels::compensate(kernels::best_isa()).constant(pass_of(late), lambda);
}

void compensate_adaptively(const LateGradient& late,
                           float lambda,
                           float decay,
                           std::span<float> mean_square) {
  const kernels::CompensatePass pass = pass_of(late);
  PS_ASSERT(mean_square.size() == pass.size, "the mean square has the gradient's size");
  kernels::compensate(kernels::best_isa())
      .adaptive(pass,
                {.lambda = lambda,
                 .keep = decay,
                 .rest = static_cast<float>(1.0 - static_cast<double>(decay))},
                mean_square.data());
}

}  // namespace ps::optim
