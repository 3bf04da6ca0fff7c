// Pooling against plain loops.
#include "kernels/pool.h"

#include <cmath>
#include <vector>

#include "kernels/reference.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

struct Pooled {
  std::vector<float> y;
  std::vector<std::int32_t> winners;
};

Pooled reference(const MaxPool& p, const std::vector<float>& x) {
  Pooled result;
  for (std::int64_t plane = 0; plane < p.planes; ++plane) {
    for (std::int64_t i = 0; i < p.out_height() * p.out_width(); ++i) {
      float best = -INFINITY;
      std::int64_t winner = -1;
      for (std::int64_t tap = 0; tap < p.kernel * p.kernel; ++tap) {
        const std::int64_t row = i / p.out_width() * p.stride - p.padding + tap / p.kernel;
        const std::int64_t column = i % p.out_width() * p.stride - p.padding + tap % p.kernel;
        if (row < 0 || row >= p.height || column < 0 || column >= p.width) continue;
        const std::int64_t index = row * p.width + column;
        const float value = x[static_cast<std::size_t>(plane * p.height * p.width + index)];
        if (winner < 0 || value > best) {
          best = value;
          winner = index;
        }
      }
      result.y.push_back(best);
      result.winners.push_back(static_cast<std::int32_t>(winner));
    }
  }
  return result;
}

}  // namespace

TEST_CASE("max_pool: takes the first largest value and sends the gradient there", "[unit]") {
  const Isa isa = any_isa();
  const MaxPool pool = GENERATE(
      MaxPool{.planes = 1, .height = 2, .width = 2},
      MaxPool{.planes = 3, .height = 28, .width = 28},
      MaxPool{.planes = 2, .height = 7, .width = 39},
      MaxPool{.planes = 2, .height = 9, .width = 11, .kernel = 3, .stride = 2, .padding = 1},
      MaxPool{.planes = 2, .height = 9, .width = 19, .kernel = 5, .stride = 1, .padding = 2},
      MaxPool{.planes = 2, .height = 13, .width = 13, .stride = 1, .padding_end = 1},
      MaxPool{.planes = 2, .height = 6, .width = 7, .padding_end = 1},
      MaxPool{.planes = 1, .height = 13, .width = 10, .kernel = 3, .stride = 3});
  auto x = random_floats(pool.planes * pool.height * pool.width, 1);
  for (float& value : x) value = std::round(value * 4.0F);  // many equal ones
  for (std::size_t i = x.size() / 2; i < x.size(); ++i) x[i] = -INFINITY;
  const Pooled expected = reference(pool, x);
  Pooled actual{std::vector<float>(expected.y.size(), NAN),
                std::vector<std::int32_t>(expected.y.size(), -1)};
  CAPTURE(to_string(isa), pool.height, pool.width, pool.kernel, pool.stride, pool.padding);
  max_pool(isa).forward(pool, x.data(), actual.y.data(), actual.winners.data());
  REQUIRE(actual.y == expected.y);
  REQUIRE(actual.winners == expected.winners);

  const auto dy = random_floats(static_cast<std::int64_t>(expected.y.size()), 2);
  std::vector<double> dx_expected(x.size(), 0.0);
  const std::size_t out_plane = expected.y.size() / static_cast<std::size_t>(pool.planes);
  const std::size_t in_plane = x.size() / static_cast<std::size_t>(pool.planes);
  for (std::size_t i = 0; i < dy.size(); ++i) {
    const auto winner = static_cast<std::size_t>(expected.winners[i]);
    dx_expected[i / out_plane * in_plane + winner] += double{dy[i]};
  }
  std::vector<float> dx(x.size(), NAN);
  max_pool(isa).backward(pool, dy.data(), actual.winners.data(), dx.data());
  REQUIRE(worst_error(dx, dx_expected) < 1e-6);
}

TEST_CASE("max_pool: a NaN wins its window", "[unit]") {
  const Isa isa = any_isa();
  const std::int64_t padding = GENERATE(0, 1);
  std::vector<float> x(36, 1.0F);
  x[7] = NAN;
  const MaxPool pool{.planes = 1, .height = 6, .width = 6, .padding = padding};
  const auto outputs = static_cast<std::size_t>(pool.out_height() * pool.out_width());
  std::vector<float> y(outputs);
  std::vector<std::int32_t> winners(outputs);
  max_pool(isa).forward(pool, x.data(), y.data(), winners.data());
  int found = 0;
  for (std::size_t i = 0; i < outputs; ++i) {
    if (std::isnan(y[i])) ++found;
    REQUIRE(std::isnan(y[i]) == (winners[i] == 7));
  }
  REQUIRE(found == 1);
}

TEST_CASE("average_pool: averages a plane and spreads its gradient", "[unit]") {
  const Isa isa = any_isa();
  const std::int64_t plane = GENERATE(1, 49, 10007);
  const auto x = random_floats(3 * plane, 1);
  std::vector<double> expected(3, 0.0);
  for (std::size_t i = 0; i < x.size(); ++i) {
    expected[i / static_cast<std::size_t>(plane)] += double{x[i]} / static_cast<double>(plane);
  }
  std::vector<float> y(3, NAN);
  average_pool(isa).forward(3, plane, x.data(), y.data());
  REQUIRE(worst_error(y, expected) < 1e-6);

  std::vector<float> dx(x.size(), NAN);
  average_pool(isa).backward(3, plane, y.data(), dx.data());
  for (std::size_t i = 0; i < dx.size(); ++i) {
    const float share = y[i / static_cast<std::size_t>(plane)] / static_cast<float>(plane);
    REQUIRE(dx[i] == Approx(share));
  }
}

}  // namespace ps::kernels
