// The check for infinities and NaNs.
#include "kernels/finite.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/reference.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

TEST_CASE("finite: finds each kind of number that is not, wherever it is", "[unit]") {
  const Isa isa = any_isa();
  const std::size_t size = GENERATE(1U, 3U, 31U, 130U);
  CAPTURE(to_string(isa), size);
  const FiniteOps& ops = finite(isa);
  using Limits = std::numeric_limits<float>;
  const float bad[] = {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(),
                       std::bit_cast<float>(0xFF800001U), std::bit_cast<float>(0x7FFFFFFFU)};
  std::vector<float> values = random_floats(static_cast<std::int64_t>(size), 6);
  CHECK(ops.all(values.data(), size));
  for (std::size_t i = 0; i < size; ++i) {
    const float before = values[i];
    for (const float x : bad) {
      values[i] = x;
      REQUIRE_FALSE(ops.all(values.data(), size));
    }
    values[i] = before;
  }
}

TEST_CASE("finite: the extremes of the finite numbers are finite", "[unit]") {
  const Isa isa = any_isa();
  using Limits = std::numeric_limits<float>;
  const std::vector<float> values{Limits::max(), Limits::lowest(),    Limits::min(), 0.0F,
                                  -0.0F,         Limits::denorm_min()};
  CHECK(finite(isa).all(values.data(), values.size()));
}

TEST_CASE("finite: nothing is finite, and any address will do", "[unit]") {
  CHECK(all_finite({}));
  std::vector<std::byte> message(4 * 100 + 1);
  const std::span values(reinterpret_cast<const float*>(message.data() + 1), 100);
  CHECK(all_finite(values));
  const float infinity = std::numeric_limits<float>::infinity();
  std::memcpy(message.data() + 1 + 4 * 99, &infinity, 4);
  CHECK_FALSE(all_finite(values));
  CHECK(all_finite(values.first(99)));
}

}  // namespace
}  // namespace ps::kernels
