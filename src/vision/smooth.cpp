#include "vision/smooth.h"

#include <cmath>
#include <cstddef>
#include <limits>

namespace ps::vision {

std::vector<double> smoothed(std::span<const double> values, double sigma) {
  const auto n = static_cast<std::ptrdiff_t>(values.size());
  const auto reach = static_cast<std::ptrdiff_t>(std::lround(4 * sigma));
  std::vector<double> result;
  result.reserve(values.size());
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    double sum = 0;
    double weights = 0;
    for (std::ptrdiff_t j = i - reach; j <= i + reach; ++j) {
      const std::ptrdiff_t turn = ((j % (2 * n)) + 2 * n) % (2 * n);
      const double value = values[static_cast<std::size_t>(turn < n ? turn : 2 * n - 1 - turn)];
      if (!std::isfinite(value)) continue;
      const double away = static_cast<double>(j - i) / sigma;
      const double weight = std::exp(-0.5 * away * away);
      sum += weight * value;
      weights += weight;
    }
    result.push_back(weights > 0 ? sum / weights : std::numeric_limits<double>::quiet_NaN());
  }
  return result;
}

}  // namespace ps::vision
