// The arithmetic of every update rule on one element, in float32, for the CPU and GPU kernels.
// Each operation rounds on its own (no FMA), and division and square root are exact, so the bits
// are the same on every instruction set. Formulas and sources: docs/optimizers.md.
#pragma once

#include <cmath>

#include "kernels/host_device.h"

namespace ps::kernels {

// One more term of a weighted sum. The first one is weight * value.
PS_HOST_DEVICE float add_weighted(float sum, float weight, float value) {
  return sum + weight * value;
}

// A rule maps (weight, gradient, state...) to the new weight and replaces the state. kStates is the
// number of state floats an element has.

struct SgdRule {
  static constexpr int kStates = 0;
  float lr = 0.0F;
  float weight_decay = 0.0F;

  PS_HOST_DEVICE float operator()(float w, float g) const {
    return w - lr * (g + weight_decay * w);
  }
};

// Started from v = 0, the first v is the first gradient.
struct MomentumRule {
  static constexpr int kStates = 1;
  float lr = 0.0F;
  float weight_decay = 0.0F;
  float momentum = 0.0F;

  PS_HOST_DEVICE float operator()(float w, float g, float& v) const {
    v = momentum * v + (g + weight_decay * w);
    return w - lr * v;
  }
};

struct NesterovRule {
  static constexpr int kStates = 1;
  float lr = 0.0F;
  float weight_decay = 0.0F;
  float momentum = 0.0F;

  PS_HOST_DEVICE float operator()(float w, float g, float& v) const {
    const float decayed = g + weight_decay * w;
    v = momentum * v + decayed;
    return w - lr * (decayed + momentum * v);
  }
};

// Adam (keep = 1) and AdamW (weight_decay = 0). The bias corrections of the update in hand are
// folded into two factors, so that an element costs one division and one square root.
struct AdamRule {
  static constexpr int kStates = 2;
  float step = 0.0F;          // lr / (1 - beta1^t)
  float root_scale = 0.0F;    // 1 / sqrt(1 - beta2^t)
  float keep = 1.0F;          // AdamW: 1 - lr * weight_decay
  float weight_decay = 0.0F;  // Adam: L2, added to the gradient
  float beta1 = 0.0F;
  float rest1 = 0.0F;  // 1 - beta1
  float beta2 = 0.0F;
  float rest2 = 0.0F;  // 1 - beta2
  float epsilon = 0.0F;

  PS_HOST_DEVICE float operator()(float w, float g, float& m, float& v) const {
    const float decayed = g + weight_decay * w;
    m = beta1 * m + rest1 * decayed;
    v = beta2 * v + rest2 * (decayed * decayed);
    return keep * w - (step * m) / (::sqrtf(v) * root_scale + epsilon);
  }
};

// Average, sync: the mean replaces the value.
struct AssignRule {
  static constexpr int kStates = 0;

  PS_HOST_DEVICE float operator()(float /*w*/, float x) const { return x; }
};

// Average, async and ssp: the value moves towards one worker's by its share.
struct MoveRule {
  static constexpr int kStates = 0;
  float workers = 1.0F;

  PS_HOST_DEVICE float operator()(float w, float x) const { return w + (x - w) / workers; }
};

}  // namespace ps::kernels
