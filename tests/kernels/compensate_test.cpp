// Delay compensation, bit for bit on every instruction set. That the formula is the right one:
// tests/optim/compensation_test.cpp.
#include "kernels/compensate.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/reference.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

TEST_CASE("compensate: every instruction set gives the reference's bits", "[unit]") {
  const Isa isa = any_isa();
  const std::int64_t size = GENERATE(0, 1, 31, 1024, 100003);
  const std::size_t offset = GENERATE(0U, 3U);  // where in a message the gradient lies
  CAPTURE(to_string(isa), size, offset);
  const std::vector<float> gradient = random_floats(size, 1);
  const std::vector<float> weights = random_floats(size, 2);
  const std::vector<float> pulled = random_floats(size, 3);
  std::vector<float> square = random_floats(size, 4, 0.0, 1.0);
  std::vector<std::byte> message(gradient.size() * sizeof(float) + offset);
  if (size > 0) std::memcpy(message.data() + offset, gradient.data(), message.size() - offset);

  std::vector<float> constant(gradient.size());
  std::vector<float> adaptive(gradient.size());
  std::vector<float> expected_constant, expected_adaptive, expected_square;
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const float g = gradient[i];
    const float squared = g * g;
    const float moved = weights[i] - pulled[i];
    const float fixed = 0.5F * squared * moved;
    expected_constant.push_back(g + fixed);
    const float kept = 0.95F * square[i];
    const float fresh = 0.05F * squared;
    expected_square.push_back(kept + fresh);
    const float lambda = 0.5F / std::sqrt(expected_square[i] + 1e-7F);
    const float scaled = lambda * squared * moved;
    expected_adaptive.push_back(g + scaled);
  }

  CompensatePass pass{.size = gradient.size(),
                      .gradient = reinterpret_cast<const float*>(message.data() + offset),
                      .weights = weights.data(),
                      .pulled = pulled.data(),
                      .out = constant.data()};
  compensate(isa).constant(pass, 0.5F);
  CHECK(constant == expected_constant);
  pass.out = adaptive.data();
  compensate(isa).adaptive(pass, {.lambda = 0.5F, .keep = 0.95F, .rest = 0.05F}, square.data());
  CHECK(adaptive == expected_adaptive);
  CHECK(square == expected_square);
}

}  // namespace
}  // namespace ps::kernels
