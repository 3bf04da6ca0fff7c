#include "statistics.h"

#include <algorithm>
#include <cstddef>

#include "base/random.h"

namespace psbench {
namespace {

constexpr std::size_t kResamples = 2000;

std::vector<double> resampled(const std::vector<double>& values, ps::Random& random) {
  std::vector<double> drawn(values.size());
  for (double& value : drawn) value = values[random.below(values.size())];
  return drawn;
}

Interval middle_95(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t cut = values.size() / 40;
  return {.low = values[cut], .high = values[values.size() - 1 - cut]};
}

}  // namespace

double median_of(std::vector<double> values) {
  if (values.empty()) return 0.0;
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : 0.5 * (values[half - 1] + values[half]);
}

Interval bootstrap_median(const std::vector<double>& values, std::uint64_t seed) {
  if (values.empty()) return {};
  ps::Random random(seed);
  std::vector<double> medians(kResamples);
  for (double& median : medians) median = median_of(resampled(values, random));
  return middle_95(std::move(medians));
}

Interval bootstrap_ratio(const std::vector<double>& over,
                         const std::vector<double>& under,
                         std::uint64_t seed) {
  if (over.empty() || under.empty()) return {};
  ps::Random random(seed);
  std::vector<double> ratios(kResamples);
  for (double& ratio : ratios) {
    const double top = median_of(resampled(over, random));
    const double bottom = median_of(resampled(under, random));
    ratio = bottom > 0.0 ? top / bottom : 0.0;
  }
  return middle_95(std::move(ratios));
}

}  // namespace psbench
