// Weighted sums of vectors. That the fused update adds with the same bits: update_test.cpp.
#include "kernels/reduce.h"

#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/reference.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

TEST_CASE("reduce: sums and divides, every step rounded on its own", "[unit]") {
  const Isa isa = any_isa();
  const std::int64_t size = GENERATE(0, 1, 31, 1024, 100003);
  CAPTURE(to_string(isa), size);
  const ReduceOps& ops = reduce(isa);
  const auto count = static_cast<std::size_t>(size);
  const std::vector<float> a = random_floats(size, 1);
  const std::vector<float> b = random_floats(size, 2);

  std::vector<float> sum(count, std::numeric_limits<float>::quiet_NaN());
  ops.start(sum.data(), a.data(), 3.7F, count);
  ops.add(sum.data(), b.data(), 0.3F, count);
  ops.divide(sum.data(), 49.0F, count);

  for (std::size_t i = 0; i < count; ++i) {
    const float first = 3.7F * a[i];
    const float second = 0.3F * b[i];
    const float both = first + second;
    REQUIRE(sum[i] == both / 49.0F);
  }
}

TEST_CASE("reduce: values may lie at any byte address", "[unit]") {
  const Isa isa = any_isa();
  constexpr std::size_t kSize = 77;
  const std::vector<float> values = random_floats(kSize, 4);
  std::vector<std::byte> message(kSize * sizeof(float) + 3);
  std::memcpy(message.data() + 3, values.data(), kSize * sizeof(float));
  const auto* unaligned = reinterpret_cast<const float*>(message.data() + 3);

  std::vector<float> sum(kSize);
  reduce(isa).start(sum.data(), unaligned, 1.0F, kSize);
  CHECK(sum == values);
  reduce(isa).add(sum.data(), unaligned, -1.0F, kSize);
  CHECK(sum == std::vector<float>(kSize, 0.0F));
}

}  // namespace
}  // namespace ps::kernels
