// Every rule of the fused update a second time, one rounded operation after the other, for the
// tests to compare with.
#pragma once

#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/isa.h"
#include "kernels/update.h"

namespace ps::kernels {

using Floats = std::vector<float>;

inline bool same_bits(const Floats& a, const Floats& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

// A rule as the kernels know it, and one element of it in plain words.
template <class Rule>
struct Case;

template <>
struct Case<SgdRule> {
  static constexpr SgdRule kRule{.lr = 0.1F, .weight_decay = 0.01F};
  static constexpr auto kRun = &UpdateOps::sgd;
  static float next(float w, float g, float& /*v*/, float& /*u*/) {
    const float decay = 0.01F * w;
    const float step = 0.1F * (g + decay);
    return w - step;
  }
};

template <>
struct Case<MomentumRule> {
  static constexpr MomentumRule kRule{.lr = 0.1F, .weight_decay = 0.01F, .momentum = 0.9F};
  static constexpr auto kRun = &UpdateOps::momentum;
  static float next(float w, float g, float& v, float& /*u*/) {
    const float decay = 0.01F * w;
    const float kept = 0.9F * v;
    v = kept + (g + decay);
    const float step = 0.1F * v;
    return w - step;
  }
};

template <>
struct Case<NesterovRule> {
  static constexpr NesterovRule kRule{.lr = 0.1F, .weight_decay = 0.01F, .momentum = 0.9F};
  static constexpr auto kRun = &UpdateOps::nesterov;
  static float next(float w, float g, float& v, float& /*u*/) {
    const float decay = 0.01F * w;
    const float decayed = g + decay;
    const float kept = 0.9F * v;
    v = kept + decayed;
    const float ahead = 0.9F * v;
    const float step = 0.1F * (decayed + ahead);
    return w - step;
  }
};

template <>
struct Case<AdamRule> {
  static constexpr AdamRule kRule{.step = 0.2F,
                                  .root_scale = 3.0F,
                                  .keep = 0.999F,
                                  .weight_decay = 0.01F,
                                  .beta1 = 0.9F,
                                  .rest1 = 0.1F,
                                  .beta2 = 0.999F,
                                  .rest2 = 0.001F,
                                  .epsilon = 1e-8F};
  static constexpr auto kRun = &UpdateOps::adam;
  static float next(float w, float g, float& m, float& v) {
    const float decay = 0.01F * w;
    const float decayed = g + decay;
    const float kept_m = 0.9F * m;
    const float new_m = 0.1F * decayed;
    m = kept_m + new_m;
    const float square = decayed * decayed;
    const float kept_v = 0.999F * v;
    const float new_v = 0.001F * square;
    v = kept_v + new_v;
    const float root = std::sqrt(v) * 3.0F;
    const float step = 0.2F * m;
    const float kept_w = 0.999F * w;
    return kept_w - step / (root + 1e-8F);
  }
};

template <>
struct Case<AssignRule> {
  static constexpr AssignRule kRule{};
  static constexpr auto kRun = &UpdateOps::assign;
  static float next(float /*w*/, float x, float& /*v*/, float& /*u*/) { return x; }
};

template <>
struct Case<MoveRule> {
  static constexpr MoveRule kRule{.workers = 3.0F};
  static constexpr auto kRun = &UpdateOps::move;
  static float next(float w, float x, float& /*v*/, float& /*u*/) {
    const float part = (x - w) / 3.0F;
    return w + part;
  }
};

template <>
struct Case<AdagradRule> {
  static constexpr AdagradRule kRule{.lr = 0.1F, .weight_decay = 0.01F, .epsilon = 1e-3F};
  static constexpr auto kRun = &UpdateOps::adagrad;
  static float next(float w, float g, float& s, float& /*u*/) {
    const float decay = 0.01F * w;
    const float decayed = g + decay;
    const float square = decayed * decayed;
    s = s + square;
    const float step = 0.1F * decayed;
    return w - step / (std::sqrt(s) + 1e-3F);
  }
};

template <>
struct Case<RmsPropRule> {
  static constexpr RmsPropRule kRule{
      .lr = 0.1F, .weight_decay = 0.01F, .alpha = 0.99F, .rest = 0.01F, .epsilon = 1e-3F};
  static constexpr auto kRun = &UpdateOps::rmsprop;
  static float next(float w, float g, float& s, float& /*u*/) {
    const float decay = 0.01F * w;
    const float decayed = g + decay;
    const float square = decayed * decayed;
    const float kept = 0.99F * s;
    const float fresh = 0.01F * square;
    s = kept + fresh;
    const float step = 0.1F * decayed;
    return w - step / (std::sqrt(s) + 1e-3F);
  }
};

template <>
struct Case<RmsPropMomentumRule> {
  static constexpr RmsPropMomentumRule kRule{.lr = 0.1F,
                                             .weight_decay = 0.01F,
                                             .alpha = 0.99F,
                                             .rest = 0.01F,
                                             .epsilon = 1e-3F,
                                             .momentum = 0.9F};
  static constexpr auto kRun = &UpdateOps::rmsprop_momentum;
  static float next(float w, float g, float& s, float& b) {
    const float decay = 0.01F * w;
    const float decayed = g + decay;
    const float square = decayed * decayed;
    const float kept = 0.99F * s;
    const float fresh = 0.01F * square;
    s = kept + fresh;
    const float scaled = decayed / (std::sqrt(s) + 1e-3F);
    const float rolling = 0.9F * b;
    b = rolling + scaled;
    const float step = 0.1F * b;
    return w - step;
  }
};

template <>
struct Case<LarsRule> {
  static constexpr LarsRule kRule{.rate = 0.02F, .weight_decay = 0.01F, .momentum = 0.9F};
  static constexpr auto kRun = &UpdateOps::lars;
  static float next(float w, float g, float& v, float& /*u*/) {
    const float decay = 0.01F * w;
    const float kept = 0.9F * v;
    const float step = 0.02F * (g + decay);
    v = kept + step;
    return w - v;
  }
};

template <>
struct Case<LambRule> {
  static constexpr LambRule kRule{.adam = {.step = 2.0F,
                                           .root_scale = 3.0F,
                                           .beta1 = 0.9F,
                                           .rest1 = 0.1F,
                                           .beta2 = 0.999F,
                                           .rest2 = 0.001F,
                                           .epsilon = 1e-6F},
                                  .weight_decay = 0.01F};
  static constexpr auto kRun = &UpdateOps::lamb;
  static float next(float w, float g, float& m, float& v) {
    const float kept_m = 0.9F * m;
    const float new_m = 0.1F * g;
    m = kept_m + new_m;
    const float square = g * g;
    const float kept_v = 0.999F * v;
    const float new_v = 0.001F * square;
    v = kept_v + new_v;
    const float root = std::sqrt(v) * 3.0F;
    const float mean = 2.0F * m;
    const float direction = mean / (root + 1e-6F);
    const float decay = 0.01F * w;
    return decay + direction;
  }
};

template <>
struct Case<FtrlRule> {
  static constexpr FtrlRule kRule{.inverse_lr = 10.0F, .beta = 1.0F, .l1 = 0.5F, .l2 = 0.25F};
  static constexpr auto kRun = &UpdateOps::ftrl;
  static float next(float w, float g, float& z, float& n) {
    const float square = g * g;
    const float old_root = std::sqrt(n);
    if (n == 0) {
      const float reach = w * (1.0F * 10.0F + 0.25F);
      z = -reach - (w > 0 ? 0.5F : (w < 0 ? -0.5F : 0.0F));
    }
    n = n + square;
    if (n == 0) return w;
    const float root = std::sqrt(n);
    const float sigma = square / (root + old_root) * 10.0F;
    const float pull = sigma * w;
    z = z + (g - pull);
    if (std::abs(z) <= 0.5F) return 0.0F;
    const float curvature = (1.0F + root) * 10.0F;
    return -(z > 0 ? z - 0.5F : z + 0.5F) / (curvature + 0.25F);
  }
};

template <>
struct Case<AddRule> {
  static constexpr AddRule kRule{};
  static constexpr auto kRun = &UpdateOps::add;
  static float next(float w, float x, float& /*v*/, float& /*u*/) { return w + x; }
};

template <>
struct Case<EmaRule> {
  static constexpr EmaRule kRule{.keep = 0.99F, .rest = 0.01F};
  static constexpr auto kRun = &UpdateOps::ema;
  static float next(float e, float x, float& /*v*/, float& /*u*/) {
    const float kept = 0.99F * e;
    const float fresh = 0.01F * x;
    return kept + fresh;
  }
};

template <class Rule>
bool run(Isa isa, const UpdatePass& pass) {
  return (update(isa).*Case<Rule>::kRun)(pass, Case<Rule>::kRule);
}

}  // namespace ps::kernels
