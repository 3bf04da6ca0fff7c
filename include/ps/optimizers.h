// Update rules. They are applied on the servers (or by every worker, see Update in options.h), one
// fused pass over the weights. w weights, g gradient, t the update's number from 1. Formulas, state
// and sources in full: docs/optimizers.md.
#pragma once

#include <string>
#include <variant>
#include <vector>

namespace ps {

// w -= lr * v, v = momentum * v + (g + weight_decay * w); nesterov: w -= lr * ((g + wd w) +
// momentum * v). The first v is the first gradient (as in PyTorch).
struct Sgd {
  float lr = 0.01F;
  float momentum = 0.0F;
  bool nesterov = false;
  float weight_decay = 0.0F;
};

// m = b1 m + (1-b1) g, v = b2 v + (1-b2) g^2, w -= lr * (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) +
// epsilon); weight_decay is added to the gradient (L2).
struct Adam {
  float lr = 0.001F;
  float beta1 = 0.9F;
  float beta2 = 0.999F;
  float epsilon = 1e-8F;
  float weight_decay = 0.0F;
};

// Adam whose decay acts on the weights first: w *= 1 - lr * weight_decay.
struct AdamW {
  float lr = 0.001F;
  float beta1 = 0.9F;
  float beta2 = 0.999F;
  float epsilon = 1e-8F;
  float weight_decay = 0.01F;
};

// s += g^2, w -= lr * g / (sqrt(s) + epsilon); L2 decay.
struct Adagrad {
  float lr = 0.01F;
  float epsilon = 1e-10F;
  float weight_decay = 0.0F;
};

// s = alpha s + (1-alpha) g^2, b = momentum * b + g / (sqrt(s) + epsilon), w -= lr * b; L2 decay.
struct RmsProp {
  float lr = 0.01F;
  float alpha = 0.99F;
  float epsilon = 1e-8F;
  float momentum = 0.0F;
  float weight_decay = 0.0F;
};

// Per parameter (layer): trust = eta |w| / (|g| + wd |w| + epsilon), 1 where a norm is 0 and for
// parameters of fewer than two dimensions; v = momentum v + lr trust (g + wd w), w -= v.
struct Lars {
  float lr = 1.0F;
  float momentum = 0.9F;
  float weight_decay = 0.0F;
  float eta = 0.001F;
  float epsilon = 1e-8F;
};

// Adam's m and v; u = mhat / (sqrt(vhat) + epsilon) + wd w, w -= lr (|w| / |u|) u per parameter,
// the ratio being 1 where a norm is 0 and for parameters of fewer than two dimensions.
struct Lamb {
  float lr = 0.001F;
  float beta1 = 0.9F;
  float beta2 = 0.999F;
  float epsilon = 1e-6F;
  float weight_decay = 0.01F;
};

// FTRL-proximal: sigma = (sqrt(n + g^2) - sqrt(n)) / lr, z += g - sigma w, n += g^2, w = 0 where
// |z| <= l1, else -(z - sign(z) l1) / ((beta + sqrt(n)) / lr + l2). z starts such that the initial
// weights are its own. lr > 0 cannot change: no schedule, no staleness-aware rate.
struct Ftrl {
  float lr = 0.1F;
  float beta = 1.0F;
  float l1 = 0.0F;
  float l2 = 0.0F;
};

// A rule of the program's own, registered under this name in every process (update_rule.h).
struct CustomRule {
  std::string name;
  float lr = 0.01F;
  float weight_decay = 0.0F;
  std::vector<float> settings = {};
};

using Optimizer = std::variant<Sgd, Adam, AdamW, Adagrad, RmsProp, Lars, Lamb, Ftrl, CustomRule>;

// "sgd", "adam", "adamw", "adagrad", "rmsprop", "lars", "lamb", "ftrl" or "custom".
const char* optimizer_name(const Optimizer& optimizer) noexcept;

}  // namespace ps
