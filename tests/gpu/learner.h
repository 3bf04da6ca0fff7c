// What the tests of whole steps share: a detector in memory of its own or a model's, with pictures
// and boxes from a seed.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ps/device.h>
#include <ps/nn/detection.h>
#include <ps/nn/detector.h>

#include "base/random.h"

namespace ps::nn {

// An emulated GPU takes long for more.
#if defined(PS_CUDA_EMULATED)
inline constexpr std::int64_t kSide = 32;
inline constexpr std::int64_t kBatch = 2;
#else
inline constexpr std::int64_t kSide = 64;
inline constexpr std::int64_t kBatch = 4;
#endif

struct LearnerOptions {
  std::string model = "pico";
  std::int64_t classes = 5;
  std::int64_t side = kSide;
  std::int64_t batch = kBatch;
  Device device = {};
  Precision precision = Precision::kFp32;
};

class Learner {
 public:
  explicit Learner(const LearnerOptions& o, std::uint64_t seed = 9)
      : detector(detector_table(o.model), o.classes, o.side, o.side),
        criterion(detector.head(), default_loss_options(detector.head()), o.batch) {
    Random random(seed);
    pictures.resize(static_cast<std::size_t>(o.batch * 3 * o.side * o.side));
    for (float& value : pictures) value = static_cast<float>(random.uniform(0.0, 1.0));
    const auto part = [&](double low, double high) {
      return static_cast<float>(random.uniform(low, high));
    };
    for (std::int64_t i = 0; i < 3 * o.batch; ++i) {
      targets.push_back({static_cast<std::int32_t>(i / 3), static_cast<std::int32_t>(i % o.classes),
                         part(.2, .8), part(.2, .8), part(.1, .5), part(.1, .5)});
    }
    for (std::size_t i = 0; i < parameters().size(); ++i) {
      const auto size = static_cast<std::size_t>(parameters()[i].size());
      weights.emplace_back(size);
      gradients.emplace_back(size);
      detector.initialize(i, 1, weights.back());
    }
    for (std::size_t i = 0; i < weights.size(); ++i)
      detector.graph().bind(i, weights[i], gradients[i]);
    detector.graph().prepare(o.batch, o.device, o.precision);
  }

  [[nodiscard]] const std::vector<Parameter>& parameters() const {
    return detector.graph().parameters();
  }

  DetectionLoss step(const GradientReady& ready = {}) {
    return detector.graph().forward_backward(pictures, criterion, targets, ready);
  }

  // What a server does with them.
  void learn(float rate) {
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const bool trained = parameters()[i].kind == ParameterKind::kTrained;
      for (std::size_t k = 0; k < weights[i].size(); ++k) {
        weights[i][k] = trained ? weights[i][k] - rate * gradients[i][k] : gradients[i][k];
      }
    }
  }

  Detector detector;
  DetectionCriterion criterion;
  std::vector<std::vector<float>> weights;
  std::vector<std::vector<float>> gradients;
  std::vector<float> pictures;
  std::vector<Target> targets;
};

// The largest difference, relative to the largest value; infinite where one is not finite.
inline double difference(std::span<const float> a, std::span<const float> b) {
  double most = a.size() == b.size() ? 0.0 : INFINITY;
  double largest = 1e-30;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
    const double apart = std::abs(double{a[i]} - double{b[i]});
    most = std::isfinite(apart) ? std::max(most, apart) : INFINITY;
    largest = std::max(largest, std::abs(double{b[i]}));
  }
  return most / largest;
}

}  // namespace ps::nn
