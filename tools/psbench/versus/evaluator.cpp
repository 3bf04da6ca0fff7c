#include "evaluator.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "data.h"

namespace psbench {
namespace {

constexpr std::size_t kBatch = 250;
constexpr double kDiverged = 1e9;  // JSON knows no infinity

}  // namespace

Evaluator::Evaluator(const RunSpec& spec, const classify::Dataset& held_out)
    : spec_(spec), held_out_(held_out), graph_(build(spec.network)) {
  graph_.prepare(kBatch);
  thread_ = std::jthread([this] { work(); });
}

void Evaluator::add(double seconds, std::span<const ps::Parameter> parameters) {
  Kept kept{.seconds = seconds, .weights = {}};
  for (const ps::Parameter& parameter : parameters) {
    const auto weights = parameter.weights();
    kept.weights.emplace_back(weights.begin(), weights.end());
  }
  const std::lock_guard lock(mutex_);
  kept_.push_back(std::move(kept));
  changed_.notify_one();
}

Evaluator::~Evaluator() {
  end();
}

void Evaluator::end() {
  const std::lock_guard lock(mutex_);
  last_ = true;
  changed_.notify_one();
}

std::vector<Point> Evaluator::finish() {
  end();
  thread_.join();
  return std::move(points_);
}

void Evaluator::work() {
  for (;;) {
    Kept kept;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return last_ || !kept_.empty(); });
      if (kept_.empty()) return;
      kept = std::move(kept_.front());
      kept_.pop_front();
    }
    points_.push_back(score(std::move(kept)));
    if (points_.back().accuracy >= spec_.target) reached_ = true;
  }
}

Point Evaluator::score(Kept kept) {
  for (std::size_t i = 0; i < kept.weights.size(); ++i) graph_.bind(i, kept.weights[i], {});
  double loss = 0.0;
  double correct = 0.0;
  for (std::size_t first = 0; first < held_out_.size(); first += kBatch) {
    std::vector<std::uint32_t> indices(std::min(kBatch, held_out_.size() - first));
    std::iota(indices.begin(), indices.end(), static_cast<std::uint32_t>(first));
    const classify::Batch batch = classify::make_batch(held_out_, indices);
    const ps::nn::Result result = graph_.evaluate(batch.images, batch.labels);
    loss += result.loss * static_cast<double>(result.samples);
    correct += static_cast<double>(result.correct);
  }
  const auto size = static_cast<double>(held_out_.size());
  return {.seconds = kept.seconds,
          .samples = 0.0,
          .loss = std::isfinite(loss) ? loss / size : kDiverged,
          .accuracy = correct / size};
}

}  // namespace psbench
