// A Gaussian over a row of numbers.
#pragma once

#include <span>
#include <vector>

namespace ps::vision {

// Each value becomes the mean of those up to four deviations away, weighted by a Gaussian of
// `sigma`; beyond its ends the row goes on mirrored (its last value twice). Values that are no
// numbers have no weight, and where nothing has weight there is no number.
std::vector<double> smoothed(std::span<const double> values, double sigma);

}  // namespace ps::vision
