// The detection loss as its users see it, and decoding.
#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include <ps/error.h>
#include <ps/nn/detection.h>

#include "base/random.h"
#include "support/catch.h"

namespace ps::nn {
namespace {

DetectionHead small_head(bool anchor_free) {
  DetectionHead head{.classes = 2,
                     .levels = {{8, 4, 6, {{10, 13}, {16, 30}}}, {16, 2, 3, {{30, 21}}}}};
  if (anchor_free) {
    for (HeadLevel& level : head.levels) level.anchors.clear();
  }
  return head;
}

std::vector<float> random_output(const DetectionHead& head, std::int64_t batch) {
  Random random(7);
  std::vector<float> output(static_cast<std::size_t>(batch * head.size()));
  for (float& value : output) value = static_cast<float>(random.uniform(-3, 3));
  return output;
}

const std::vector<Target> kTargets{{0, 1, .4F, .5F, .5F, .6F}, {1, 0, .7F, .3F, .4F, .9F}};

double sigmoid(float x) {
  return 1 / (1 + std::exp(-double{x}));
}

void require_mention(const std::function<void()>& act, const std::string& text) {
  try {
    act();
  } catch (const Error& error) {
    CAPTURE(error.what());
    REQUIRE(error.code() == ErrorCode::kInvalidArgument);
    REQUIRE(std::string(error.what()).find(text) != std::string::npos);
    return;
  }
  FAIL("no error that says " << text);
}

}  // namespace

TEST_CASE("detection loss: images without boxes want nothing anywhere", "[unit]") {
  const bool anchor_free = GENERATE(false, true);
  const DetectionHead head = small_head(anchor_free);
  const std::vector<float> output = random_output(head, 2);
  DetectionCriterion criterion(head, default_loss_options(head), 2);
  std::vector<float> gradient(output.size(), NAN);
  const DetectionLoss loss = criterion.run(output, 2, {}, gradient);
  REQUIRE(loss.positives == 0);
  REQUIRE(loss.box == 0.0);
  REQUIRE(loss.dfl == 0.0);
  REQUIRE((anchor_free ? loss.category : loss.objectness) > 0.0);
  REQUIRE((anchor_free ? loss.objectness : loss.category) == 0.0);
  REQUIRE(std::all_of(gradient.begin(), gradient.end(), [](float g) { return g >= 0.0F; }));
  // Boxes that no cell can match are as good as none.
  const std::vector<Target> unmatched{{0, 1, .5F, .5F, 0, .2F}, {1, 0, .26F, .26F, .001F, .001F}};
  REQUIRE(criterion.run(output, 2, unmatched, {}).total == loss.total);
}

TEST_CASE("detection loss: a call leaves nothing behind for the next", "[unit]") {
  const DetectionHead head = small_head(GENERATE(false, true));
  const std::vector<float> output = random_output(head, 3);
  DetectionCriterion criterion(head, default_loss_options(head), 3);
  std::vector<float> expected(output.size());
  const DetectionLoss first = criterion.run(output, 3, kTargets, expected);
  REQUIRE(first.positives > 0);
  std::vector<Target> many;
  for (int i = 0; i < 50; ++i) {
    const float part = .01F * static_cast<float>(i);
    many.push_back({i % 3, i % 2, part, 1 - part, .3F, .4F});
  }
  criterion.run(output, 3, many, {});
  const auto size = static_cast<std::size_t>(2 * head.size());
  criterion.run(std::span(output).first(size), 2, kTargets, {});
  std::vector<float> gradient(output.size(), NAN);
  REQUIRE(criterion.run(output, 3, kTargets, gradient).total == first.total);
  REQUIRE(gradient == expected);
}

TEST_CASE("detection loss: images do not see each other's boxes", "[unit]") {
  const DetectionHead head = small_head(GENERATE(false, true));
  const std::vector<float> output = random_output(head, 2);
  DetectionCriterion criterion(head, default_loss_options(head), 2);
  std::vector<float> swapped(output.size());
  const auto half = static_cast<std::ptrdiff_t>(head.size());
  std::rotate_copy(output.begin(), output.begin() + half, output.end(), swapped.begin());
  std::vector<Target> targets = kTargets;
  for (Target& target : targets) target.image = 1 - target.image;
  const DetectionLoss loss = criterion.run(output, 2, kTargets, {});
  const DetectionLoss other = criterion.run(swapped, 2, targets, {});
  REQUIRE(other.total == Approx(loss.total).epsilon(1e-6));
  REQUIRE(other.positives == loss.positives);
  REQUIRE(criterion.run(swapped, 2, kTargets, {}).total != Approx(loss.total).epsilon(1e-4));
}

TEST_CASE("detection loss: an output that is not finite makes the loss so", "[unit]") {
  const DetectionHead head = small_head(GENERATE(false, true));
  DetectionCriterion criterion(head, default_loss_options(head), 1);
  const std::vector<float> output(static_cast<std::size_t>(head.size()), NAN);
  REQUIRE(std::isnan(criterion.run(output, 1, std::span(kTargets).first(1), {}).total));
}

TEST_CASE("detection loss: one class with anchors has no category loss", "[unit]") {
  DetectionHead head = small_head(false);
  head.classes = 1;
  DetectionCriterion criterion(head, {}, 1);
  const std::vector<Target> targets{{0, 0, .4F, .5F, .5F, .6F}};
  const DetectionLoss loss = criterion.run(random_output(head, 1), 1, targets, {});
  REQUIRE(loss.positives > 0);
  REQUIRE(loss.category == 0.0);
}

TEST_CASE("detection loss: refuses misuse and says what is wrong", "[unit]") {
  const DetectionHead head = small_head(false);
  const std::vector<float> output = random_output(head, 2);
  std::vector<float> gradient(output.size());
  DetectionCriterion criterion(head, {}, 2);
  const auto with_target = [&](const Target& target) {
    return [&criterion, &output, &gradient, target] {
      criterion.run(output, 2, std::vector<Target>{target}, gradient);
    };
  };
  require_mention(with_target({2, 0, .5F, .5F, .1F, .1F}), "an image of the batch");
  require_mention(with_target({-1, 0, .5F, .5F, .1F, .1F}), "an image of the batch");
  require_mention(with_target({0, 2, .5F, .5F, .1F, .1F}), "a class of the head");
  require_mention(with_target({0, 0, 1.5F, .5F, .1F, .1F}), "a center in [0, 1]");
  require_mention(with_target({0, 0, .5F, NAN, .1F, .1F}), "a center in [0, 1]");
  require_mention(with_target({0, 0, .5F, .5F, -.1F, .1F}), "a size of at least 0");
  require_mention(with_target({0, 0, .5F, .5F, .1F, INFINITY}), "a size of at least 0");
  require_mention([&] { criterion.run(output, 3, {}, gradient); }, "1 to max_batch = 2");
  require_mention([&] { criterion.run(output, 1, {}, {}); }, "batch * head.size()");
  require_mention([&] { criterion.run(output, 2, {}, std::span(gradient).first(3)); },
                  "batch * head.size()");
}

TEST_CASE("detection loss: refuses heads and options that make no sense", "[unit]") {
  const auto make = [](const DetectionHead& head, const DetectionLossOptions& options) {
    return [head, options] { const DetectionCriterion criterion(head, options, 1); };
  };
  const DetectionHead good = small_head(false);
  require_mention(make({.classes = 0, .levels = good.levels}, {}), "0 classes");
  require_mention(make({.classes = 2, .levels = {}}, {}), "no levels");
  DetectionHead mixed = good;
  mixed.levels[1].anchors.clear();
  require_mention(make(mixed, {}), "level 1 and level 0 differ");
  DetectionHead flat = good;
  flat.levels[1].anchors[0].width = 0;
  require_mention(make(flat, {}), "level 1 has an anchor of 0");
  require_mention(make(good, {.anchor_threshold = .5F}), "anchor_threshold");
  require_mention(make(good, {.label_smoothing = 2}), "label_smoothing");
  require_mention(make(good, {.focal_gamma = NAN}), "focal_gamma");
  require_mention(make(good, {.balance = {1}}), "balance has 1 values for 2 levels");
  require_mention(make(small_head(true), {.focal_gamma = 1}), "belong to heads with anchors");
  require_mention([&] { const DetectionCriterion criterion(good, {}, 0); }, "max_batch");
}

TEST_CASE("decode: anchors' boxes follow the formula, row by row", "[unit]") {
  const DetectionHead head = small_head(false);
  const std::vector<float> output = random_output(head, 2);
  std::vector<float> rows(static_cast<std::size_t>(2 * head.candidates() * head.row_floats()), NAN);
  decode(head, output, 2, rows);
  std::size_t at = 0;
  for (std::size_t n = 0; n < 2; ++n) {
    auto first = n * static_cast<std::size_t>(head.size());
    for (const HeadLevel& level : head.levels) {
      const auto plane = static_cast<std::size_t>(level.cells());
      for (const Anchor& anchor : level.anchors) {
        for (std::size_t cell = 0; cell < plane; ++cell, at += 7) {
          const auto s = [&](std::size_t k) { return sigmoid(output[first + k * plane + cell]); };
          const auto width = static_cast<std::size_t>(level.width);
          const auto stride = static_cast<double>(level.stride);
          const auto column = static_cast<double>(cell % width);
          const auto row = static_cast<double>(cell / width);
          CAPTURE(n, level.stride, cell);
          REQUIRE(rows[at] == Approx((2 * s(0) - .5 + column) * stride).margin(1e-5));
          REQUIRE(rows[at + 1] == Approx((2 * s(1) - .5 + row) * stride).margin(1e-5));
          REQUIRE(rows[at + 2] == Approx(4 * s(2) * s(2) * double{anchor.width}));
          REQUIRE(rows[at + 3] == Approx(4 * s(3) * s(3) * double{anchor.height}));
          for (std::size_t k = 4; k < 7; ++k) REQUIRE(rows[at + k] == Approx(s(k)));
        }
        first += 7 * plane;
      }
    }
  }
  REQUIRE(at == rows.size());
}

TEST_CASE("decode: an anchor-free box reaches its sides' mean distances from the center",
          "[unit]") {
  const DetectionHead head = small_head(true);
  std::vector<float> output = random_output(head, 1);
  std::vector<float> rows(static_cast<std::size_t>(head.candidates() * head.row_floats()), NAN);
  decode(head, output, 1, rows);
  std::size_t at = 0;
  std::size_t first = 0;
  for (const HeadLevel& level : head.levels) {
    const auto plane = static_cast<std::size_t>(level.cells());
    const auto width = static_cast<std::size_t>(level.width);
    const auto stride = static_cast<double>(level.stride);
    for (std::size_t cell = 0; cell < plane; ++cell, at += 6) {
      const auto distance = [&](std::size_t side) {
        double total = 0;
        double weighted = 0;
        for (std::size_t bin = 0; bin < 16; ++bin) {
          const double e = std::exp(double{output[first + (side * 16 + bin) * plane + cell]});
          total += e;
          weighted += e * static_cast<double>(bin);
        }
        return weighted / total * stride;
      };
      const double x = (static_cast<double>(cell % width) + .5) * stride;
      const double y = (static_cast<double>(cell / width) + .5) * stride;
      CAPTURE(level.stride, cell);
      REQUIRE(rows[at] - rows[at + 2] / 2 == Approx(x - distance(0)).margin(1e-3));
      REQUIRE(rows[at + 1] - rows[at + 3] / 2 == Approx(y - distance(1)).margin(1e-3));
      REQUIRE(rows[at] + rows[at + 2] / 2 == Approx(x + distance(2)).margin(1e-3));
      REQUIRE(rows[at + 1] + rows[at + 3] / 2 == Approx(y + distance(3)).margin(1e-3));
      for (std::size_t k = 0; k < 2; ++k) {
        REQUIRE(rows[at + 4 + k] == Approx(sigmoid(output[first + (64 + k) * plane + cell])));
      }
    }
    first += 66 * plane;
  }
  REQUIRE(at == rows.size());
}

TEST_CASE("decode: refuses arrays of the wrong size", "[unit]") {
  const DetectionHead head = small_head(false);
  const std::vector<float> output = random_output(head, 1);
  std::vector<float> rows(static_cast<std::size_t>(head.candidates() * head.row_floats()));
  require_mention([&] { decode(head, output, 2, rows); }, "batch * head.size()");
  require_mention([&] { decode(head, output, 1, std::span(rows).first(7)); }, "row_floats");
}

}  // namespace ps::nn
