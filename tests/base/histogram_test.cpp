// Histogram: exact counts below the last bin, exact mean and maximum always.
#include "base/histogram.h"

#include "support/catch.h"

using ps::Histogram;

TEST_CASE("histogram: an empty one has a mean of zero", "[unit]") {
  const Histogram histogram;
  CHECK(histogram.count() == 0);
  CHECK(histogram.max() == 0);
  CHECK(histogram.mean() == 0.0);
}

TEST_CASE("histogram: the last bin takes what has no bin of its own", "[unit]") {
  Histogram histogram;
  histogram.add(0);
  histogram.add(Histogram::kBins - 2);
  histogram.add(Histogram::kBins - 1);
  histogram.add(Histogram::kBins);
  histogram.add(1'000'000);
  CHECK(histogram.bins().front() == 1);
  CHECK(histogram.bins()[Histogram::kBins - 2] == 1);
  CHECK(histogram.bins().back() == 3);
  CHECK(histogram.count() == 5);
  CHECK(histogram.max() == 1'000'000);
  CHECK(histogram.mean() == (0.0 + 62.0 + 63.0 + 64.0 + 1'000'000.0) / 5.0);
}

TEST_CASE("histogram: merging equals counting in one", "[unit]") {
  Histogram left;
  Histogram right;
  Histogram both;
  for (std::uint64_t value = 0; value < 200; value += 3) {
    (value % 2 == 0 ? left : right).add(value);
    both.add(value);
  }
  left.merge(right);
  CHECK(left.bins() == both.bins());
  CHECK(left.count() == both.count());
  CHECK(left.max() == both.max());
  CHECK(left.mean() == both.mean());
}
