#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include <ps/error.h>
#include <ps/vision/anchors.h>

#include "base/random.h"

namespace ps::vision {
namespace {

constexpr int kMeansIterations = 30;
constexpr double kMutated = 0.9;  // the chance that a side changes in a generation
constexpr double kSpread = 0.1;
constexpr double kLeastFactor = 0.3;
constexpr double kMostFactor = 3.0;
constexpr std::uint64_t kPickStream = 1;

using Size = std::array<double, 2>;
using Sizes = std::vector<Size>;

[[noreturn]] void misuse(const std::string& text) {
  throw Error(ErrorCode::kInvalidArgument, "anchors: " + text);
}

// Boxes and anchors alike.
template <class Sized>
Sizes checked(std::span<const Sized> given, const char* what) {
  if (given.empty()) misuse(std::string("expected at least one ") + what + ", got none");
  Sizes sizes;
  sizes.reserve(given.size());
  for (const Sized& size : given) {
    if (!(size.width > 0 && size.height > 0 && std::isfinite(size.width * size.height))) {
      misuse(std::string("expected sides above 0, got a ") + what + " of " +
             std::to_string(size.width) + " x " + std::to_string(size.height));
    }
    sizes.push_back({double{size.width}, double{size.height}});
  }
  return sizes;
}

double fit(const Size& a, const Size& b) {
  const auto ratio = [](double x, double y) { return x < y ? x / y : y / x; };
  return std::min(ratio(a[0], b[0]), ratio(a[1], b[1]));
}

AnchorFit fit_of(const Sizes& boxes, const Sizes& anchors, double threshold) {
  const double least = 1 / threshold;
  AnchorFit sum;
  for (const Size& box : boxes) {
    double best = 0;
    for (const Size& anchor : anchors) {
      const double value = fit(box, anchor);
      best = std::max(best, value);
      sum.usable += value > least ? 1 : 0;
    }
    sum.mean_best += best;
    if (best <= least) continue;
    sum.recall += 1;
    sum.fitness += best;
  }
  const double share = 1 / static_cast<double>(boxes.size());
  return {sum.recall * share, sum.usable * share, sum.fitness * share, sum.mean_best * share};
}

// Boxes that count, or some of them, drawn by lot, where there are too many.
Sizes picked(const Sizes& boxes, const AnchorOptions& options) {
  Sizes large;
  for (const Size& box : boxes) {
    if (std::min(box[0], box[1]) >= options.least_side) large.push_back(box);
  }
  if (large.empty()) {
    misuse("none of " + std::to_string(boxes.size()) + " boxes has both sides of " +
           std::to_string(options.least_side) + " pixels or more");
  }
  if (large.size() <= options.most) return large;
  Random random(options.seed, kPickStream);
  for (std::size_t i = 0; i < options.most; ++i) {
    std::swap(large[i], large[i + random.below(large.size() - i)]);
  }
  large.resize(options.most);
  return large;
}

double square_distance(const Size& a, const Size& b) {
  const double x = a[0] - b[0];
  const double y = a[1] - b[1];
  return x * x + y * y;
}

// First centers far from each other: each box is drawn by its distance to the ones before (Arthur,
// Vassilvitskii: k-means++, 2007).
Sizes first_centers(const Sizes& points, std::size_t count, Random& random) {
  Sizes centers = {points[random.below(points.size())]};
  std::vector<double> distances(points.size(), std::numeric_limits<double>::infinity());
  while (centers.size() < count) {
    double sum = 0;
    for (std::size_t i = 0; i < points.size(); ++i) {
      distances[i] = std::min(distances[i], square_distance(points[i], centers.back()));
      sum += distances[i];
    }
    double left = random.uniform() * sum;
    std::size_t chosen = 0;
    for (; chosen + 1 < points.size(); ++chosen) {
      left -= distances[chosen];
      if (left < 0) break;
    }
    centers.push_back(points[chosen]);
  }
  return centers;
}

Sizes k_means(const Sizes& points, std::size_t count, Random& random) {
  Sizes centers = first_centers(points, count, random);
  for (int iteration = 0; iteration < kMeansIterations; ++iteration) {
    Sizes sums(count);
    std::vector<double> members(count);
    for (const Size& point : points) {
      std::size_t nearest = 0;
      for (std::size_t i = 1; i < count; ++i) {
        if (square_distance(point, centers[i]) < square_distance(point, centers[nearest])) {
          nearest = i;
        }
      }
      sums[nearest][0] += point[0];
      sums[nearest][1] += point[1];
      members[nearest] += 1;
    }
    const Sizes before = centers;
    for (std::size_t i = 0; i < count; ++i) {
      if (members[i] == 0) continue;
      centers[i] = {sums[i][0] / members[i], sums[i][1] / members[i]};
    }
    if (centers == before) break;
  }
  return centers;
}

// The deviation of each side, 1 where there is none.
Size deviation(const Sizes& boxes) {
  Size result = {};
  const auto n = static_cast<double>(boxes.size());
  for (std::size_t side = 0; side < 2; ++side) {
    double mean = 0;
    for (const Size& box : boxes) mean += box[side] / n;
    double variance = 0;
    for (const Size& box : boxes) variance += (box[side] - mean) * (box[side] - mean) / n;
    result[side] = variance > 0 ? std::sqrt(variance) : 1;
  }
  return result;
}

// Random factors on some sides; at least one changes.
Sizes mutated(const Sizes& anchors, double least_side, Random& random) {
  Sizes changed = anchors;
  while (changed == anchors) {
    const double strength = random.uniform() * kSpread;
    for (Size& anchor : changed) {
      for (double& side : anchor) {
        const double factor = random.chance(kMutated) ? 1 + strength * random.normal() : 1.0;
        side = std::max(side * std::clamp(factor, kLeastFactor, kMostFactor), least_side);
      }
    }
  }
  return changed;
}

}  // namespace

AnchorFit fit_of(std::span<const BoxSize> boxes,
                 std::span<const nn::Anchor> anchors,
                 double threshold) {
  return fit_of(checked(boxes, "box"), checked(anchors, "anchor"), threshold);
}

std::vector<nn::Anchor> find_anchors(std::span<const BoxSize> boxes,
                                     std::size_t count,
                                     const AnchorOptions& options) {
  if (count == 0) misuse("expected to find at least one, got 0");
  const Sizes sizes = picked(checked(boxes, "box"), options);
  Random random(options.seed);
  const Size unit = deviation(sizes);
  Sizes points = sizes;
  for (Size& point : points) point = {point[0] / unit[0], point[1] / unit[1]};
  Sizes anchors = k_means(points, count, random);
  for (Size& anchor : anchors) anchor = {anchor[0] * unit[0], anchor[1] * unit[1]};

  double best = fit_of(sizes, anchors, options.threshold).fitness;
  for (int generation = 0; generation < options.generations; ++generation) {
    Sizes changed = mutated(anchors, options.least_side, random);
    const double fitness = fit_of(sizes, changed, options.threshold).fitness;
    if (fitness <= best) continue;
    best = fitness;
    anchors = std::move(changed);
  }
  std::stable_sort(anchors.begin(), anchors.end(),
                   [](const Size& a, const Size& b) { return a[0] * a[1] < b[0] * b[1]; });
  std::vector<nn::Anchor> result;
  result.reserve(count);
  for (const Size& anchor : anchors) {
    result.push_back({static_cast<float>(anchor[0]), static_cast<float>(anchor[1])});
  }
  return result;
}

AnchorChoice choose_anchors(std::span<const BoxSize> boxes,
                            std::span<const nn::Anchor> given,
                            const AnchorOptions& options) {
  AnchorChoice choice;
  choice.anchors.assign(given.begin(), given.end());
  choice.given = fit_of(boxes, given, options.threshold);
  choice.chosen = choice.given;
  if (choice.given.recall > options.enough) return choice;
  std::vector<nn::Anchor> found = find_anchors(boxes, given.size(), options);
  const AnchorFit fit = fit_of(boxes, found, options.threshold);
  if (fit.recall <= choice.given.recall) return choice;
  choice.anchors = std::move(found);
  choice.chosen = fit;
  choice.changed = true;
  return choice;
}

}  // namespace ps::vision
