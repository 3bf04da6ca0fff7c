// Non-maximum suppression: the known example, and each option.
#include <cmath>
#include <limits>
#include <vector>

#include <ps/error.h>
#include <ps/nn/detection.h>

#include "support/catch.h"

namespace ps::nn {
namespace {

struct Row {
  float x1;
  float y1;
  float x2;
  float y2;
  float score;
  int category;
};

const std::vector<Row> kGolden{{10, 10, 50, 50, .90F, 0},     {12, 12, 52, 52, .80F, 0},
                               {30, 10, 70, 50, .75F, 0},     {11, 11, 51, 51, .70F, 1},
                               {200, 200, 240, 260, .60F, 0}, {200, 202, 240, 262, .55F, 0},
                               {10, 10, 50, 50, .20F, 0}};

// Anchor-free rows of two classes.
std::vector<float> rows_of(const std::vector<Row>& boxes) {
  std::vector<float> rows;
  for (const Row& box : boxes) {
    rows.insert(rows.end(),
                {(box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2, box.x2 - box.x1, box.y2 - box.y1,
                 box.category == 0 ? box.score : 0.0F, box.category == 1 ? box.score : 0.0F});
  }
  return rows;
}

// Which of the golden boxes are kept, in the order of the result.
std::vector<int> kept(const NmsOptions& options) {
  std::vector<int> indices;
  for (const Detection& found : suppress(rows_of(kGolden), 2, false, options)) {
    for (std::size_t i = 0; i < kGolden.size(); ++i) {
      const Row& box = kGolden[i];
      if (found == Detection{box.x1, box.y1, box.x2, box.y2, box.score, box.category}) {
        indices.push_back(static_cast<int>(i));
      }
    }
  }
  return indices;
}

using Indices = std::vector<int>;

}  // namespace

TEST_CASE("suppress: keeps the known boxes", "[unit]") {
  REQUIRE(kept({.confidence = .25F, .iou = .45F}) == Indices{0, 2, 3, 4});
  REQUIRE(kept({.confidence = .25F, .iou = .45F, .agnostic = true}) == Indices{0, 2, 4});
  REQUIRE(kept({.confidence = .25F, .iou = .30F}) == Indices{0, 3, 4});
  REQUIRE(kept({.confidence = .25F, .iou = .90F}) == Indices{0, 1, 2, 3, 4});
}

TEST_CASE("suppress: options choose among the boxes", "[unit]") {
  REQUIRE(kept({.confidence = .25F, .iou = .45F, .max_detections = 2}) == Indices{0, 2});
  REQUIRE(kept({.confidence = .25F, .iou = .45F, .max_detections = 0}).empty());
  REQUIRE(kept({.confidence = .25F, .iou = .45F, .classes = {1}}) == Indices{3});
  REQUIRE(kept({.confidence = .25F, .iou = .90F, .max_candidates = 3}) == Indices{0, 1, 2});
  // Strictly above the confidence.
  REQUIRE(kept({.confidence = .60F, .iou = .45F}) == Indices{0, 2, 3});
  // Box 5 is suppressed at .93, not at .94, and so on up to identical ones, never at 1.
  REQUIRE(kept({.confidence = .1F, .iou = .94F}) == Indices{0, 1, 2, 3, 4, 5});
  REQUIRE(kept({.confidence = .1F, .iou = 1.0F}) == Indices{0, 1, 2, 3, 4, 5, 6});
}

TEST_CASE("suppress: a box is suppressed only above the threshold", "[unit]") {
  // Overlap 2 of 4: IoU exactly one half.
  const std::vector<float> rows{1.5F, .5F, 3, 1, .9F, 2.5F, .5F, 3, 1, .8F};
  REQUIRE(suppress(rows, 1, false, {.iou = .5F}).size() == 2);
  REQUIRE(suppress(rows, 1, false, {.iou = .4999F}).size() == 1);
}

TEST_CASE("suppress: with objectness the score is the product, one class or several", "[unit]") {
  const std::vector<float> rows{10, 10, 4, 4, .5F,  .6F, .8F, .3F,   //
                                50, 50, 4, 4, .25F, 1,   1,   1,     // objectness not above
                                90, 90, 4, 4, .5F,  .5F, .4F, .2F};  // no class above
  const std::vector<Detection> best = suppress(rows, 3, true, {.confidence = .25F});
  REQUIRE(best == std::vector<Detection>{{8, 8, 12, 12, .5F * .8F, 1}});
  const std::vector<Detection> all =
      suppress(rows, 3, true, {.confidence = .25F, .multi_label = true});
  REQUIRE(all ==
          std::vector<Detection>{{8, 8, 12, 12, .5F * .8F, 1}, {8, 8, 12, 12, .5F * .6F, 0}});
  // A box whose best class is not wanted does not come back as its second best.
  REQUIRE(suppress(rows, 3, true, {.confidence = .25F, .classes = {0}}).empty());
  REQUIRE(
      suppress(rows, 3, true, {.confidence = .25F, .multi_label = true, .classes = {0}}).size() ==
      1);
}

TEST_CASE("suppress: equal scores keep the order of rows, then classes", "[unit]") {
  std::vector<float> rows;
  for (int i = 0; i < 100; ++i) {
    const float score = i % 2 == 0 ? .5F : .75F;
    rows.insert(rows.end(), {static_cast<float>(10 * i), 0, 4, 4, score, score});
  }
  const auto found = suppress(rows, 2, false, {.multi_label = true});
  REQUIRE(found.size() == 200);
  for (std::size_t i = 0; i < 200; ++i) {
    const std::size_t row = i < 100 ? i / 2 * 2 + 1 : (i - 100) / 2 * 2;
    REQUIRE(found[i].x1 == static_cast<float>(row * 10) - 2);
    REQUIRE(found[i].category == static_cast<int>(i % 2));
  }
}

TEST_CASE("suppress: rows that are not finite are left out, empty boxes are not", "[unit]") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> rows{nan, 0, 4, 4, .9F, 0, 0, inf, 4, .9F, 0, 0, 4, 4, nan,
                                0,   0, 4, 4, inf, 7, 7, 0,   0, .9F, 7, 7, 0, 0, .8F};
  // The last two have no area: their IoU is 0 / 0, not above anything.
  REQUIRE(suppress(rows, 1, false, {}).size() == 2);
  REQUIRE(suppress({}, 1, false, {}).empty());
}

TEST_CASE("suppress: refuses what it cannot read", "[unit]") {
  const std::vector<float> rows(12);
  REQUIRE_THROWS_AS(suppress(rows, 3, false, {}), Error);
  REQUIRE_THROWS_AS(suppress(rows, 0, false, {}), Error);
  REQUIRE_THROWS_AS(suppress(rows, 2, false, {.confidence = -1.0F}), Error);
  REQUIRE_THROWS_AS(suppress(rows, 2, false, {.confidence = NAN}), Error);
  REQUIRE_THROWS_AS(suppress(rows, 2, false, {.iou = 2.0F}), Error);
  REQUIRE_THROWS_AS(suppress(rows, 2, false, {.max_detections = -1}), Error);
  REQUIRE_THROWS_AS(suppress(rows, 2, false, {.classes = {2}}), Error);
}

}  // namespace ps::nn
