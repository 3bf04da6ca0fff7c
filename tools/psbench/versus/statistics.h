// What several runs of one thing say together: their middle, and how far it is to be trusted.
#pragma once

#include <cstdint>
#include <vector>

namespace psbench {

// Of an even number of values the mean of the middle two; 0 of none.
double median_of(std::vector<double> values);

struct Interval {
  double low = 0.0;
  double high = 0.0;
};

// Where 95 of 100 medians lie of as many values drawn from `values` with replacement: the
// percentile bootstrap. The same seed gives the same interval.
Interval bootstrap_median(const std::vector<double>& values, std::uint64_t seed);

// The same of median(over) / median(under), each drawn by itself. {} if either is empty.
Interval bootstrap_ratio(const std::vector<double>& over,
                         const std::vector<double>& under,
                         std::uint64_t seed);

}  // namespace psbench
