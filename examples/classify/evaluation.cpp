#include "evaluation.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <vector>

namespace classify {

Score evaluate(ps::Session& session, ps::nn::Graph& graph, const Dataset& dataset) {
  const auto [begin, end] = session.slice(dataset.size());
  double loss = 0.0;
  std::int64_t correct = 0;
  for (std::uint64_t first = begin; first < end; first += kEvaluationBatch) {
    std::vector<std::uint32_t> indices(std::min<std::uint64_t>(kEvaluationBatch, end - first));
    std::iota(indices.begin(), indices.end(), static_cast<std::uint32_t>(first));
    const Batch batch = make_batch(dataset, indices);
    const ps::nn::Result result = graph.evaluate(batch.images, batch.labels);
    loss += result.loss * static_cast<double>(result.samples);
    correct += result.correct;
  }
  const std::vector<double> sums = session.reduce(std::array{loss, static_cast<double>(correct)});
  const auto samples = static_cast<double>(dataset.size());
  return {.loss = sums[0] / samples, .accuracy = sums[1] / samples};
}

}  // namespace classify
