// Times by the wall clock, for work that is done elsewhere than on the calling thread: the median
// of many and how far they spread. timing.h has processor time.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

namespace psbench {

double wall_seconds_of(const std::function<void()>& body);

// Of seconds: the middle, and what a tenth of them is below and above.
struct Spread {
  double median = 0.0;
  double low = 0.0;
  double high = 0.0;
  std::size_t count = 0;
};

Spread spread_of(std::vector<double> values);

}  // namespace psbench
