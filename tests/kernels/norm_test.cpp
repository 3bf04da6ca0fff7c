// Sums of squares: one pattern of additions on every instruction set.
#include "kernels/norm.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/reference.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

// Value i of a block adds to lane i % 16; lanes, then blocks, in order.
double squares_in_order(const std::vector<float>& values) {
  double total = 0.0;
  for (std::size_t start = 0; start < values.size(); start += 4096) {
    double lanes[16] = {};
    const std::size_t count = std::min<std::size_t>(4096, values.size() - start);
    for (std::size_t i = 0; i < count; ++i) {
      const double value = values[start + i];
      lanes[i % 16] += value * value;
    }
    double block = 0.0;
    for (const double lane : lanes) block += lane;
    total += block;
  }
  return total;
}

TEST_CASE("norm: adds squares in one order on every instruction set", "[unit]") {
  const Isa isa = any_isa();
  const std::int64_t size = GENERATE(0, 1, 15, 16, 31, 4095, 4096, 4097, 100003);
  CAPTURE(to_string(isa), size);
  const std::vector<float> values = random_floats(size, 6);
  const double sum = norm(isa).squares(values.data(), values.size());
  CHECK(sum == squares_in_order(values));

  long double exact = 0.0L;
  for (const float value : values) exact += static_cast<long double>(value) * value;
  CHECK(std::abs(static_cast<long double>(sum) - exact) <= 1e-14L * exact);
}

TEST_CASE("norm: what float32 cannot square is squared, what is no number shows", "[unit]") {
  const Isa isa = any_isa();
  const std::size_t where = GENERATE(0U, 17U, 1030U);
  CAPTURE(to_string(isa), where);
  std::vector<float> values(1031, 0.0F);
  values[where] = std::numeric_limits<float>::max();
  const double largest = std::numeric_limits<float>::max();
  CHECK(norm(isa).squares(values.data(), values.size()) == largest * largest);
  values[where] = std::numeric_limits<float>::infinity();
  CHECK(std::isinf(norm(isa).squares(values.data(), values.size())));
  values[where] = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(norm(isa).squares(values.data(), values.size())));
}

}  // namespace
}  // namespace ps::kernels
