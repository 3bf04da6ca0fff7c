// The detector's scalar functions against float64, and their gradients against differences of it.
#include <cmath>
#include <vector>

#include "base/random.h"
#include "kernels/anchor_math.h"
#include "kernels/bce_math.h"
#include "kernels/box_math.h"
#include "kernels/distance_math.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

double relative_error(float actual, double expected) {
  return std::abs(double{actual} - expected) / std::abs(expected);
}

double softplus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

double cross_entropy(double x, double t, double weight, double gamma) {
  const double loss = weight * t * softplus(-x) + (1 - t) * softplus(x);
  if (gamma == 0) return loss;
  const double s = 1 / (1 + std::exp(-x));
  const double p = t * s + (1 - t) * (1 - s);
  return loss * (t * .25 + (1 - t) * .75) * std::pow(1 - p, gamma);
}

struct WideBox {
  double x;
  double y;
  double width;
  double height;
};

// CIoU with a given alpha.
double complete_iou(const WideBox& a, const WideBox& b, double alpha) {
  const auto extent = [](double p, double p_size, double q, double q_size) {
    const double low = std::max(p - p_size / 2, q - q_size / 2);
    const double high = std::min(p + p_size / 2, q + q_size / 2);
    const double outer =
        std::max(p + p_size / 2, q + q_size / 2) - std::min(p - p_size / 2, q - q_size / 2);
    return std::pair(std::max(high - low, 0.0), outer);
  };
  const auto [width, outer_width] = extent(a.x, a.width, b.x, b.width);
  const auto [height, outer_height] = extent(a.y, a.height, b.y, b.height);
  const double common = width * height;
  const double iou = common / (a.width * a.height + b.width * b.height - common + 1e-7);
  const double diagonal = outer_width * outer_width + outer_height * outer_height + 1e-7;
  const double distance = std::pow(a.x - b.x, 2) + std::pow(a.y - b.y, 2);
  const double angle = std::atan(b.width / b.height) - std::atan(a.width / a.height);
  return iou - distance / diagonal - alpha * 4 / (M_PI * M_PI) * angle * angle;
}

// d f / d x at x.
template <class F>
double slope(const F& f, double x) {
  constexpr double kStep = 1e-5;
  return (f(x + kStep) - f(x - kStep)) / (2 * kStep);
}

}  // namespace

TEST_CASE("detection math: logarithm, log_one_plus and arc_tangent are exact to 4 units",
          "[unit]") {
  double worst = 0.0;
  for (int i = 0; i < 4000; ++i) {
    const auto z = static_cast<float>(std::exp(-i * .02));
    worst = std::max(worst, relative_error(log_one_plus(z), std::log1p(double{z})));
    const auto x = static_cast<float>(std::exp((i - 2000) * .0413));
    if (x != 1.0F) worst = std::max(worst, relative_error(logarithm(x), std::log(double{x})));
    worst = std::max(worst, relative_error(arc_tangent(x, 1.0F), std::atan(double{x})));
    worst = std::max(worst, relative_error(arc_tangent(3.0F, x), std::atan(3.0 / double{x})));
  }
  REQUIRE(worst < 4 * 1.2e-7);
  REQUIRE(logarithm(1.0F) == 0.0F);
  REQUIRE(log_one_plus(0.0F) == 0.0F);
  REQUIRE(arc_tangent(0.0F, 0.0F) == 0.0F);
  REQUIRE(arc_tangent(1.0F, 0.0F) == Approx(M_PI / 2));
}

TEST_CASE("detection math: cross-entropies and gradients equal float64's", "[unit]") {
  const double gamma = GENERATE(0.0, .5, 1.5, 2.0);
  const double weight = GENERATE(1.0, .3, 4.0);
  const double t = GENERATE(0.0, .05, .5, .95, 1.0);
  CAPTURE(gamma, weight, t);
  for (int i = -40; i <= 40; ++i) {
    const auto x = static_cast<float>(i * .5);
    const auto pw = static_cast<float>(weight);
    const auto target = static_cast<float>(t);
    const LossTerm term = gamma == 0 ? BinaryCrossEntropy{pw}(x, target)
                                     : FocalCrossEntropy{pw, static_cast<float>(gamma)}(x, target);
    const auto loss = [&](double at) { return cross_entropy(at, t, weight, gamma); };
    CAPTURE(x);
    REQUIRE(term.loss == Approx(loss(double{x})).epsilon(2e-6).margin(1e-12));
    REQUIRE(term.gradient == Approx(slope(loss, double{x})).epsilon(1e-5).margin(1e-7));
  }
}

TEST_CASE("detection math: cross-entropies stay finite for any number, NaN stays", "[unit]") {
  for (const float x : {-1e30F, -200.0F, -90.0F, 90.0F, 200.0F, 1e30F}) {
    for (const float t : {0.0F, .5F, 1.0F}) {
      for (const LossTerm& term :
           {BinaryCrossEntropy{2.0F}(x, t), FocalCrossEntropy{2.0F, .5F}(x, t)}) {
        CAPTURE(x, t);
        REQUIRE(std::isfinite(term.loss));
        REQUIRE(std::isfinite(term.gradient));
      }
    }
  }
  REQUIRE(std::isnan(BinaryCrossEntropy{}(NAN, 0.0F).loss));
  REQUIRE(std::isnan(BinaryCrossEntropy{}(NAN, 0.0F).gradient));
  REQUIRE(std::isnan(FocalCrossEntropy{}(NAN, 0.0F).loss));
}

TEST_CASE("detection math: CIoU and its gradient equal float64's", "[unit]") {
  const std::uint64_t seed = GENERATE(1U, 2U, 3U);
  Random random(seed);
  CAPTURE(seed);
  for (int i = 0; i < 200; ++i) {
    const auto box = [&random] {
      return Box{
          static_cast<float>(random.uniform(-2, 2)), static_cast<float>(random.uniform(-2, 2)),
          static_cast<float>(random.uniform(.1, 4)), static_cast<float>(random.uniform(.1, 4))};
    };
    const Box a = box();
    const Box b = box();
    const WideBox wide{a.x, a.y, a.width, a.height};
    const WideBox wanted{b.x, b.y, b.width, b.height};
    const CompleteIou r = CompleteIou::of(a, b);
    const double plain = complete_iou(wide, wanted, 0);
    const double v = plain - complete_iou(wide, wanted, 1);
    const double alpha = v / (v - double{r.iou} + 1 + 1e-7);
    CAPTURE(i);
    REQUIRE(r.value() == Approx(complete_iou(wide, wanted, alpha)).margin(2e-6));
    const Box gradient = r.gradient(a, b);
    const auto changed = [&](double WideBox::*part) {
      return slope(
          [&](double value) {
            WideBox moved = wide;
            moved.*part = value;
            return complete_iou(moved, wanted, alpha);
          },
          wide.*part);
    };
    REQUIRE(gradient.x == Approx(changed(&WideBox::x)).margin(2e-5));
    REQUIRE(gradient.y == Approx(changed(&WideBox::y)).margin(2e-5));
    REQUIRE(gradient.width == Approx(changed(&WideBox::width)).margin(2e-5));
    REQUIRE(gradient.height == Approx(changed(&WideBox::height)).margin(2e-5));
  }
}

TEST_CASE("detection math: CIoU of equal, thin and empty boxes is finite", "[unit]") {
  const std::vector<Box> boxes{{.3F, .7F, 61.3F, 17.9F},
                               {.3F, .7F, 0, 17.9F},
                               {.3F, .7F, 0, 0},
                               {0, 0, 1e-30F, 1e-30F},
                               {0, 0, 1e3F, 1e-20F}};
  for (const Box& a : boxes) {
    for (const Box& b : boxes) {
      const CompleteIou r = CompleteIou::of(a, b);
      const Box gradient = r.gradient(a, b);
      CAPTURE(a.width, a.height, b.width, b.height);
      REQUIRE(std::isfinite(r.value()));
      REQUIRE(std::isfinite(gradient.x + gradient.y));
      REQUIRE(std::isfinite(gradient.width + gradient.height));
    }
  }
  REQUIRE(CompleteIou::of(boxes[0], boxes[0]).value() == Approx(1.0F));
}

TEST_CASE("detection math: an anchor's box and its slope follow from the logits", "[unit]") {
  for (int i = -20; i <= 20; ++i) {
    const double t = i * .4;
    const auto logit = static_cast<float>(t);
    const AnchorBox said = AnchorBox::of({logit, -logit, logit, -logit}, 3.0F, 5.0F);
    const auto s = [](double x) { return 1 / (1 + std::exp(-x)); };
    const auto center = [&s](double x) { return 2 * s(x) - .5; };
    const auto width = [&s](double x) { return 4 * s(x) * s(x) * 3; };
    CAPTURE(t);
    REQUIRE(said.box.x == Approx(center(t)).margin(1e-6));
    REQUIRE(said.box.y == Approx(center(-t)).margin(1e-6));
    REQUIRE(said.box.width == Approx(width(t)).epsilon(1e-6));
    REQUIRE(said.box.height == Approx(width(-t) / 3 * 5).epsilon(1e-6));
    REQUIRE(said.slope.x == Approx(slope(center, t)).margin(1e-6));
    REQUIRE(said.slope.y == Approx(slope(center, -t)).margin(1e-6));
    REQUIRE(said.slope.width == Approx(slope(width, t)).margin(1e-6));
    REQUIRE(said.slope.height == Approx(slope(width, -t) / 3 * 5).margin(1e-6));
  }
}

TEST_CASE("detection math: neighbours answer from the half next to them, inside the grid",
          "[unit]") {
  const auto offsets = [](float x, float y) {
    std::vector<int> taken;
    for (int offset = 0; offset < kCellOffsets; ++offset) {
      if (takes_offset(offset, x, y, 8, 4)) taken.push_back(offset);
    }
    return taken;
  };
  using Offsets = std::vector<int>;
  REQUIRE(offsets(3.2F, 2.2F) == Offsets{0, 1, 2});
  REQUIRE(offsets(3.7F, 1.7F) == Offsets{0, 3, 4});
  REQUIRE(offsets(.2F, .2F) == Offsets{0});    // nothing left or above
  REQUIRE(offsets(7.7F, 3.7F) == Offsets{0});  // nor right or below
  REQUIRE(offsets(3.5F, 2.5F) == Offsets{0});  // the middle is not near
  REQUIRE(offsets(3.0F, 2.0F) == Offsets{0, 1, 2, 3, 4});
  REQUIRE(cell_of(-.3F, 8) == 0);
  REQUIRE(cell_of(7.9F, 8) == 7);
  REQUIRE(cell_of(8.0F, 8) == 7);
}

}  // namespace ps::kernels
