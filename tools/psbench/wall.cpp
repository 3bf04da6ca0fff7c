#include "wall.h"

#include <algorithm>
#include <chrono>

namespace psbench {

double wall_seconds_of(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return {
      .median = values[n / 2], .low = values[n / 10], .high = values[n - 1 - n / 10], .count = n};
}

}  // namespace psbench
