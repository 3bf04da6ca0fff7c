// Joining, enlarging and padding against plain loops.
#include <vector>

#include "kernels/join.h"
#include "kernels/pad.h"
#include "kernels/reference.h"
#include "kernels/upsample.h"
#include "support/catch.h"

namespace ps::kernels {

TEST_CASE("join: a part goes to its place in each sample and comes back", "[unit]") {
  const Isa isa = any_isa();
  const std::int64_t floats = GENERATE(1, 7, 16, 103);
  const JoinedPart shape{.batch = 3, .floats = floats, .offset = 5, .whole = floats + 8};
  const auto part = random_floats(shape.batch * floats, 1);
  std::vector<float> whole(static_cast<std::size_t>(shape.batch * shape.whole), 9.0F);
  join(isa).put(shape, part.data(), whole.data());
  for (std::int64_t i = 0; i < std::ssize(whole); ++i) {
    const std::int64_t within = i % shape.whole - shape.offset;
    const bool inside = within >= 0 && within < floats;
    const float expected =
        inside ? part[static_cast<std::size_t>(i / shape.whole * floats + within)] : 9.0F;
    REQUIRE(whole[static_cast<std::size_t>(i)] == expected);
  }
  std::vector<float> back(part.size(), 9.0F);
  join(isa).take(shape, whole.data(), back.data());
  REQUIRE(back == part);
  std::vector<float> alone(whole.size(), 7.0F);
  join(isa).put_alone(shape, part.data(), alone.data());
  for (float& value : whole) value = value == 9.0F ? 0.0F : value;
  REQUIRE(alone == whole);
}

TEST_CASE("upsample: repeats every pixel, and its gradient is the sum of the repeats'", "[unit]") {
  const Isa isa = any_isa();
  const Upsample shape = GENERATE(Upsample{.planes = 1, .height = 1, .width = 1},
                                  Upsample{.planes = 3, .height = 5, .width = 19},
                                  Upsample{.planes = 2, .height = 4, .width = 3, .factor = 3},
                                  Upsample{.planes = 2, .height = 4, .width = 35, .factor = 1});
  const std::int64_t out_width = shape.width * shape.factor;
  const std::int64_t out_plane = shape.height * shape.factor * out_width;
  const auto x = random_floats(shape.planes * shape.height * shape.width, 1);
  const auto dy = random_floats(shape.planes * out_plane, 2);
  std::vector<float> y(dy.size(), 9.0F);
  std::vector<float> dx(x.size(), 9.0F);
  upsample(isa).forward(shape, x.data(), y.data());
  upsample(isa).backward(shape, dy.data(), dx.data());
  std::vector<double> dx_expected(x.size(), 0.0);
  for (std::int64_t i = 0; i < std::ssize(y); ++i) {
    const std::int64_t row = i % out_plane / out_width / shape.factor;
    const std::int64_t column = i % out_width / shape.factor;
    const auto from =
        static_cast<std::size_t>((i / out_plane * shape.height + row) * shape.width + column);
    REQUIRE(y[static_cast<std::size_t>(i)] == x[from]);
    dx_expected[from] += double{dy[static_cast<std::size_t>(i)]};
  }
  REQUIRE(worst_error(dx, dx_expected) < 1e-6);
}

TEST_CASE("pad: zeros at the sides, and its gradient is what lies between", "[unit]") {
  const Isa isa = any_isa();
  const Pad pad{.planes = 3, .height = 4, .width = 21, .left = 2, .right = 1, .bottom = 3};
  const auto x = random_floats(pad.planes * pad.height * pad.width, 1);
  const std::int64_t out_plane = pad.out_height() * pad.out_width();
  REQUIRE(out_plane == 7 * 24);
  std::vector<float> y(static_cast<std::size_t>(pad.planes * out_plane), 9.0F);
  kernels::pad(isa).forward(pad, x.data(), y.data());
  for (std::int64_t i = 0; i < std::ssize(y); ++i) {
    const std::int64_t row = i % out_plane / pad.out_width() - pad.top;
    const std::int64_t column = i % pad.out_width() - pad.left;
    const bool inside = row >= 0 && row < pad.height && column >= 0 && column < pad.width;
    const std::int64_t from = (i / out_plane * pad.height + row) * pad.width + column;
    REQUIRE(y[static_cast<std::size_t>(i)] == (inside ? x[static_cast<std::size_t>(from)] : 0.0F));
  }
  std::vector<float> dx(x.size(), 9.0F);
  kernels::pad(isa).backward(pad, y.data(), dx.data());
  REQUIRE(dx == x);
}

}  // namespace ps::kernels
