// The server's kernels on a GPU: the CPU's bits.
#include "kernels/update_cuda.h"

#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/compensate.h"
#include "kernels/gpu_arrays.h"
#include "kernels/norm.h"
#include "kernels/reduce.h"
#include "kernels/reference.h"
#include "kernels/update_cases.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr std::size_t kGrid = std::size_t{4096} * 256;  // threads of the largest grid

struct Shape {
  std::size_t contributions = 1;
  bool with_prefix = false;
  float divisor = 1.0F;
  float factor = 1.0F;
  bool in_place = true;
  std::size_t skipped = 0;        // bytes in front of every vector but the contributions,
  std::size_t terms_skipped = 0;  // and of these
};

// One update on both devices.
template <class Rule>
class Pair {
 public:
  Pair(std::size_t size, const Shape& shape) : shape_(shape) {
    const auto count = static_cast<std::int64_t>(size);
    weights_ = random_floats(count, 1);
    state_ = random_floats(count, 2, 0.0, 1.0);
    state2_ = random_floats(count, 3, 0.0, 1.0);
    for (std::size_t i = 0; i < size; i += 7) state2_[i] = 0.0F;
    prefix_ = random_floats(count, 4);
    for (std::size_t k = 0; k < shape.contributions; ++k) {
      gradients_.push_back(random_floats(count, 5 + k));
      n_.push_back(1.0F + 0.37F * static_cast<float>(k));
    }
  }

  Floats& gradient(std::size_t k) { return gradients_[k]; }

  // Compares all that was written; returns what the GPU said of the new weights.
  bool require_same(StreamView stream) {
    const OnGpu<float> weights(weights_, stream, shape_.skipped);
    const OnGpu<float> elsewhere(Floats(weights_.size(), kNan), stream, shape_.skipped);
    const OnGpu<float> state(state_, stream, shape_.skipped);
    const OnGpu<float> state2(state2_, stream, shape_.skipped);
    const OnGpu<float> prefix(prefix_, stream, shape_.skipped);
    const OnGpu<float> scratch(Floats(weights_.size(), kNan), stream, shape_.skipped);
    const OnGpu<std::uint32_t> not_finite({0}, stream);
    std::vector<OnGpu<float>> gradients;
    std::vector<WeightedValues> terms;
    for (std::size_t k = 0; k < gradients_.size(); ++k) {
      gradients.emplace_back(gradients_[k], stream, shape_.terms_skipped);
      terms.push_back({.values = gradients.back().data(), .weight = n_[k]});
    }
    UpdatePass pass{.size = weights_.size(),
                    .weights = weights.data(),
                    .new_weights = shape_.in_place ? weights.data() : elsewhere.data(),
                    .state = state.data(),
                    .state2 = state2.data(),
                    .gradient = sum_of(terms, prefix.data())};
    gpu::update(pass, Case<Rule>::kRule, scratch.data(), not_finite.data(), stream);

    const bool finite = run_on_cpu();
    REQUIRE(equal_bytes(shape_.in_place ? weights.host() : elsewhere.host(), new_weights_));
    REQUIRE(equal_bytes(state.host(), state_));
    REQUIRE(equal_bytes(state2.host(), state2_));
    const bool said_finite = not_finite.host()[0] == 0;
    REQUIRE(said_finite == finite);
    return said_finite;
  }

 private:
  [[nodiscard]] WeightedSum sum_of(const std::vector<WeightedValues>& terms,
                                   const float* prefix) const {
    return {.prefix = shape_.with_prefix ? prefix : nullptr,
            .contributions = terms.data(),
            .count = terms.size(),
            .divisor = shape_.divisor,
            .factor = shape_.factor};
  }

  bool run_on_cpu() {
    std::vector<WeightedValues> terms;
    for (std::size_t k = 0; k < gradients_.size(); ++k) {
      terms.push_back({.values = gradients_[k].data(), .weight = n_[k]});
    }
    new_weights_ = weights_;
    return run<Rule>(best_isa(), {.size = weights_.size(),
                                  .weights = weights_.data(),
                                  .new_weights = new_weights_.data(),
                                  .state = state_.data(),
                                  .state2 = state2_.data(),
                                  .gradient = sum_of(terms, prefix_.data())});
  }

  Shape shape_;
  Floats weights_, new_weights_, state_, state2_, prefix_, n_;
  std::vector<Floats> gradients_;
};

TEMPLATE_TEST_CASE("update_cuda: every rule gives the CPU's bits",
                   "[unit]",
                   SgdRule,
                   MomentumRule,
                   NesterovRule,
                   AdamRule,
                   AdagradRule,
                   RmsPropRule,
                   RmsPropMomentumRule,
                   LarsRule,
                   LambRule,
                   FtrlRule,
                   AssignRule,
                   MoveRule,
                   AddRule,
                   EmaRule) {
  const Gpu device;
  if (!device) return;
  const Stream stream(0);
  const std::size_t size = GENERATE(0U, 1U, 31U, 257U, 4099U);
  const Shape shape = GENERATE(Shape{}, Shape{.divisor = 96.5F, .in_place = false},
                               Shape{.contributions = 0, .with_prefix = true, .factor = 0.3F},
                               Shape{.contributions = 5, .divisor = 96.5F, .skipped = 4},
                               Shape{.contributions = 3, .with_prefix = true, .terms_skipped = 4});
  CAPTURE(size, shape.contributions, shape.with_prefix, shape.skipped, shape.terms_skipped);
  CHECK(Pair<TestType>(size, shape).require_same(stream));
}

TEST_CASE("update_cuda: sizes larger than a grid", "[unit][large]") {
  const Gpu device;
  if (!device) return;
  const Stream stream(0);
  CHECK(Pair<MomentumRule>(4 * kGrid + 1031, {}).require_same(stream));
  CHECK(Pair<AdamRule>(kGrid + 1031, {.skipped = 12}).require_same(stream));
}

TEST_CASE("update_cuda: any number of contributions, in their order", "[unit]") {
  const Gpu device;
  if (!device) return;
  const Stream stream(0);
  const std::size_t count = GENERATE(63U, 64U, 65U, 128U, 129U, 200U);
  const bool with_prefix = GENERATE(false, true);
  CAPTURE(count, with_prefix);
  const Shape shape{.contributions = count,
                    .with_prefix = with_prefix,
                    .divisor = 123.0F,
                    .terms_skipped = count % 2 * 4};
  CHECK(Pair<NesterovRule>(1031, shape).require_same(stream));
}

TEST_CASE("update_cuda: says when a new weight is not finite", "[unit]") {
  const Gpu device;
  if (!device) return;
  const Stream stream(0);
  const std::size_t where = GENERATE(0U, 255U, 1028U, 1030U);
  CAPTURE(where);
  Pair<SgdRule> pair(1031, {.contributions = 2});
  pair.gradient(1)[where] = std::numeric_limits<float>::infinity();
  CHECK_FALSE(pair.require_same(stream));
}

TEST_CASE("update_cuda: weighted sums have the CPU's bits", "[unit]") {
  const Gpu device;
  if (!device) return;
  const Stream stream(0);
  const std::size_t size = GENERATE(0U, 1U, 31U, 257U, 4099U, 4 * kGrid + 5);
  const std::size_t skipped = GENERATE(0U, 4U);
  CAPTURE(size, skipped);
  const Floats a = random_floats(static_cast<std::int64_t>(size), 1);
  const Floats b = random_floats(static_cast<std::int64_t>(size), 2);
  Floats expected(size);
  const ReduceOps& ops = reduce(best_isa());
  ops.start(expected.data(), a.data(), 3.7F, size);
  ops.add(expected.data(), b.data(), 0.3F, size);
  ops.divide(expected.data(), 49.0F, size);

  const OnGpu<float> x(a, stream, 4);
  const OnGpu<float> y(b, stream);
  const OnGpu<float> sum(Floats(size, kNan), stream, skipped);
  gpu::start_sum(sum.data(), x.data(), 3.7F, size, stream);
  gpu::add_to_sum(sum.data(), y.data(), 0.3F, size, stream);
  gpu::divide_sum(sum.data(), 49.0F, size, stream);
  CHECK(equal_bytes(sum.host(), expected));
}

TEST_CASE("update_cuda: late gradients are corrected as on the CPU", "[unit]") {
  const Gpu device;
  if (!device) return;
  const Stream stream(0);
  const auto size = static_cast<std::size_t>(GENERATE(0, 1, 31, 257, 4099));
  const std::size_t skipped = GENERATE(0U, 8U);
  CAPTURE(size, skipped);
  const auto count = static_cast<std::int64_t>(size);
  const Floats g = random_floats(count, 1), w = random_floats(count, 2);
  const Floats pulled = random_floats(count, 3);
  Floats square = random_floats(count, 4, 0.0, 1.0);
  const OnGpu<float> gpu_g(g, stream, 4), gpu_w(w, stream, skipped), gpu_old(pulled, stream);
  const OnGpu<float> gpu_square(square, stream), out(Floats(size, kNan), stream);
  const AdaptiveCompensation rule{.lambda = 0.5F, .keep = 0.95F, .rest = 0.05F};
  Floats expected(size);
  CompensatePass pass{size, g.data(), w.data(), pulled.data(), expected.data()};
  const CompensatePass gpu_pass{size, gpu_g.data(), gpu_w.data(), gpu_old.data(), out.data()};

  compensate(best_isa()).constant(pass, 0.04F);
  gpu::compensate(gpu_pass, 0.04F, stream);
  CHECK(equal_bytes(out.host(), expected));
  compensate(best_isa()).adaptive(pass, rule, square.data());
  gpu::compensate(gpu_pass, rule, gpu_square.data(), stream);
  CHECK(equal_bytes(out.host(), expected));
  CHECK(equal_bytes(gpu_square.host(), square));
}

TEST_CASE("update_cuda: finds infinities and NaNs wherever they are", "[unit]") {
  const Gpu device;
  if (!device) return;
  const Stream stream(0);
  const std::size_t size = GENERATE(0U, 1U, 31U, 1030U);
  const std::size_t skipped = GENERATE(0U, 4U);
  CAPTURE(size, skipped);
  Floats values(size, std::numeric_limits<float>::max());
  const auto finite = [&] {
    const OnGpu<float> x(values, stream, skipped);
    const OnGpu<std::uint32_t> flag({0}, stream);
    gpu::check_finite(x.data(), size, flag.data(), stream);
    return flag.host()[0] == 0;
  };
  CHECK(finite());
  for (const std::size_t where : {std::size_t{0}, size / 2, size - 1}) {
    if (where >= size) continue;
    values[where] = kNan;
    CHECK_FALSE(finite());
    values[where] = -std::numeric_limits<float>::infinity();
    CHECK_FALSE(finite());
    values[where] = 0.0F;
  }
}

TEST_CASE("update_cuda: sums of squares have the CPU's bits", "[unit]") {
  const Gpu device;
  if (!device) return;
  const Stream stream(0);
  const std::int64_t size = GENERATE(0, 1, 15, 31, 257, 4096, 4099, 100003, 5000011);
  CAPTURE(size);
  const Floats values = random_floats(size, 6);
  const OnGpu<float> x(values, stream, 4);
  const OnGpu<double> workspace(std::vector<double>(gpu::squares_workspace(values.size())), stream);
  const OnGpu<double> result({-1.0}, stream);
  gpu::squares(x.data(), values.size(), workspace.data(), result.data(), stream);
  CHECK(result.host()[0] == norm(best_isa()).squares(values.data(), values.size()));
}

}  // namespace
}  // namespace ps::kernels
