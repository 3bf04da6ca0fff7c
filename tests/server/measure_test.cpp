#include "server/measure.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "support/catch.h"

namespace ps::server {
namespace {

using Floats = std::vector<float>;

TEST_CASE("measure: gradient noise, update sizes and batches, over two shards", "[unit]") {
  // Two workers of 16 samples each: gradients (3, 1) and (1, 1) on shard 0, (0) and (2) on shard 1.
  const Floats a{3, 1};
  const Floats b{1, 1};
  const Floats c{0};
  const Floats d{2};
  const Floats old{3, 4};
  const Floats moved{3, 4.5F};
  const Floats zero{0};
  Measure first;
  first.add(std::vector<optim::Contribution>{{0, 16, a}, {1, 16, b}}, old, moved);
  first.end_update(2, 32);
  Measure second;
  second.add(std::vector<optim::Contribution>{{0, 16, c}, {1, 16, d}}, zero, zero);
  second.end_update(2, 32);
  std::vector<double> sums(first.sums().begin(), first.sums().end());
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += second.sums()[i];
  const Measures result = measures_of(sums, {});
  CHECK(result.updates == 1);
  CHECK(result.batch == 32);
  CHECK(result.gradient_norm == Approx(std::sqrt(4.0 + 1.0 + 1.0)));
  CHECK(result.update_to_weight == Approx(0.5 / 5.0));
  // mean |g|^2 = (10 + 2 + 0 + 4) / 2 = 8, |G_N|^2 = 6: |G|^2 = 4, tr = 2 * 16 * 2 = 64.
  CHECK(result.noise_scale == Approx(16.0));
  CHECK(measures_of(sums, sums).updates == 0);
  CHECK(measures_of({}, {}).updates == 0);
}

TEST_CASE("measure: values may start at any byte, and one worker has no noise scale", "[unit]") {
  std::vector<std::byte> bytes(9);
  const float value = 2;
  std::memcpy(bytes.data() + 1, &value, sizeof value);
  const Floats old{1};
  Measure measure;
  measure.add(
      std::vector<optim::Contribution>{
          {0, 1, {reinterpret_cast<const float*>(bytes.data() + 1), 1}}},
      old, old);
  measure.end_update(1, 4);
  const Measures result = measures_of(measure.sums(), {});
  CHECK(result.gradient_norm == 2);
  CHECK(result.noise_scale == 0);
}

}  // namespace
}  // namespace ps::server
