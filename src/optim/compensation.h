// Delay compensation of asynchronous gradients (DC-ASGD; Zheng et al., ICML 2017): a first-order
// correction of a gradient for what the weights did since its worker pulled them. Who keeps the
// pulled weights is the caller's affair: they are that worker's, not the chunk's.
#pragma once

#include <span>

namespace ps::optim {

// Vectors of one size. The gradient may lie at any byte address; `out` may be the gradient, and
// overlaps nothing else.
struct LateGradient {
  std::span<const float> gradient;
  std::span<const float> weights;  // that it is to be applied to
  std::span<const float> pulled;   // that it was taken at
  std::span<float> out;
};

// out = g + lambda g^2 (w - pulled), element by element (DC-ASGD-c).
void compensate(const LateGradient& late, float lambda);

// MS = decay MS + (1 - decay) g^2, out = g + lambda / sqrt(MS + 1e-7) g^2 (w - pulled) (DC-ASGD-a).
// `mean_square` is the chunk's MS, 0 before the first gradient.
void compensate_adaptively(const LateGradient& late,
                           float lambda,
                           float decay,
                           std::span<float> mean_square);

}  // namespace ps::optim
