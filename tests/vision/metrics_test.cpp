#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <ps/error.h>
#include <ps/vision/metrics.h>

#include "base/random.h"
#include "support/catch.h"
#include "vision/score_reference.h"

namespace {

using ps::nn::Detection;
using ps::vision::ApKind;
using ps::vision::average_precision;
using ps::vision::DetectionReport;
using ps::vision::DetectionScores;
using ps::vision::ScoreCurves;
using ps::vision::TruthBox;
using ps::vision::reference::Picture;
using ps::vision::reference::random_pictures;

std::vector<std::uint8_t> hits_of(const std::string& text) {
  std::vector<std::uint8_t> hits;
  hits.reserve(text.size());
  for (const char digit : text) hits.push_back(digit == '1' ? 1 : 0);
  return hits;
}

// All numbers of a report, in one row to be compared.
std::vector<double> numbers(const DetectionReport& report) {
  std::vector<double> all = {static_cast<double>(report.images),
                             static_cast<double>(report.truth),
                             report.map50,
                             report.map50_95,
                             report.precision,
                             report.recall,
                             report.f1,
                             report.confidence};
  for (const auto& score : report.classes) {
    all.insert(all.end(), {static_cast<double>(score.images), static_cast<double>(score.truth),
                           score.precision, score.recall, score.f1, score.ap50, score.ap50_95});
  }
  for (const auto* curve : {&report.curves.precision, &report.curves.recall, &report.curves.f1,
                            &report.curves.precision_at_recall}) {
    all.insert(all.end(), curve->begin(), curve->end());
  }
  all.insert(all.end(), report.confusion.begin(), report.confusion.end());
  return all;
}

DetectionScores scored(const std::vector<Picture>& pictures, std::int64_t classes) {
  DetectionScores scores(classes);
  for (const Picture& picture : pictures) {
    scores.add(picture.number, picture.detections, picture.truth);
  }
  return scores;
}

constexpr Detection at(float x, float score, std::int32_t category = 0) {
  return {x, 0, x + 100, 100, score, category};
}
constexpr TruthBox truth_at(float x, std::int32_t category = 0) {
  return {x, 0, x + 100, 100, category};
}

bool throws(ps::ErrorCode code, const std::string& part, const auto& action) {
  try {
    action();
  } catch (const ps::Error& error) {
    CAPTURE(error.what());
    CHECK(std::string(error.what()).find(part) != std::string::npos);
    return error.code() == code;
  }
  return false;
}

}  // namespace

TEST_CASE("detection scores: average precision has the published values", "[unit]") {
  struct Row {
    std::string hits;
    std::int64_t truth;
    double all_points, eleven_points, coco, yolo;
  };
  const std::vector<Row> rows = {
      {"11010", 4, .687500, .681818, .690594, .760500},
      {"1011001", 5, .614286, .633117, .618105, .669286},
      {"111", 3, 1, 1, 1, .995},
      {"1", 2, .5, .545455, .504950, .75},
      {"00", 3, 0, 0, 0, 0},
      {"101000000101110000000000", 15, .225397, .268398, .230080, .299345},
  };
  for (const Row& row : rows) {
    CAPTURE(row.hits);
    const std::vector<std::uint8_t> hits = hits_of(row.hits);
    CHECK(average_precision(hits, row.truth, ApKind::kCoco) == Approx(row.coco).margin(1e-6));
    CHECK(average_precision(hits, row.truth, ApKind::kYoloV5) == Approx(row.yolo).margin(1e-6));
    // The reference that the random tests trust.
    namespace reference = ps::vision::reference;
    CHECK(reference::area_at(hits, row.truth, 101) == Approx(row.coco).margin(1e-6));
    CHECK(reference::area_at(hits, row.truth, 11) == Approx(row.eleven_points).margin(1e-6));
    CHECK(reference::area_all(hits, row.truth) == Approx(row.all_points).margin(1e-6));
    CHECK(reference::area_yolo(hits, row.truth) == Approx(row.yolo).margin(1e-6));
  }
}

TEST_CASE("detection scores: no detection or no true box is worth nothing", "[unit]") {
  const std::vector<std::uint8_t> one = {1};
  for (const ApKind kind : {ApKind::kCoco, ApKind::kYoloV5}) {
    CHECK(average_precision({}, 3, kind) == 0);
    CHECK(average_precision(one, 0, kind) == 0);
    DetectionScores scores(2);
    CHECK(scores.report(kind).fitness() == 0);
    scores.add(0, std::vector{at(0, 0.9F)}, {});
    CHECK(scores.report(kind).curves.categories.empty());
    scores.add(1, {}, std::vector{truth_at(0, 1)});
    const DetectionReport report = scores.report(kind);
    CHECK(report.images == 2);
    CHECK(report.map50 == 0);
    CHECK(report.precision == 0);
    CHECK(report.curves.categories == std::vector<std::int32_t>{1});
    CHECK(report.classes[0].truth == 0);
    CHECK(report.classes[1].truth == 1);
  }
}

TEST_CASE("detection scores: agree with a plain reference on random pictures", "[unit]") {
  const auto seed = GENERATE(range(1, 13));
  CAPTURE(seed);
  const std::int64_t classes = 1 + seed % 4;
  const auto pictures = random_pictures(static_cast<std::uint64_t>(seed), 25, classes);
  const DetectionScores scores = scored(pictures, classes);
  for (const ApKind kind : {ApKind::kCoco, ApKind::kYoloV5}) {
    CAPTURE(kind == ApKind::kCoco);
    const auto expected = ps::vision::reference::report(pictures, classes, kind);
    const DetectionReport report = scores.report(kind);
    CHECK(report.map50 == Approx(expected.map50).margin(1e-12));
    CHECK(report.map50_95 == Approx(expected.map50_95).margin(1e-12));
    CHECK(report.precision == Approx(expected.precision).margin(1e-12));
    CHECK(report.recall == Approx(expected.recall).margin(1e-12));
    CHECK(report.confidence == Approx(expected.confidence).margin(1e-12));
    CHECK(report.confusion == expected.confusion);
    for (std::size_t i = 0; i < report.classes.size(); ++i) {
      CAPTURE(i);
      CHECK(report.classes[i].truth == expected.classes[i].truth);
      CHECK(report.classes[i].images == expected.classes[i].images);
      CHECK(report.classes[i].ap50 == Approx(expected.classes[i].ap50).margin(1e-12));
      CHECK(report.classes[i].ap50_95 == Approx(expected.classes[i].ap50_95).margin(1e-12));
    }
  }
}

TEST_CASE("detection scores: COCO lets a detection take the next box, YOLOv5 does not", "[unit]") {
  DetectionScores scores(1);
  // The second detection lies best on the first box too, by 0.739 and 0.563.
  scores.add(0, std::vector{at(0, 0.9F), at(12, 0.8F)}, std::vector{truth_at(0), truth_at(40)});
  CHECK(scores.report(ApKind::kCoco).classes[0].ap50 == Approx(1.0));
  CHECK(scores.report(ApKind::kYoloV5).classes[0].ap50 == Approx(0.6225));
}

TEST_CASE("detection scores: COCO counts an image's 100 best detections of a class", "[unit]") {
  DetectionScores scores(2);
  std::vector<Detection> detections = {at(0, 0.1F), at(0, 0.1F, 1)};
  for (int i = 0; i < 100; ++i) detections.push_back(at(500, 0.5F));
  scores.add(0, detections, std::vector{truth_at(0), truth_at(0, 1)});
  const DetectionReport coco = scores.report(ApKind::kCoco);
  CHECK(coco.classes[0].ap50 == 0);
  CHECK(coco.classes[1].ap50 == Approx(1.0));
  CHECK(scores.report(ApKind::kYoloV5).classes[0].ap50 > 0);
}

TEST_CASE("detection scores: curves follow the confidence", "[unit]") {
  DetectionScores scores(1);
  scores.add(7, std::vector{at(0, 0.75F), at(500, 0.5F), at(1000, 0.25F)},
             std::vector{truth_at(0), truth_at(1000)});
  const DetectionReport report = scores.report();
  const auto near = [&](const std::vector<double>& curve, double x) {
    return curve[static_cast<std::size_t>(std::lround(x * (ScoreCurves::kPoints - 1)))];
  };
  const ScoreCurves& curves = report.curves;
  CHECK(near(curves.precision, 0.9) == 1);  // nothing is said there
  CHECK(near(curves.recall, 0.9) == 0);
  CHECK(near(curves.precision, 0.5) == Approx(0.5).margin(2e-3));
  CHECK(near(curves.recall, 0.6) == Approx(0.5).margin(2e-3));
  CHECK(near(curves.precision, 0.1) == Approx(2.0 / 3));
  CHECK(near(curves.recall, 0.1) == 1);
  CHECK(near(curves.f1, 0.1) == Approx(0.8));
  CHECK(near(curves.precision_at_recall, 0.25) == 1);
  CHECK(near(curves.precision_at_recall, 0.75) == Approx(2.0 / 3));
  CHECK(report.confidence < 0.25);
  CHECK(report.precision == Approx(2.0 / 3));
  CHECK(report.recall == 1);
  CHECK(report.f1 == Approx(0.8));
  CHECK(report.classes[0].f1 == Approx(0.8));
}

TEST_CASE("detection scores: the confusion matrix says what was taken for what", "[unit]") {
  DetectionScores scores(2);
  scores.add(0,
             std::vector{at(0, 0.9F, 1),       // on a box of class 0
                         at(3, 0.8F, 0),       // on the same, less well
                         at(500, 0.7F, 1),     // right
                         at(1000, 0.6F, 0),    // on nothing
                         at(1500, 0.25F, 0)},  // not sure enough
             std::vector{truth_at(0, 0), truth_at(500, 1), truth_at(1500, 0)});
  const std::vector<std::int64_t> expected = {0, 0, 2,   // said 0
                                              1, 1, 0,   // said 1
                                              1, 0, 0};  // said nothing
  CHECK(scores.report().confusion == expected);
}

TEST_CASE("detection scores: do not depend on how images are shared and merged", "[unit]") {
  const auto pictures = random_pictures(5, 24, 3);
  const std::vector<double> expected = numbers(scored(pictures, 3).report());
  std::array<std::vector<double>, 3> packs;
  for (std::size_t worker = 0; worker < packs.size(); ++worker) {
    DetectionScores part(3);
    for (std::size_t i = pictures.size(); i-- > 0;) {  // and backwards
      if (i % packs.size() != worker) continue;
      part.add(pictures[i].number, pictures[i].detections, pictures[i].truth);
    }
    packs[worker] = part.pack();
  }
  std::array<std::size_t, 3> order = {0, 1, 2};
  do {
    DetectionScores scores(3);
    for (const std::size_t worker : order) scores.merge(packs[worker]);
    CHECK(numbers(scores.report()) == expected);  // to the last bit
    CHECK(numbers(scores.report(ApKind::kYoloV5)) ==
          numbers(scored(pictures, 3).report(ApKind::kYoloV5)));
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("detection scores: refuse what another worker cannot have packed", "[unit]") {
  const auto pictures = random_pictures(9, 3, 2);
  const std::vector<double> packed = scored(pictures, 2).pack();
  DetectionScores scores(2);
  scores.add(1000, std::vector{at(0, 0.9F)}, std::vector{truth_at(0)});
  const std::vector<double> before = scores.pack();
  const auto refused = [&](std::span<const double> numbers, const std::string& part) {
    CHECK(throws(ps::ErrorCode::kCorrupt, part, [&] { scores.merge(numbers); }));
    CHECK(scores.pack() == before);
  };
  for (std::size_t size = 0; size < packed.size(); ++size) {
    CAPTURE(size);
    refused(std::span(packed).first(size), "another worker");
  }
  std::vector<double> longer = packed;
  longer.push_back(0);
  refused(longer, "left over");
  for (std::size_t i = 0; i < packed.size(); ++i) {
    CAPTURE(i);
    std::vector<double> bad = packed;
    bad[i] = std::numeric_limits<double>::quiet_NaN();
    refused(bad, "another worker");
  }
  for (const double value : {-1.0, 0.5, 1e300, 4.0e15}) {
    CAPTURE(value);
    std::vector<double> bad = packed;
    bad.back() = value;  // a detection's code
    refused(bad, "code");
  }
  refused(DetectionScores(3).pack(), "expected 2 classes, got 3");

  scores.merge(packed);
  CHECK(scores.images() == 4);
  CHECK(throws(ps::ErrorCode::kCorrupt, "was scored here", [&] { scores.merge(packed); }));
}

TEST_CASE("detection scores: misuse is named and changes nothing", "[unit]") {
  constexpr auto kCode = ps::ErrorCode::kInvalidArgument;
  CHECK(throws(kCode, "classes, got 0", [] { DetectionScores(0); }));
  CHECK(throws(kCode, "classes, got 4097", [] { DetectionScores(4097); }));
  DetectionScores scores(2);
  scores.add(3, {}, {});
  const std::vector<double> before = scores.pack();
  const std::vector<Detection> wrong = {at(0, 0.5F, 2)};
  const std::vector<TruthBox> wrong_truth = {truth_at(0, -1)};
  CHECK(throws(kCode, "category 2", [&] { scores.add(4, wrong, {}); }));
  CHECK(throws(kCode, "category -1", [&] { scores.add(4, {}, wrong_truth); }));
  CHECK(throws(kCode, "has been counted", [&] { scores.add(3, {}, {}); }));
  CHECK(throws(kCode, "0 or more", [&] { scores.add(-1, {}, {}); }));
  CHECK(scores.pack() == before);
}

TEST_CASE("detection scores: bear what a diverged network says", "[unit]") {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinite = std::numeric_limits<float>::infinity();
  DetectionScores scores(1);
  scores.add(0,
             std::vector{Detection{0, 0, 100, 100, kNan, 0}, Detection{kNan, 0, 100, 100, 0.9F, 0},
                         Detection{-kInfinite, -kInfinite, kInfinite, kInfinite, 0.8F, 0},
                         Detection{0, 0, 100, 100, 0.7F, 0}},
             std::vector{truth_at(0)});
  const DetectionReport report = scores.report();
  CHECK(report.classes[0].ap50 == Approx(1.0 / 3));
  CHECK(report.confusion == std::vector<std::int64_t>{1, 2, 0, 0});
}
