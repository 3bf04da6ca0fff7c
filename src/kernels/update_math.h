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

// s starts at 0; epsilon stands outside the root.
struct AdagradRule {
  static constexpr int kStates = 1;
  float lr = 0.0F;
  float weight_decay = 0.0F;
  float epsilon = 0.0F;

  PS_HOST_DEVICE float operator()(float w, float g, float& s) const {
    const float decayed = g + weight_decay * w;
    s = s + decayed * decayed;
    return w - (lr * decayed) / (::sqrtf(s) + epsilon);
  }
};

struct RmsPropRule {
  static constexpr int kStates = 1;
  float lr = 0.0F;
  float weight_decay = 0.0F;
  float alpha = 0.0F;
  float rest = 0.0F;  // 1 - alpha
  float epsilon = 0.0F;

  PS_HOST_DEVICE float operator()(float w, float g, float& s) const {
    const float decayed = g + weight_decay * w;
    s = alpha * s + rest * (decayed * decayed);
    return w - (lr * decayed) / (::sqrtf(s) + epsilon);
  }
};

struct RmsPropMomentumRule {
  static constexpr int kStates = 2;
  float lr = 0.0F;
  float weight_decay = 0.0F;
  float alpha = 0.0F;
  float rest = 0.0F;  // 1 - alpha
  float epsilon = 0.0F;
  float momentum = 0.0F;

  PS_HOST_DEVICE float operator()(float w, float g, float& s, float& b) const {
    const float decayed = g + weight_decay * w;
    s = alpha * s + rest * (decayed * decayed);
    b = momentum * b + decayed / (::sqrtf(s) + epsilon);
    return w - lr * b;
  }
};

// The learning rate is inside v, unlike MomentumRule's.
struct LarsRule {
  static constexpr int kStates = 1;
  float rate = 0.0F;  // lr * trust
  float weight_decay = 0.0F;
  float momentum = 0.0F;

  PS_HOST_DEVICE float operator()(float w, float g, float& v) const {
    v = momentum * v + rate * (g + weight_decay * w);
    return w - v;
  }
};

// LAMB's first stage: not a weight but the direction u. The second is SgdRule on u, without decay.
struct LambRule {
  static constexpr int kStates = 2;
  AdamRule adam;  // lr = 1, no decay: from 0 it goes to minus its direction
  float weight_decay = 0.0F;

  PS_HOST_DEVICE float operator()(float w, float g, float& m, float& v) const {
    return weight_decay * w - adam(0.0F, g, m, v);
  }
};

// sqrt(n + g^2) - sqrt(n) is written such that nothing cancels. As long as no gradient but 0 has
// come, the weight is the initial one, and z is the one whose weight that is.
struct FtrlRule {
  static constexpr int kStates = 2;
  float inverse_lr = 0.0F;
  float beta = 0.0F;
  float l1 = 0.0F;
  float l2 = 0.0F;

  PS_HOST_DEVICE float operator()(float w, float g, float& z, float& n) const {
    const float square = g * g;
    const float new_n = n + square;
    const float root = ::sqrtf(new_n);
    const float roots = root + ::sqrtf(n);
    const float sigma = (roots > 0.0F ? square / roots : 0.0F) * inverse_lr;
    const float sign = w > 0.0F ? l1 : (w < 0.0F ? -l1 : 0.0F);
    const float old_z = n > 0.0F ? z : -(w * (beta * inverse_lr + l2)) - sign;
    const float new_z = old_z + (g - sigma * w);
    const float curvature = (beta + root) * inverse_lr + l2;
    const float shrunk = new_z > 0.0F ? new_z - l1 : new_z + l1;
    const float aim = __builtin_fabsf(new_z) <= l1 ? 0.0F : -shrunk / curvature;
    z = new_z;
    n = new_n;
    return new_n == 0.0F ? w : aim;
  }
};

// Average, sync, and Assign: the mean or the value replaces the old one.
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

// Add: differences.
struct AddRule {
  static constexpr int kStates = 0;

  PS_HOST_DEVICE float operator()(float w, float x) const { return w + x; }
};

// An exponential moving average e of the values x.
struct EmaRule {
  static constexpr int kStates = 0;
  float keep = 0.0F;
  float rest = 0.0F;  // 1 - keep

  PS_HOST_DEVICE float operator()(float e, float x) const { return keep * e + rest * x; }
};

// DC-ASGD: what the gradient g, taken at the weights `pulled`, would be at w, by a first-order
// step along lambda g^2, which stands for the Hessian's diagonal.
PS_HOST_DEVICE float compensated(float g, float w, float pulled, float lambda) {
  return g + lambda * (g * g) * (w - pulled);
}

// The adaptive kind: lambda / sqrt(mean square), the mean square moving first.
struct AdaptiveCompensation {
  float lambda = 0.0F;
  float keep = 0.0F;
  float rest = 0.0F;  // 1 - keep

  PS_HOST_DEVICE float operator()(float g, float w, float pulled, float& mean_square) const {
    mean_square = keep * mean_square + rest * (g * g);
    return compensated(g, w, pulled, lambda / ::sqrtf(mean_square + 1e-7F));
  }
};

}  // namespace ps::kernels
