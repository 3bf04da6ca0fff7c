// Both detection losses against the float64 computation of detection_reference.py, whose numbers
// are below.
#include <array>
#include <cmath>
#include <vector>

#include <ps/nn/detection.h>

#include "support/catch.h"

namespace ps::nn {
namespace {

constexpr std::int64_t kHeight = 160;
constexpr std::int64_t kWidth = 192;
constexpr std::int64_t kBatch = 3;

const std::vector<Target> kTargets{
    {0, 1, .31F, .42F, .22F, .27F},    {0, 2, .33F, .43F, .25F, .24F},
    {0, 0, .30F, .41F, .08F, .09F},    {0, 1, .7112F, .203F, .004F, .004F},
    {1, 0, .52F, .51F, .93F, .94F},    {1, 2, .98F, .02F, .03F, .30F},
    {1, 2, .253F, .747F, .17F, .05F},  {1, 1, .256F, .752F, .16F, .06F},
    {1, 0, .262F, .741F, .19F, .055F}, {2, 0, .5F, .5F, .40F, .41F},
    {2, 1, .52F, .49F, .39F, .38F},    {2, 2, .49F, .52F, .37F, .42F}};

DetectionHead two_levels(bool anchor_free) {
  DetectionHead head{.classes = 3,
                     .levels = {{8, kHeight / 8, kWidth / 8, {{10, 13}, {16, 30}, {33, 23}}},
                                {16, kHeight / 16, kWidth / 16, {{30, 61}, {62, 45}, {59, 119}}}}};
  if (anchor_free) {
    for (HeadLevel& level : head.levels) level.anchors.clear();
  }
  return head;
}

double logit(int n, int channel, int y, int x, int level, bool anchor_free) {
  const double noise =
      std::sin(1.1 * channel + .7 * y + 1.9 * x + .5 * n + .3 * level + .013 * x * y);
  if (!anchor_free || channel >= 64) return 1.5 * noise;
  const int side = channel / 16;
  double middle = 1 + (3 * side + 5 * y + 7 * x + n + level) % 7 / 2.0;
  if (n == 1 && level == 0) middle += 2 + 8 * (side / 2);
  const double away = channel % 16 - middle;
  return -.4 * away * away + .3 * noise;
}

std::vector<float> reference_output(const DetectionHead& head) {
  std::vector<float> output;
  for (int n = 0; n < kBatch; ++n) {
    for (int level = 0; level < 2; ++level) {
      const HeadLevel& grid = head.levels[static_cast<std::size_t>(level)];
      const auto channels = static_cast<int>(head.channels(grid));
      for (int channel = 0; channel < channels; ++channel) {
        for (int y = 0; y < grid.height; ++y) {
          for (int x = 0; x < grid.width; ++x) {
            output.push_back(
                static_cast<float>(logit(n, channel, y, x, level, head.anchor_free())));
          }
        }
      }
    }
  }
  return output;
}

struct Expected {
  DetectionLoss loss;
  std::array<double, 2> magnitudes;  // of the gradient, by level
  double projection;                 // sum of gradient[i] * sin(.37 i)
};

void check(const DetectionHead& head,
           const DetectionLossOptions& options,
           const Expected& expected) {
  const std::vector<float> output = reference_output(head);
  DetectionCriterion criterion(head, options, 4);
  std::vector<float> gradient(output.size(), NAN);
  const DetectionLoss loss = criterion.run(output, kBatch, kTargets, gradient);
  REQUIRE(loss.positives == expected.loss.positives);
  REQUIRE(loss.box == Approx(expected.loss.box).epsilon(1e-6));
  REQUIRE(loss.objectness == Approx(expected.loss.objectness).epsilon(1e-6));
  REQUIRE(loss.category == Approx(expected.loss.category).epsilon(1e-6));
  REQUIRE(loss.dfl == Approx(expected.loss.dfl).epsilon(1e-6));
  REQUIRE(loss.total == Approx(expected.loss.total).epsilon(1e-6));
  const auto sample = static_cast<std::size_t>(head.size());
  const auto first =
      static_cast<std::size_t>(head.channels(head.levels[0]) * head.levels[0].cells());
  std::array<double, 2> magnitudes{};
  double projection = 0.0;
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    magnitudes[i % sample < first ? 0 : 1] += std::abs(double{gradient[i]});
    projection += double{gradient[i]} * std::sin(.37 * static_cast<double>(i));
  }
  REQUIRE(magnitudes[0] == Approx(expected.magnitudes[0]).epsilon(1e-6));
  REQUIRE(magnitudes[1] == Approx(expected.magnitudes[1]).epsilon(1e-6));
  REQUIRE(projection == Approx(expected.projection).epsilon(0).margin(1e-6 * magnitudes[0]));
  // Without a gradient: the same.
  REQUIRE(criterion.run(output, kBatch, kTargets, {}).total == loss.total);
}

}  // namespace

TEST_CASE("detection loss: anchors, several images with colliding boxes", "[unit]") {
  check(two_levels(false), {.objectness = .7F, .category = .3F},
        {.loss = {.box = 1.67467995,
                  .objectness = 4.12795899,
                  .category = 1.66846122,
                  .total = 10.421531,
                  .positives = 118},
         .magnitudes = {4.52953301, 1.37921408},
         .projection = -0.0553706235});
}

TEST_CASE("detection loss: smoothed labels, focal losses, weights of positives", "[unit]") {
  check(two_levels(false),
        {.objectness = .7F,
         .category = .3F,
         .label_smoothing = .1F,
         .focal_gamma = 1.5F,
         .category_weight = 2.0F,
         .objectness_weight = .6F},
        {.loss = {.box = 1.67467995,
                  .objectness = 1.67521685,
                  .category = 0.570655332,
                  .total = 4.28274718,
                  .positives = 118},
         .magnitudes = {2.96940882, 0.919576489},
         .projection = -0.0329539204});
}

TEST_CASE("detection loss: anchor-free, cells claimed by several boxes", "[unit]") {
  const DetectionHead head = two_levels(true);
  check(head, default_loss_options(head),
        {.loss = {.box = 0.364226464,
                  .category = 366.574469,
                  .dfl = 2.15538565,
                  .total = 567.756035,
                  .positives = 35},
         .magnitudes = {272.634071, 69.6436245},
         .projection = -0.824842382});
}

}  // namespace ps::nn
