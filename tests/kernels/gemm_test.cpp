// Matrix products against a float64 triple loop.
#include "kernels/gemm.h"

#include <cmath>
#include <vector>

#include "kernels/reference.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

struct Sizes {
  std::int64_t m, n, k;
};

std::size_t at(std::int64_t row, std::int64_t stride, std::int64_t column) {
  return static_cast<std::size_t>(row * stride + column);
}

std::vector<double> reference(const Gemm& p, const std::vector<float>& c) {
  std::vector<double> result(c.begin(), c.end());
  for (std::int64_t i = 0; i < p.m; ++i) {
    for (std::int64_t j = 0; j < p.n; ++j) {
      double sum = 0.0;
      for (std::int64_t l = 0; l < p.k; ++l) {
        const float a = p.transpose_a ? p.a[l * p.a_stride + i] : p.a[i * p.a_stride + l];
        const float b = p.transpose_b ? p.b[j * p.b_stride + l] : p.b[l * p.b_stride + j];
        sum += double{a} * double{b};
      }
      double& value = result[at(i, p.c_stride, j)];
      value = double{p.alpha} * sum + (p.beta == 0.0F ? 0.0 : double{p.beta} * value);
    }
  }
  return result;
}

}  // namespace

TEST_CASE("gemm: equals the float64 product for all transposes and strides", "[unit]") {
  const Isa isa = any_isa();
  const auto [m, n, k] =
      GENERATE(Sizes{1, 1, 1}, Sizes{1, 33, 7}, Sizes{5, 1, 9}, Sizes{17, 31, 13}, Sizes{3, 50, 0},
               Sizes{64, 49, 65}, Sizes{13, 401, 333}, Sizes{530, 3, 651});
  const bool transpose_a = GENERATE(false, true);
  const bool transpose_b = GENERATE(false, true);
  const std::int64_t a_stride = (transpose_a ? m : k) + 3;
  const std::int64_t b_stride = (transpose_b ? k : n) + 1;
  const std::int64_t c_stride = n + 2;
  const auto a = random_floats((transpose_a ? k : m) * a_stride, 1);
  const auto b = random_floats((transpose_b ? n : k) * b_stride, 2);
  auto c = random_floats(m * c_stride, 3);
  std::vector<float> workspace(kGemmWorkspaceFloats);
  Gemm product{.m = m,
               .n = n,
               .k = k,
               .transpose_a = transpose_a,
               .transpose_b = transpose_b,
               .alpha = 1.5F,
               .a = a.data(),
               .a_stride = a_stride,
               .b = b.data(),
               .b_stride = b_stride,
               .c = c.data(),
               .c_stride = c_stride,
               .workspace = workspace.data()};
  CAPTURE(to_string(isa), m, n, k, transpose_a, transpose_b);

  SECTION("added to a scaled c") {
    product.beta = -0.5F;
    const auto expected = reference(product, c);
    gemm(isa).run(product);
    // Also the gaps between rows: nothing may be written there.
    REQUIRE(worst_error(c, expected) < 1e-4);
  }
  SECTION("over a c that holds NaN") {
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t j = 0; j < n; ++j) c[at(i, c_stride, j)] = NAN;
    }
    const auto expected = reference(product, c);
    gemm(isa).run(product);
    REQUIRE(worst_error(c, expected) < 1e-4);
  }
}

TEST_CASE("gemm: the same call gives the same bits", "[unit]") {
  const Isa isa = any_isa();
  const auto a = random_floats(37 * 211, 1);
  const auto b = random_floats(211 * 53, 2);
  std::vector<float> first(37 * 53);
  std::vector<float> second(37 * 53, 1.0F);
  std::vector<float> workspace(kGemmWorkspaceFloats + 1, NAN);
  Gemm product{.m = 37,
               .n = 53,
               .k = 211,
               .a = a.data(),
               .a_stride = 211,
               .b = b.data(),
               .b_stride = 53,
               .c = first.data(),
               .c_stride = 53,
               .workspace = workspace.data()};
  gemm(isa).run(product);
  product.c = second.data();
  product.workspace = workspace.data() + 1;  // any alignment will do
  gemm(isa).run(product);
  REQUIRE(first == second);
}

}  // namespace ps::kernels
