// The fused update against arithmetic written down a second time here, bit for bit on every
// instruction set. That the rules are the right ones: tests/optim/rules_test.cpp.
#include "kernels/update.h"

#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/reduce.h"
#include "kernels/reference.h"
#include "kernels/update_cases.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

// Everything an update touches, from a seed.
struct Problem {
  Floats weights, state, state2, prefix;
  std::vector<Floats> gradients;
  Floats n;  // the gradients' weights

  Problem(std::int64_t size, std::int64_t contributions, std::uint64_t seed)
      : weights(random_floats(size, seed)),
        state(random_floats(size, seed + 1, 0.0, 1.0)),
        state2(random_floats(size, seed + 2, 0.0, 1.0)),
        prefix(random_floats(size, seed + 3)),
        n(random_floats(contributions, seed + 4, 1.0, 100.0)) {
    for (std::size_t i = 0; i < state2.size(); i += 7) state2[i] = 0.0F;
    for (std::int64_t k = 0; k < contributions; ++k) {
      gradients.push_back(random_floats(size, seed + 5 + static_cast<std::uint64_t>(k)));
    }
  }

  // What `divisor` divides: the prefix (if asked for) and the gradients, from left to right.
  float gradient(std::size_t i, bool with_prefix, float divisor) const {
    float sum = with_prefix ? prefix[i] : 0.0F;
    for (std::size_t k = 0; k < gradients.size(); ++k) {
      const float term = n[k] * gradients[k][i];
      sum = k == 0 && !with_prefix ? term : sum + term;
    }
    return sum / divisor;
  }

  std::vector<WeightedValues> terms() const {
    std::vector<WeightedValues> result;
    for (std::size_t k = 0; k < gradients.size(); ++k) {
      result.push_back({.values = gradients[k].data(), .weight = n[k]});
    }
    return result;
  }

  // In place; the gradient is for the caller to fill in.
  UpdatePass pass() {
    UpdatePass pass;
    pass.size = weights.size();
    pass.weights = weights.data();
    pass.new_weights = weights.data();
    pass.state = state.data();
    pass.state2 = state2.data();
    return pass;
  }
};

template <class Rule>
void apply_reference(Problem& problem, bool with_prefix, float divisor, float factor) {
  for (std::size_t i = 0; i < problem.weights.size(); ++i) {
    problem.weights[i] =
        Case<Rule>::next(problem.weights[i], problem.gradient(i, with_prefix, divisor) * factor,
                         problem.state[i], problem.state2[i]);
  }
}

TEMPLATE_TEST_CASE("update: every instruction set gives the reference's bits",
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
  using Rule = TestType;
  const Isa isa = any_isa();
  const std::int64_t size = GENERATE(0, 1, 31, 1024, 100003);
  const auto [contributions, with_prefix, divisor, factor] =
      GENERATE(table<std::int64_t, bool, float, float>({
          {1, false, 1.0F, 1.0F},
          {1, false, 96.5F, 1.0F},
          {0, true, 1.0F, 1.0F},
          {0, true, 1.0F, 0.3F},
          {0, true, 96.5F, 1.0F},
          {1, true, 1.0F, 1.0F},
          {5, false, 96.5F, 0.7F},
          {3, true, 96.5F, 1.0F},
      }));
  if (size > 1024 && contributions != 3) return;  // for time's sake
  CAPTURE(to_string(isa), size, contributions, with_prefix, divisor, factor);
  const Problem problem(size, contributions, 7);
  Problem expected = problem;
  apply_reference<Rule>(expected, with_prefix, divisor, factor);

  for (const bool in_place : {true, false}) {
    CAPTURE(in_place);
    Problem actual = problem;
    Floats elsewhere(actual.weights.size());
    const std::vector<WeightedValues> terms = actual.terms();
    UpdatePass pass = actual.pass();
    if (!in_place) pass.new_weights = elsewhere.data();
    pass.gradient = {.prefix = with_prefix ? actual.prefix.data() : nullptr,
                     .contributions = terms.data(),
                     .count = terms.size(),
                     .divisor = divisor,
                     .factor = factor};
    CHECK(run<Rule>(isa, pass));
    CHECK(same_bits(in_place ? actual.weights : elsewhere, expected.weights));
    CHECK(same_bits(actual.state, expected.state));
    CHECK(same_bits(actual.state2, expected.state2));
    if (!in_place) CHECK(same_bits(actual.weights, problem.weights));
  }
}

// 16 MiB and more go past the caches where new weights lie elsewhere, unless they lie askew.
TEST_CASE("update: arrays larger than caches have the bits of small ones", "[unit]") {
  const Isa isa = any_isa();
  const std::int64_t askew = GENERATE(0, 1);
  CAPTURE(to_string(isa), askew);
  constexpr std::int64_t kSize = (std::int64_t{4} << 20) + 1031;
  Problem in_place(kSize, 2, 3);
  Problem elsewhere = in_place;
  elsewhere.gradients[0][kSize - 1200] = std::numeric_limits<float>::infinity();
  in_place.gradients[0] = elsewhere.gradients[0];
  const auto run_on = [&](Problem& problem, float* new_weights) {
    const std::vector<WeightedValues> terms = problem.terms();
    UpdatePass pass = problem.pass();
    pass.new_weights = new_weights;
    pass.gradient = {.contributions = terms.data(), .count = terms.size(), .divisor = 96.5F};
    return run<MomentumRule>(isa, pass);
  };
  Floats room(kSize + 1, std::numeric_limits<float>::quiet_NaN());
  CHECK_FALSE(run_on(in_place, in_place.weights.data()));
  CHECK_FALSE(run_on(elsewhere, room.data() + askew));
  const Floats written(room.begin() + askew, room.begin() + askew + kSize);
  CHECK(same_bits(written, in_place.weights));
  CHECK(same_bits(elsewhere.state, in_place.state));
}

TEST_CASE("update: the new weights may replace the gradient", "[unit]") {
  const Isa isa = any_isa();
  const float factor = GENERATE(1.0F, 0.3F);
  CAPTURE(to_string(isa), factor);
  Problem expected(1031, 0, 5);
  Problem actual = expected;
  apply_reference<LambRule>(expected, true, 1.0F, factor);

  UpdatePass pass = actual.pass();
  pass.new_weights = actual.prefix.data();
  pass.gradient = {.prefix = actual.prefix.data(), .factor = factor};
  CHECK(run<LambRule>(isa, pass));
  CHECK(same_bits(actual.prefix, expected.weights));
  CHECK(same_bits(actual.state, expected.state));
  CHECK(same_bits(actual.state2, expected.state2));
}

TEST_CASE("update: folding contributions beforehand changes no bit", "[unit]") {
  const Isa isa = any_isa();
  const std::size_t folded = GENERATE(1U, 2U, 4U, 5U);
  CAPTURE(to_string(isa), folded);
  constexpr std::int64_t kSize = 1500;
  const float divisor = 123.0F;

  Problem late(kSize, 5, 11);
  const std::vector<WeightedValues> terms = late.terms();
  UpdatePass pass = late.pass();
  pass.gradient = {.contributions = terms.data(), .count = terms.size(), .divisor = divisor};
  run<MomentumRule>(isa, pass);

  Problem early(kSize, 5, 11);
  Floats sum(kSize, std::numeric_limits<float>::quiet_NaN());
  reduce(isa).start(sum.data(), terms[0].values, terms[0].weight, kSize);
  for (std::size_t k = 1; k < folded; ++k) {
    reduce(isa).add(sum.data(), terms[k].values, terms[k].weight, kSize);
  }
  pass = early.pass();
  pass.gradient = {.prefix = sum.data(),
                   .contributions = terms.data() + folded,
                   .count = terms.size() - folded,
                   .divisor = divisor};
  run<MomentumRule>(isa, pass);

  CHECK(same_bits(early.weights, late.weights));
  CHECK(same_bits(early.state, late.state));
}

TEST_CASE("update: contributions add up in the order given", "[unit]") {
  const Isa isa = any_isa();
  const Floats large{1e8F};
  const Floats one{1.0F};
  const Floats minus_large{-1e8F};
  const auto sum = [isa](const std::vector<WeightedValues>& terms) {
    Floats w{0.0F};
    UpdatePass pass;
    pass.size = 1;
    pass.weights = pass.new_weights = w.data();
    pass.gradient = {.contributions = terms.data(), .count = terms.size()};
    update(isa).assign(pass, {});
    return w[0];
  };
  CHECK(sum({{large.data()}, {one.data()}, {minus_large.data()}}) == 0.0F);  // 1e8 + 1 = 1e8
  CHECK(sum({{large.data()}, {minus_large.data()}, {one.data()}}) == 1.0F);
}

TEST_CASE("update: products are rounded before they are added", "[unit]") {
  const Isa isa = any_isa();
  // (1 + 2^-12)^2 = 1 + 2^-11 + 2^-24; the last bit is lost unless a fused operation keeps it.
  const float x = 1.0F + 0x1p-12F;
  const Floats first{-1.0F};
  const Floats second{x};
  const std::vector<WeightedValues> terms{{.values = first.data()},
                                          {.values = second.data(), .weight = x}};
  Floats w{0.0F};
  UpdatePass pass;
  pass.size = 1;
  pass.weights = pass.new_weights = w.data();
  pass.gradient = {.contributions = terms.data(), .count = terms.size()};
  update(isa).assign(pass, {});
  CHECK(w[0] == 0x1p-11F);
}

TEST_CASE("update: a contribution of weight 1 keeps its bits, n g / n need not", "[unit]") {
  const Isa isa = any_isa();
  const Floats values = random_floats(4099, 3);
  Floats w(values.size());
  UpdatePass pass;
  pass.size = w.size();
  pass.weights = pass.new_weights = w.data();
  WeightedValues term{.values = values.data()};
  pass.gradient = {.contributions = &term, .count = 1};
  update(isa).assign(pass, {});
  CHECK(same_bits(w, values));

  term.weight = 49.0F;
  pass.gradient.divisor = 49.0F;
  update(isa).assign(pass, {});
  CHECK_FALSE(same_bits(w, values));
}

TEST_CASE("update: contributions may lie at any byte address", "[unit]") {
  const Isa isa = any_isa();
  const std::size_t offset = GENERATE(1U, 2U, 3U, 5U);
  CAPTURE(to_string(isa), offset);
  constexpr std::size_t kSize = 1031;
  Problem expected(kSize, 1, 5);
  apply_reference<AdamRule>(expected, false, 10.0F, 1.0F);

  Problem actual(kSize, 1, 5);
  std::vector<std::byte> message(kSize * sizeof(float) + offset);
  std::memcpy(message.data() + offset, actual.gradients[0].data(), kSize * sizeof(float));
  const WeightedValues term{.values = reinterpret_cast<const float*>(message.data() + offset),
                            .weight = actual.n[0]};
  UpdatePass pass = actual.pass();
  pass.gradient = {.contributions = &term, .count = 1, .divisor = 10.0F};
  run<AdamRule>(isa, pass);
  CHECK(same_bits(actual.weights, expected.weights));
}

TEST_CASE("update: says when a new weight is not finite", "[unit]") {
  const Isa isa = any_isa();
  const std::size_t where = GENERATE(0U, 1U, 127U, 128U, 500U, 1030U);
  CAPTURE(to_string(isa), where);
  Problem problem(1031, 2, 9);
  const std::vector<WeightedValues> terms = problem.terms();
  UpdatePass pass = problem.pass();
  pass.gradient = {.contributions = terms.data(), .count = terms.size()};
  CHECK(run<SgdRule>(isa, pass));

  SECTION("finite gradients that overflow") {
    problem.gradients[0][where] = std::numeric_limits<float>::max();
    CHECK_FALSE(run<SgdRule>(isa, pass));
  }
  SECTION("a NaN") {
    problem.gradients[1][where] = std::numeric_limits<float>::quiet_NaN();
    CHECK_FALSE(run<SgdRule>(isa, pass));
  }
  SECTION("the largest number is finite") {
    problem.weights[where] = std::numeric_limits<float>::max();
    problem.gradients[0][where] = problem.gradients[1][where] = 0.0F;
    UpdatePass average = pass;
    CHECK(run<MoveRule>(isa, average));
  }
}

}  // namespace
}  // namespace ps::kernels
