#include "vision/score_reference.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace ps::vision::reference {
namespace {

struct Hit {
  double score = 0;
  bool right = false;
};

double overlap(const nn::Detection& a, const TruthBox& b) {
  const double left = std::max<double>(a.x1, b.x1);
  const double right = std::min<double>(a.x2, b.x2);
  const double top = std::max<double>(a.y1, b.y1);
  const double bottom = std::min<double>(a.y2, b.y2);
  if (right <= left || bottom <= top) return 0;
  const double common = (right - left) * (bottom - top);
  return common / ((double{a.x2} - a.x1) * (double{a.y2} - a.y1) +
                   (double{b.x2} - b.x1) * (double{b.y2} - b.y1) - common);
}

// Of one class, best first; equal scores stay in order.
std::vector<nn::Detection> sorted(const Picture& picture, std::int32_t category) {
  std::vector<nn::Detection> chosen;
  for (const auto& detection : picture.detections) {
    if (detection.category == category) chosen.push_back(detection);
  }
  std::stable_sort(chosen.begin(), chosen.end(),
                   [](const auto& a, const auto& b) { return a.score > b.score; });
  return chosen;
}

std::vector<TruthBox> of_class(const Picture& picture, std::int32_t category) {
  std::vector<TruthBox> chosen;
  for (const auto& box : picture.truth) {
    if (box.category == category) chosen.push_back(box);
  }
  return chosen;
}

void add_coco(const Picture& picture, std::int32_t category, double least, std::vector<Hit>& hits) {
  std::vector<nn::Detection> detections = sorted(picture, category);
  detections.resize(std::min<std::size_t>(detections.size(), 100));
  std::vector<TruthBox> free = of_class(picture, category);
  for (const auto& detection : detections) {
    std::ptrdiff_t best = -1;
    for (std::size_t i = 0; i < free.size(); ++i) {
      const double value = overlap(detection, free[i]);
      if (value < least) continue;
      if (best < 0 || value >= overlap(detection, free[static_cast<std::size_t>(best)])) {
        best = static_cast<std::ptrdiff_t>(i);
      }
    }
    hits.push_back({detection.score, best >= 0});
    if (best >= 0) free.erase(free.begin() + best);
  }
}

// All pairs by falling overlap; each detection keeps its first, then each box its best detection.
void add_yolo(const Picture& picture, std::int32_t category, double least, std::vector<Hit>& hits) {
  struct Pair {
    double overlap = 0;
    std::size_t detection = 0;
    std::size_t box = 0;
  };
  const std::vector<nn::Detection> detections = sorted(picture, category);
  const std::vector<TruthBox> truth = of_class(picture, category);
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i < detections.size(); ++i) {
    for (std::size_t box = 0; box < truth.size(); ++box) {
      const double value = overlap(detections[i], truth[box]);
      if (value >= least) pairs.push_back({value, i, box});
    }
  }
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Pair& a, const Pair& b) { return a.overlap > b.overlap; });
  std::vector<Pair> kept;
  for (const Pair& pair : pairs) {
    if (std::none_of(kept.begin(), kept.end(),
                     [&](const Pair& other) { return other.detection == pair.detection; })) {
      kept.push_back(pair);
    }
  }
  for (std::size_t i = 0; i < detections.size(); ++i) {
    const auto own = std::find_if(kept.begin(), kept.end(),
                                  [&](const Pair& pair) { return pair.detection == i; });
    const bool right =
        own != kept.end() && std::none_of(kept.begin(), kept.end(), [&](const Pair& other) {
          return other.box == own->box && other.detection < i;
        });
    hits.push_back({detections[i].score, right});
  }
}

std::vector<Hit> hits_of(std::vector<Picture> pictures,
                         std::int32_t category,
                         double least,
                         ApKind kind) {
  std::sort(pictures.begin(), pictures.end(),
            [](const Picture& a, const Picture& b) { return a.number < b.number; });
  std::vector<Hit> hits;
  for (const Picture& picture : pictures) {
    (kind == ApKind::kCoco ? add_coco : add_yolo)(picture, category, least, hits);
  }
  std::stable_sort(hits.begin(), hits.end(),
                   [](const Hit& a, const Hit& b) { return a.score > b.score; });
  return hits;
}

double share(std::int64_t part, std::int64_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

// The straight line between the two neighbours of x among falling scores; `above` beyond the best.
double between(double x,
               const std::vector<Hit>& hits,
               const std::vector<double>& values,
               double above) {
  if (hits.empty()) return 0;
  if (x > hits.front().score) return above;
  std::size_t last = 0;  // the last that is not below x
  for (std::size_t i = 0; i < hits.size(); ++i) {
    if (hits[i].score >= x) last = i;
  }
  if (last + 1 == hits.size()) return values[last];
  const double along = (hits[last].score - x) / (hits[last].score - hits[last + 1].score);
  return values[last] + along * (values[last + 1] - values[last]);
}

void confuse(const Picture& picture, std::int64_t classes, std::vector<std::int64_t>& matrix) {
  std::vector<nn::Detection> detections;
  for (const auto& detection : picture.detections) {
    if (detection.score > 0.25F) detections.push_back(detection);
  }
  std::stable_sort(detections.begin(), detections.end(),
                   [](const auto& a, const auto& b) { return a.score > b.score; });
  std::vector<TruthBox> truth = picture.truth;
  const auto cell = [&](std::int64_t said, std::int64_t is) -> std::int64_t& {
    return matrix[static_cast<std::size_t>(said * (classes + 1) + is)];
  };
  while (true) {  // the best pair of all that are left
    double best = 0.45;
    std::ptrdiff_t first = -1;
    std::ptrdiff_t second = -1;
    for (std::size_t i = 0; i < detections.size(); ++i) {
      for (std::size_t box = 0; box < truth.size(); ++box) {
        if (overlap(detections[i], truth[box]) <= best) continue;
        best = overlap(detections[i], truth[box]);
        first = static_cast<std::ptrdiff_t>(i);
        second = static_cast<std::ptrdiff_t>(box);
      }
    }
    if (first < 0) break;
    ++cell(detections[static_cast<std::size_t>(first)].category,
           truth[static_cast<std::size_t>(second)].category);
    detections.erase(detections.begin() + first);
    truth.erase(truth.begin() + second);
  }
  for (const auto& detection : detections) ++cell(detection.category, classes);
  for (const auto& box : truth) ++cell(classes, box.category);
}

// P, R and the confidence of the best smoothed F1, as means over `all` classes.
void add_best_point(const std::vector<std::vector<Hit>>& all,
                    const std::vector<std::int64_t>& truth,
                    DetectionReport& report) {
  constexpr int kPoints = 1000;
  const double weight = 1.0 / static_cast<double>(all.size());
  std::vector<double> precision(kPoints);
  std::vector<double> recall(kPoints);
  std::vector<double> f1(kPoints);
  for (std::size_t row = 0; row < all.size(); ++row) {
    std::vector<double> precisions;
    std::vector<double> recalls;
    std::int64_t right = 0;
    for (const Hit& hit : all[row]) {
      right += hit.right ? 1 : 0;
      precisions.push_back(share(right, static_cast<std::int64_t>(precisions.size()) + 1));
      recalls.push_back(share(right, truth[row]));
    }
    for (std::size_t i = 0; i < kPoints; ++i) {
      const double x = static_cast<double>(i) / (kPoints - 1);
      const double p = between(x, all[row], precisions, 1);
      const double r = between(x, all[row], recalls, 0);
      precision[i] += weight * p;
      recall[i] += weight * r;
      f1[i] += p + r > 0 ? weight * 2 * p * r / (p + r) : 0;
    }
  }
  double best = -1;
  for (int i = 0; i < kPoints; ++i) {
    double sum = 0;
    for (int j = i - 50; j <= i + 50; ++j) {
      sum += f1[static_cast<std::size_t>(std::min(std::max(j, 0), kPoints - 1))];
    }
    if (sum <= best) continue;
    best = sum;
    report.confidence = static_cast<double>(i) / (kPoints - 1);
    report.precision = precision[static_cast<std::size_t>(i)];
    report.recall = recall[static_cast<std::size_t>(i)];
  }
}

}  // namespace

double area_at(std::span<const std::uint8_t> hits, std::int64_t truth, int points) {
  double sum = 0;
  for (int point = 0; point < points; ++point) {
    const double least = point * (1.0 / (points - 1));
    double best = 0;
    std::int64_t right = 0;
    for (std::size_t i = 0; i < hits.size(); ++i) {
      right += hits[i];
      if (share(right, truth) < least) continue;
      best = std::max(best, share(right, static_cast<std::int64_t>(i) + 1));
    }
    sum += best / points;
  }
  return sum;
}

double area_all(std::span<const std::uint8_t> hits, std::int64_t truth) {
  double sum = 0;
  for (std::size_t i = 0; i < hits.size(); ++i) {
    if (hits[i] == 0) continue;
    double best = 0;
    std::int64_t right = 0;
    for (std::size_t j = 0; j < hits.size(); ++j) {
      right += hits[j];
      if (j >= i) best = std::max(best, share(right, static_cast<std::int64_t>(j) + 1));
    }
    sum += best / static_cast<double>(truth);
  }
  return sum;
}

double area_yolo(std::span<const std::uint8_t> hits, std::int64_t truth) {
  std::vector<double> xs = {0};
  std::vector<double> ys = {1};
  std::int64_t right = 0;
  for (std::size_t i = 0; i < hits.size(); ++i) {
    right += hits[i];
    xs.push_back(share(right, truth));
    ys.push_back(share(right, static_cast<std::int64_t>(i) + 1));
  }
  if (hits.empty()) return 0;
  xs.push_back(1);
  ys.push_back(0);
  const auto at = [&](double x) {
    std::size_t last = 0;
    for (std::size_t i = 0; i < xs.size(); ++i) {
      if (xs[i] <= x) last = i;
    }
    const auto highest = [&](std::size_t from) {
      return *std::max_element(ys.begin() + static_cast<std::ptrdiff_t>(from), ys.end());
    };
    if (last + 1 == xs.size()) return highest(last);
    return highest(last) +
           (x - xs[last]) / (xs[last + 1] - xs[last]) * (highest(last + 1) - highest(last));
  };
  double sum = 0;
  for (int i = 0; i < 100; ++i) sum += (at(0.01 * i) + at(0.01 * (i + 1))) / 2 * 0.01;
  return sum;
}

DetectionReport report(const std::vector<Picture>& pictures, std::int64_t classes, ApKind kind) {
  DetectionReport result;
  result.classes.resize(static_cast<std::size_t>(classes));
  result.confusion.resize(static_cast<std::size_t>((classes + 1) * (classes + 1)));
  for (const Picture& picture : pictures) confuse(picture, classes, result.confusion);
  std::vector<std::vector<Hit>> all;
  std::vector<std::int64_t> truth;
  for (std::int32_t category = 0; category < classes; ++category) {
    ClassScore& score = result.classes[static_cast<std::size_t>(category)];
    for (const Picture& picture : pictures) {
      const auto boxes = static_cast<std::int64_t>(of_class(picture, category).size());
      score.truth += boxes;
      score.images += boxes > 0 ? 1 : 0;
    }
    if (score.truth == 0) continue;
    for (int step = 0; step < 10; ++step) {
      const std::vector<Hit> hits = hits_of(pictures, category, 0.5 + 0.05 * step, kind);
      std::vector<std::uint8_t> bits;
      bits.reserve(hits.size());
      for (const Hit& hit : hits) bits.push_back(hit.right ? 1 : 0);
      const double area =
          kind == ApKind::kCoco ? area_at(bits, score.truth, 101) : area_yolo(bits, score.truth);
      score.ap50_95 += area / 10;
      if (step > 0) continue;
      score.ap50 = area;
      all.push_back(hits);
      truth.push_back(score.truth);
    }
  }
  if (all.empty()) return result;
  for (const ClassScore& score : result.classes) {
    result.map50 += score.ap50 / static_cast<double>(all.size());
    result.map50_95 += score.ap50_95 / static_cast<double>(all.size());
  }
  add_best_point(all, truth, result);
  return result;
}

std::vector<Picture> random_pictures(std::uint64_t seed, std::size_t count, std::int64_t classes) {
  Random random(seed);
  std::vector<Picture> pictures(count);
  const auto category = [&] {
    return static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(classes)));
  };
  const auto place = [&](double low, double high) {
    return static_cast<float>(random.uniform(low, high));
  };
  for (std::size_t i = 0; i < count; ++i) {
    Picture& picture = pictures[i];
    picture.number = static_cast<std::int64_t>((i * 7 + seed) % count + 100 * (i % 2));
    for (std::uint64_t boxes = random.below(5); boxes > 0; --boxes) {
      const float x = place(0, 60);
      const float y = place(0, 60);
      picture.truth.push_back({x, y, x + place(20, 60), y + place(20, 60), category()});
      for (std::uint64_t tries = random.below(4); tries > 0; --tries) {
        const TruthBox& box = picture.truth.back();
        picture.detections.push_back({box.x1 + place(-8, 8), box.y1 + place(-8, 8),
                                      box.x2 + place(-8, 8), box.y2 + place(-8, 8),
                                      static_cast<float>(random.below(12)) / 12,
                                      random.chance(0.8) ? box.category : category()});
      }
    }
    for (std::uint64_t wrong = random.below(3); wrong > 0; --wrong) {
      const float x = place(0, 100);
      picture.detections.push_back({x, x, x + 30, x + 30, place(0, 0.6), category()});
    }
  }
  return pictures;
}

}  // namespace ps::vision::reference
