// The detector's kernels: the same bits on every instruction set, and suppression against the plain
// loops.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/aligned_loss.h"
#include "kernels/anchor_loss.h"
#include "kernels/decode.h"
#include "kernels/distance_math.h"
#include "kernels/nms.h"
#include "kernels/reference.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

constexpr std::int64_t kClasses = 3;

// One level of two images, of a size that no vector divides.
GridLevel odd_level(const std::vector<float>& anchors) {
  const auto count = static_cast<std::int64_t>(anchors.size()) / 2;
  GridLevel level{.batch = 2, .height = 23, .width = 29, .classes = kClasses, .anchors = count};
  level.anchor_sizes = anchors.data();
  const std::int64_t channels = count == 0 ? kBoxChannels + kClasses : count * (5 + kClasses);
  level.sample_floats = channels * level.cells();
  return level;
}

std::vector<TrueBox> some_boxes() {
  std::vector<TrueBox> boxes;
  for (int i = 0; i < 30; ++i) {
    const auto part = [i](int factor) { return static_cast<float>(i * factor % 29) / 29.0F; };
    boxes.push_back({i % 2, i % 3, part(7), part(11), .03F + .4F * part(5), .03F + .5F * part(3)});
  }
  return boxes;
}

struct Results {
  std::vector<float> gradient;
  std::vector<float> rows;
  std::vector<float> others;  // targets, boxes, losses
};

Results run_anchors(Isa isa, const CrossEntropy& loss) {
  const std::vector<float> anchors{2, 3, 5, 4};
  const GridLevel level = odd_level(anchors);
  const auto boxes = some_boxes();
  const auto output = random_floats(2 * level.sample_floats, 3, -4, 4);
  Results results;
  results.gradient.resize(output.size());
  results.others.resize(static_cast<std::size_t>(2 * 2 * level.cells()));
  std::vector<Positive> positives(boxes.size() * 2 * kPositivesPerAnchor);
  const AnchorLossOps& ops = anchor_loss(isa);
  const std::int64_t count = ops.assign(level, 4.0F, boxes.data(), 30, positives.data());
  const AnchorTerms terms{.category = loss, .objectness = loss, .box_scale = .1F};
  const AnchorArrays arrays{.output = output.data(),
                            .objectness = results.others.data(),
                            .gradient = results.gradient.data()};
  const PositiveLoss part = ops.positives(level, terms, positives.data(), count, arrays);
  const double objectness = ops.objectness(level, terms, arrays);
  for (const double value : {part.box, part.category, objectness}) {
    results.others.push_back(static_cast<float>(value));
  }
  results.rows.resize(output.size());
  decode(isa).anchors(level, 8, output.data(), {results.rows.data(), level.sample_floats});
  return results;
}

Results run_anchor_free(Isa isa) {
  const GridLevel grid = odd_level({});
  const AlignedLevel level{.grid = grid, .stride = 8};
  const auto output = random_floats(2 * grid.sample_floats, 3, -4, 4);
  Results results;
  results.gradient.resize(output.size());
  results.others.resize(static_cast<std::size_t>(4 * grid.cells()));
  const AlignedLossOps& ops = aligned_loss(isa);
  const AlignedImage image{.levels = &level,
                           .level_count = 1,
                           .cells = grid.cells(),
                           .output = output.data(),
                           .boxes = results.others.data()};
  ops.locate(image);
  const Box box{100, 90, 150, 120};
  AlignedCell found[kAlignedCells];
  std::vector<Foreground> foreground;
  const std::int64_t count = ops.align(image, box, 1, found);  // before `others` grows and moves
  for (std::int64_t i = 0; i < count; ++i) {
    results.others.push_back(found[i].metric);
    foreground.push_back({0, 0, found[i].cell, 1, .5F, box});
  }
  const double categories = ops.categories(level, .3F, output.data(), results.gradient.data());
  const AlignedLoss loss =
      ops.foreground(&level, {}, foreground.data(), static_cast<std::int64_t>(foreground.size()),
                     output.data(), results.gradient.data());
  for (const double value : {categories, loss.box, loss.category, loss.dfl}) {
    results.others.push_back(static_cast<float>(value));
  }
  const std::int64_t row_floats = grid.cells() * (4 + kClasses);
  results.rows.resize(static_cast<std::size_t>(2 * row_floats));
  decode(isa).distances(grid, 8, output.data(), {results.rows.data(), row_floats});
  return results;
}

void require_same(const Results& a, const Results& b) {
  REQUIRE(a.gradient == b.gradient);
  REQUIRE(a.rows == b.rows);
  REQUIRE(a.others == b.others);
}

// Corners of random boxes, many of them overlapping.
struct Corners {
  std::vector<float> x1;
  std::vector<float> y1;
  std::vector<float> x2;
  std::vector<float> y2;
  std::vector<std::int32_t> categories;
};

Corners random_corners(std::int64_t count) {
  Corners corners{.x1 = random_floats(count, 1, 0, 100),
                  .y1 = random_floats(count, 2, 0, 100),
                  .x2 = random_floats(count, 3, 5, 40),
                  .y2 = random_floats(count, 4, 5, 40),
                  .categories = {}};
  for (std::size_t i = 0; i < corners.x1.size(); ++i) {
    corners.x2[i] += corners.x1[i];
    corners.y2[i] += corners.y1[i];
    corners.categories.push_back(static_cast<std::int32_t>(i % 3));
  }
  return corners;
}

bool overlap(const Corners& c, std::size_t a, std::size_t b, float threshold) {
  const float width = std::min(c.x2[a], c.x2[b]) - std::max(c.x1[a], c.x1[b]);
  const float height = std::min(c.y2[a], c.y2[b]) - std::max(c.y1[a], c.y1[b]);
  if (width <= 0 || height <= 0) return false;
  const float common = width * height;
  const auto area = [&c](std::size_t i) { return (c.x2[i] - c.x1[i]) * (c.y2[i] - c.y1[i]); };
  return common / (area(a) + area(b) - common) > threshold;
}

}  // namespace

TEST_CASE("detection kernels: anchors give the same bits on every instruction set", "[unit]") {
  const Isa isa = any_isa();
  const CrossEntropy loss{GENERATE(1.0F, 2.0F), GENERATE(0.0F, 1.5F)};
  CAPTURE(to_string(isa), loss.positive_weight, loss.focal_gamma);
  require_same(run_anchors(isa, loss), run_anchors(Isa::kScalar, loss));
}

TEST_CASE("detection kernels: anchor-free gives the same bits on every instruction set", "[unit]") {
  const Isa isa = any_isa();
  CAPTURE(to_string(isa));
  const Results results = run_anchor_free(isa);
  REQUIRE(results.others.size() == 4 * 23 * 29 + kAlignedCells + 4);
  require_same(results, run_anchor_free(Isa::kScalar));
}

TEST_CASE("anchor_loss: where positives meet, the last one's overlap is the objectness", "[unit]") {
  const std::vector<float> anchors{2, 3};
  GridLevel level{.batch = 1, .height = 4, .width = 4, .classes = 1, .anchors = 1};
  level.anchor_sizes = anchors.data();
  level.sample_floats = std::int64_t{6 * 16};
  const std::vector<float> output(96, .25F);
  const Positive first{0, 0, 5, 0, .5F, .5F, 2, 3};
  const Positive second{0, 0, 5, 0, .9F, .1F, 1, 2};
  std::vector<float> objectness(16);
  const auto last = [&](const std::vector<Positive>& order) {
    anchor_loss(best_isa())
        .positives(level, {}, order.data(), static_cast<std::int64_t>(order.size()),
                   {.output = output.data(), .objectness = objectness.data()});
    return objectness[5];
  };
  const float alone = last({first});
  REQUIRE(last({first, second}) < alone);
  REQUIRE(last({second, first}) == alone);
}

TEST_CASE("nms: keeps what the plain loops keep", "[unit]") {
  const Isa isa = any_isa();
  const std::int64_t count = GENERATE(0, 1, 700);
  const std::int64_t most = GENERATE(1, 100, 1000);
  const bool agnostic = GENERATE(false, true);
  const float threshold = GENERATE(0.0F, .3F, .6F);
  const Corners corners = random_corners(count);
  std::vector<std::int32_t> expected;
  for (std::size_t i = 0; i < corners.x1.size(); ++i) {
    if (static_cast<std::int64_t>(expected.size()) == most) break;
    const bool suppressed = std::any_of(expected.begin(), expected.end(), [&](std::int32_t k) {
      const auto other = static_cast<std::size_t>(k);
      return (agnostic || corners.categories[other] == corners.categories[i]) &&
             overlap(corners, other, i, threshold);
    });
    if (!suppressed) expected.push_back(static_cast<std::int32_t>(i));
  }
  const auto room = static_cast<std::size_t>(std::min(count, most));
  std::vector<std::int32_t> kept(room);
  std::vector<float> workspace(room * kNmsFloats);
  const CornerBoxes boxes{.count = count,
                          .x1 = corners.x1.data(),
                          .y1 = corners.y1.data(),
                          .x2 = corners.x2.data(),
                          .y2 = corners.y2.data(),
                          .categories = agnostic ? nullptr : corners.categories.data()};
  const std::int64_t found = nms(isa).keep(boxes, threshold, most, kept.data(), workspace.data());
  kept.resize(static_cast<std::size_t>(found));
  CAPTURE(to_string(isa), count, most, agnostic, threshold);
  REQUIRE(kept == expected);
}

}  // namespace ps::kernels
