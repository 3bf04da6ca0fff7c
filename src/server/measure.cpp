#include "server/measure.h"

#include <cmath>
#include <cstring>

namespace ps::server {
namespace {

enum : std::size_t { kShards, kUpdates, kSamples, kContributors, kEach, kMean, kMoved, kWeights };

// A message's floats may start at any byte.
double at(std::span<const float> values, std::size_t i) {
  float value = 0;
  std::memcpy(&value, reinterpret_cast<const std::byte*>(values.data()) + i * sizeof value,
              sizeof value);
  return value;
}

}  // namespace

void Measure::add(std::span<const optim::Contribution> contributions,
                  std::span<const float> before,
                  std::span<const float> after) {
  double total = 0;
  for (const optim::Contribution& one : contributions) total += one.weight;
  if (total <= 0) return;
  double each = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    double mean = 0;
    for (const optim::Contribution& one : contributions) {
      const double g = at(one.values, i);
      each += g * g;
      mean += one.weight * g;
    }
    mean /= total;
    const double old = before[i];
    const double moved = after[i] - old;
    sums_[kMean] += mean * mean;
    sums_[kMoved] += moved * moved;
    sums_[kWeights] += old * old;
  }
  sums_[kEach] += each / static_cast<double>(contributions.size());
}

void Measure::end_update(std::size_t contributors, double samples) {
  sums_[kUpdates] += 1;
  sums_[kSamples] += samples;
  sums_[kContributors] += static_cast<double>(contributors);
}

Measures measures_of(std::span<const double> now, std::span<const double> before) {
  Measures result;
  if (now.size() != Measure::kSums || now[kShards] <= 0) return result;
  const auto since = [&](std::size_t i) { return now[i] - (i < before.size() ? before[i] : 0.0); };
  const double counted = since(kUpdates);  // by every shard
  if (counted <= 0) return result;
  const double updates = counted / now[kShards];
  result.updates = static_cast<std::uint64_t>(updates);
  result.batch = since(kSamples) / counted;
  result.gradient_norm = std::sqrt(since(kMean) / updates);
  if (since(kWeights) > 0) result.update_to_weight = std::sqrt(since(kMoved) / since(kWeights));
  const double n = since(kContributors) / counted;
  if (n <= 1) return result;
  const double signal = (n * since(kMean) - since(kEach)) / (n - 1);
  const double noise = result.batch * (since(kEach) - since(kMean)) / (n - 1);
  if (signal > 0 && noise > 0) result.noise_scale = noise / signal;
  return result;
}

}  // namespace ps::server
