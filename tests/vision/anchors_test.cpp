#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include <ps/error.h>
#include <ps/vision/anchors.h>

#include "base/random.h"
#include "support/catch.h"

namespace {

using ps::nn::Anchor;
using ps::vision::AnchorChoice;
using ps::vision::AnchorOptions;
using ps::vision::BoxSize;
using ps::vision::choose_anchors;
using ps::vision::find_anchors;
using ps::vision::fit_of;

constexpr std::array<Anchor, 9> kYolo = {{{10, 13},
                                          {16, 30},
                                          {33, 23},
                                          {30, 61},
                                          {62, 45},
                                          {59, 119},
                                          {116, 90},
                                          {156, 198},
                                          {373, 326}}};

// Boxes around some sizes, each within a tenth.
std::vector<BoxSize> around(const std::vector<BoxSize>& sizes, std::size_t count) {
  ps::Random random(17);
  std::vector<BoxSize> boxes;
  boxes.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const BoxSize& size = sizes[i % sizes.size()];
    boxes.push_back({size.width * static_cast<float>(random.uniform(0.9, 1.1)),
                     size.height * static_cast<float>(random.uniform(0.9, 1.1))});
  }
  return boxes;
}

}  // namespace

TEST_CASE("anchors: fit by the worst ratio of sides", "[unit]") {
  const std::vector<BoxSize> boxes = {{20, 40}, {10, 100}, {8, 10}, {300, 10}};
  const std::vector<Anchor> anchors = {{10, 40}, {20, 20}};
  // Fits of the first: 0.5, 0.4, 0.25 (of height), 1 / 30; of the second: 0.5, 0.2, 0.4, 1 / 15.
  const auto fit = fit_of(boxes, anchors, 4.0);
  CHECK(fit.recall == Approx(0.75));  // 1 / 4 itself is not enough
  CHECK(fit.usable == Approx((2 + 1 + 1 + 0) / 4.0));
  CHECK(fit.fitness == Approx((0.5 + 0.4 + 0.4) / 4));
  CHECK(fit.mean_best == Approx((0.5 + 0.4 + 0.4 + 1.0 / 15) / 4));
}

TEST_CASE("anchors: good ones stay", "[unit]") {
  const std::vector<BoxSize> boxes = around({{12, 15}, {60, 50}, {150, 190}}, 300);
  const AnchorChoice choice = choose_anchors(boxes, kYolo);
  CHECK_FALSE(choice.changed);
  CHECK(choice.given.recall == 1);
  REQUIRE(choice.anchors.size() == kYolo.size());
  for (std::size_t i = 0; i < kYolo.size(); ++i) CHECK(choice.anchors[i].width == kYolo[i].width);
}

TEST_CASE("anchors: ones that miss the boxes are found anew", "[unit]") {
  const std::vector<BoxSize> boxes = around({{600, 20}, {30, 500}, {3, 3}}, 600);
  AnchorOptions options;
  options.generations = 100;
  const AnchorChoice choice = choose_anchors(boxes, std::span(kYolo).first(3), options);
  CHECK(choice.changed);
  CHECK(choice.given.recall < 0.5);
  CHECK(choice.chosen.recall == 1);
  REQUIRE(choice.anchors.size() == 3);
  CHECK(choice.anchors[0].width == Approx(3).epsilon(0.05));
  CHECK(choice.anchors[1].width == Approx(600).epsilon(0.05));  // by area
  CHECK(choice.anchors[1].height == Approx(20).epsilon(0.05));
  CHECK(choice.anchors[2].height == Approx(500).epsilon(0.05));
}

TEST_CASE("anchors: generations raise the fitness, and a seed decides them", "[unit]") {
  ps::Random random(3);
  std::vector<BoxSize> boxes;
  boxes.reserve(400);
  for (int i = 0; i < 400; ++i) {
    boxes.push_back(
        {static_cast<float>(random.uniform(5, 300)), static_cast<float>(random.uniform(5, 300))});
  }
  AnchorOptions options;
  options.seed = 4;
  options.generations = 0;
  const double before = fit_of(boxes, find_anchors(boxes, 6, options)).fitness;
  options.generations = 300;
  const std::vector<Anchor> anchors = find_anchors(boxes, 6, options);
  CHECK(fit_of(boxes, anchors).fitness > before + 0.005);
  CHECK(std::is_sorted(anchors.begin(), anchors.end(), [](const Anchor& a, const Anchor& b) {
    return a.width * a.height < b.width * b.height;
  }));
  const auto same = [&](const std::vector<Anchor>& other) {
    return std::equal(anchors.begin(), anchors.end(), other.begin(), other.end(),
                      [](const Anchor& a, const Anchor& b) {
                        return a.width == b.width && a.height == b.height;
                      });
  };
  CHECK(same(find_anchors(boxes, 6, options)));
  options.seed = 5;
  CHECK_FALSE(same(find_anchors(boxes, 6, options)));
}

TEST_CASE("anchors: more than there are sizes, tiny boxes, many boxes", "[unit]") {
  const std::vector<BoxSize> one = {{50, 20}};
  for (const Anchor& anchor : find_anchors(one, 4)) {
    CHECK(anchor.width >= 2);
    CHECK(anchor.height >= 2);
  }
  CHECK(fit_of(one, find_anchors(one, 4)).recall == 1);
  const std::vector<BoxSize> tiny = {{1, 1}, {1, 50}, {40, 40}};  // only the last counts
  CHECK(find_anchors(tiny, 1)[0].width == Approx(40).epsilon(0.01));
  AnchorOptions options;
  options.most = 100;
  options.generations = 20;
  const std::vector<BoxSize> many = around({{20, 20}, {200, 100}}, 5000);
  CHECK(fit_of(many, find_anchors(many, 2, options)).recall == 1);
}

TEST_CASE("anchors: misuse is named", "[unit]") {
  const std::vector<BoxSize> boxes = {{50, 20}};
  const std::vector<BoxSize> none;
  const std::vector<BoxSize> flat = {{50, 0}};
  const std::vector<BoxSize> tiny = {{1, 1}};
  const std::vector<BoxSize> endless = {{std::numeric_limits<float>::infinity(), 1}};
  CHECK_THROWS_AS(find_anchors(none, 3), ps::Error);
  CHECK_THROWS_AS(find_anchors(boxes, 0), ps::Error);
  CHECK_THROWS_AS(find_anchors(flat, 3), ps::Error);
  CHECK_THROWS_AS(find_anchors(tiny, 3), ps::Error);
  CHECK_THROWS_AS(find_anchors(endless, 3), ps::Error);
  CHECK_THROWS_AS(choose_anchors(boxes, {}), ps::Error);
}
