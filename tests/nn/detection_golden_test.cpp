// The detector's arithmetic against numbers computed elsewhere: with PyTorch 1.13 in float64 where
// gradients are concerned.
#include <array>
#include <cmath>
#include <vector>

#include <ps/nn/detection.h>

#include "kernels/anchor_loss.h"
#include "kernels/bce_math.h"
#include "kernels/box_math.h"
#include "support/catch.h"

namespace ps::nn {
namespace {

using kernels::BinaryCrossEntropy;
using kernels::Box;
using kernels::CompleteIou;

struct Overlap {
  Box said;
  Box wanted;
  double iou;
  double generalized;
  double distance;
  double complete;
  std::array<double, 4> gradient;  // of 1 - CIoU
};

constexpr std::array kOverlaps{
    // Equal edges: min and max share the derivative.
    Overlap{{50, 50, 20, 20},
            {60, 50, 20, 20},
            .333333,
            .333333,
            .256410,
            .256410,
            {-.056279, 0, -.012886, -.001183}},
    Overlap{{50, 50, 40, 20},
            {55, 48, 20, 40},
            .333333,
            .083333,
            .324271,
            .290519,
            {-.003125, .001250, .006378, -.013209}},
    // Apart.
    Overlap{{10, 10, 10, 10},
            {40, 50, 20, 10},
            0,
            -.866667,
            -.552486,
            -.554176,
            {-.002271, -.005470, -.006019, -.005580}},
    Overlap{{.3F, .6F, 1.5F, 2.5F},
            {.5F, .5F, 2, 2},
            .631579,
            .581579,
            .626701,
            .625195,
            {-.039024, .019512, -.358188, .199237}},
};

// YOLOv5's default anchors.
const std::vector<HeadLevel>& usual_levels() {
  static const std::vector<HeadLevel> levels{{8, 8, 8, {{10, 13}, {16, 30}, {33, 23}}},
                                             {16, 4, 4, {{30, 61}, {62, 45}, {59, 119}}},
                                             {32, 2, 2, {{116, 90}, {156, 198}, {373, 326}}}};
  return levels;
}

// logit[anchor, y, x, channel] = .1 * ((3 anchor + 5 y + 7 x + 11 channel + level) mod 13) - .6
std::vector<float> golden_output(const DetectionHead& head, int first_level) {
  std::vector<float> output;
  int level_number = first_level;
  for (const HeadLevel& level : head.levels) {
    for (int anchor = 0; anchor < 3; ++anchor) {
      for (int channel = 0; channel < 7; ++channel) {
        for (int y = 0; y < level.height; ++y) {
          for (int x = 0; x < level.width; ++x) {
            const int step = (3 * anchor + 5 * y + 7 * x + 11 * channel + level_number) % 13;
            output.push_back(static_cast<float>(.1 * step - .6));
          }
        }
      }
    }
    ++level_number;
  }
  return output;
}

const std::vector<Target> kGoldenTargets{{0, 1, .40F, .55F, .20F, .15F},
                                         {0, 0, .70F, .30F, .50F, .60F}};

double sum_of_magnitudes(std::span<const float> values) {
  double sum = 0.0;
  for (const float value : values) sum += std::abs(double{value});
  return sum;
}

}  // namespace

TEST_CASE("box overlap: IoU, GIoU, DIoU, CIoU and its gradient have the known values", "[unit]") {
  for (const Overlap& golden : kOverlaps) {
    const CompleteIou r = CompleteIou::of(golden.said, golden.wanted);
    const double enclosing = double{r.horizontal.enclosing} * double{r.vertical.enclosing};
    const double generalized = double{r.iou} - (enclosing - double{r.joined}) / enclosing;
    CAPTURE(golden.iou);
    REQUIRE(r.iou == Approx(golden.iou).margin(1e-6));
    REQUIRE(generalized == Approx(golden.generalized).margin(1e-6));
    REQUIRE(double{r.iou} - double{r.distance2 / r.diagonal2} ==
            Approx(golden.distance).margin(1e-6));
    REQUIRE(r.value() == Approx(golden.complete).margin(1e-6));
    const Box gradient = r.gradient(golden.said, golden.wanted);
    REQUIRE(-gradient.x == Approx(golden.gradient[0]).margin(1e-6));
    REQUIRE(-gradient.y == Approx(golden.gradient[1]).margin(1e-6));
    REQUIRE(-gradient.width == Approx(golden.gradient[2]).margin(1e-6));
    REQUIRE(-gradient.height == Approx(golden.gradient[3]).margin(1e-6));
  }
  const CompleteIou second = CompleteIou::of(kOverlaps[1].said, kOverlaps[1].wanted);
  REQUIRE(second.v() == Approx(.167826).margin(1e-6));
  REQUIRE(second.alpha == Approx(.201111).margin(1e-6));
}

TEST_CASE("binary cross-entropy: has the known values", "[unit]") {
  REQUIRE(BinaryCrossEntropy{}(2.0F, 1.0F).loss == Approx(.126928011).epsilon(3e-7));
  REQUIRE(BinaryCrossEntropy{}(-1.5F, .3F).loss == Approx(.651413278).epsilon(3e-7));
  REQUIRE(BinaryCrossEntropy{2.0F}(2.0F, .7F).loss == Approx(.815777619).epsilon(3e-7));
  REQUIRE(BinaryCrossEntropy{}(-3.0F, 1.0F).loss == Approx(3.048587352).epsilon(3e-7));
}

TEST_CASE("detection loss: anchors' loss and gradient have the known values", "[unit]") {
  const DetectionHead head{.classes = 2, .levels = usual_levels()};
  const std::vector<float> output = golden_output(head, 0);
  DetectionCriterion criterion(head, {.box = .05F, .objectness = .01F, .category = .0125F}, 1);
  std::vector<float> gradient(output.size(), NAN);
  const DetectionLoss loss = criterion.run(output, 1, kGoldenTargets, gradient);
  REQUIRE(loss.positives == 18 + 9 + 3);
  REQUIRE(loss.box == Approx(2.38284337).epsilon(1e-7));
  REQUIRE(loss.objectness == Approx(3.85814808).epsilon(1e-7));
  REQUIRE(loss.category == Approx(2.02650378).epsilon(1e-7));
  REQUIRE(loss.total == Approx(.18305495).epsilon(1e-7));
  const std::array sums{.04832641, .03726082, .01788545};
  std::size_t offset = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto size = static_cast<std::size_t>(21 * head.levels[i].cells());
    CAPTURE(i);
    REQUIRE(sum_of_magnitudes(std::span(gradient).subspan(offset, size)) ==
            Approx(sums[i]).epsilon(3e-7));
    offset += size;
  }
  // Level 1, anchor 1, row 1, column 3.
  const std::array logit_gradient{.00099964, .00002138,  -.00026724, .00110024,
                                  .00005425, -.00032988, .00032988};
  for (std::size_t channel = 0; channel < 7; ++channel) {
    const std::size_t index = std::size_t{21 * 64} + (7 + channel) * 16 + 7;
    CAPTURE(channel);
    REQUIRE(gradient[index] == Approx(logit_gradient[channel]).margin(6e-9));
  }
}

TEST_CASE("detection loss: each level's means have the known values", "[unit]") {
  const std::array positives{18, 9, 3};
  const std::array box{.78383889, .67382796, .92517651};
  const std::array objectness{.71412883, .70911223, .73130137};
  for (std::size_t i = 0; i < 3; ++i) {
    const DetectionHead head{.classes = 2, .levels = {usual_levels()[i]}};
    DetectionCriterion criterion(head, {.balance = {1.0F}}, 1);
    const DetectionLoss loss =
        criterion.run(golden_output(head, static_cast<int>(i)), 1, kGoldenTargets, {});
    CAPTURE(i);
    REQUIRE(loss.positives == positives[i]);
    REQUIRE(loss.box == Approx(box[i]).epsilon(1e-7));
    REQUIRE(loss.objectness == Approx(objectness[i]).epsilon(1e-7));
  }
}

TEST_CASE("detection loss: the known cells answer for the golden boxes", "[unit]") {
  const kernels::Isa isa = kernels::best_isa();
  std::vector<float> anchors;
  for (const Anchor& anchor : usual_levels()[1].anchors) {
    anchors.push_back(anchor.width / 16);
    anchors.push_back(anchor.height / 16);
  }
  const kernels::GridLevel level{.batch = 1,
                                 .sample_floats = std::int64_t{21 * 16},
                                 .height = 4,
                                 .width = 4,
                                 .classes = 2,
                                 .anchors = 3,
                                 .anchor_sizes = anchors.data()};
  std::vector<kernels::TrueBox> boxes;
  for (const Target& t : kGoldenTargets) {
    boxes.push_back({t.image, t.category, t.x, t.y, t.width, t.height});
  }
  std::vector<kernels::Positive> found(30);
  REQUIRE(kernels::anchor_loss(isa).assign(level, 4.0F, boxes.data(), 2, found.data()) == 9);
  // Own cell, above, right: row 1 column 2, row 0 column 2, row 1 column 3; anchors in turn.
  const std::array cells{1 * 4 + 2, 0 * 4 + 2, 1 * 4 + 3};
  for (int i = 0; i < 9; ++i) {
    const kernels::Positive& p = found[static_cast<std::size_t>(i)];
    CAPTURE(i);
    REQUIRE(p.cell == cells[static_cast<std::size_t>(i / 3)]);
    REQUIRE(p.anchor == i % 3);
    REQUIRE(p.category == 0);
    REQUIRE(p.width == Approx(2.0F));
    REQUIRE(p.height == Approx(2.4F));
  }
  REQUIRE(found[0].x == Approx(.8F).epsilon(1e-5));
  REQUIRE(found[0].y == Approx(.2F).epsilon(1e-5));
  REQUIRE(found[7].x == Approx(-.2F).epsilon(1e-5));
  REQUIRE(found[7].y == Approx(.2F).epsilon(1e-5));
  // What the boxes said there are worth.
  const DetectionHead head{.classes = 2, .levels = {usual_levels()[1]}};
  const std::vector<float> output = golden_output(head, 1);
  std::vector<float> objectness(48);
  kernels::anchor_loss(isa).positives(level, {}, found.data(), 9,
                                      {.output = output.data(), .objectness = objectness.data()});
  REQUIRE(objectness[0 * 16 + 6] == Approx(.542750).margin(1e-6));
  REQUIRE(objectness[1 * 16 + 7] == Approx(.314026).margin(1e-6));
}

TEST_CASE("scaled_gains: fit levels, classes and image size", "[unit]") {
  const DetectionLossOptions golden = scaled_gains({}, 3, 2, 64);
  REQUIRE(golden.box == .05F);
  REQUIRE(golden.objectness == Approx(.01F));
  REQUIRE(golden.category == Approx(.0125F));
  const DetectionLossOptions two = scaled_gains({.box = .1F, .category = .4F}, 2, 160, 1280);
  REQUIRE(two.box == Approx(.15F));
  REQUIRE(two.objectness == Approx(6.0F));
  REQUIRE(two.category == Approx(1.2F));
}

}  // namespace ps::nn
