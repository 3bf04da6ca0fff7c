// Update rules of the program's own: registration, and what they are given.
#include <cstring>
#include <memory>
#include <vector>

#include <ps/error.h>
#include <ps/update_rule.h>

#include "optim/optimizer.h"
#include "optim/trainee.h"
#include "support/catch.h"

namespace ps::optim {
namespace {

// w -= lr * settings[0] * (g + wd w) / t, with the gradients' and the squares' sums for states.
class Summing final : public UpdateRule {
 public:
  [[nodiscard]] std::size_t state_floats() const noexcept override { return 2; }
  void update(const UpdateStep& step) const noexcept override {
    const auto sums = step.state(0);
    const auto squares = step.state(1);
    const float rate = step.lr * step.settings[0] / static_cast<float>(step.updates);
    for (std::size_t i = 0; i < step.gradient.size(); ++i) {
      const float g = step.gradient[i];
      sums[i] += g;
      squares[i] += g * g;
      step.new_weights[i] =
          step.old_weights[i] - rate * (g + step.weight_decay * step.old_weights[i]);
    }
  }
};

ModelOptions summing() {
  static const bool registered = [] {
    register_update_rule("test.summing", std::make_shared<Summing>());
    return true;
  }();
  CHECK(registered);
  return with(
      CustomRule{.name = "test.summing", .lr = 0.5F, .weight_decay = 0.25F, .settings = {2.0F}});
}

TEST_CASE("custom rule: sees one gradient of all workers and states of its own", "[unit]") {
  Trainee trainee(summing(), {4.0F, 0.0F});
  CHECK(trainee.optimizer.state_floats_per_element() == 2);
  trainee.step.lr_factor = 0.5;
  const Floats a{1.0F, 0.0F};
  const Floats b{5.0F, 8.0F};
  CHECK(trainee.apply({{0, 3.0, a}, {1, 1.0, b}}));  // g = 2, 2; lr 0.25 * 2 / 1
  CHECK(trainee.weights == Floats{2.5F, -1.0F});
  CHECK(trainee.states(0) == Floats{2.0F, 2.0F});
  CHECK(trainee.states(1) == Floats{4.0F, 4.0F});
  CHECK(trainee.state.lr == 0.25F);

  trainee.step.weight_decay = 0.0F;
  trainee.step.clip = 0.5F;
  CHECK(trainee.apply({{0, 1.0, b}}));  // g = 2.5, 4; lr 0.25 * 2 / 2
  CHECK(trainee.weights == Floats{1.875F, -2.0F});
  CHECK(trainee.states(0) == Floats{4.5F, 6.0F});
  CHECK(trainee.state.updates == 2);
}

TEST_CASE("custom rule: a gradient may lie anywhere in a message", "[unit]") {
  Trainee trainee(summing(), {0.0F});
  trainee.step.single = true;
  alignas(float) unsigned char message[7] = {};
  const float g = 1.0F;
  std::memcpy(message + 3, &g, sizeof(g));
  trainee.apply({{0, 5.0, {reinterpret_cast<const float*>(message + 3), 1}}});
  CHECK(trainee.weights[0] == -1.0F);
}

TEST_CASE("custom rule: an overflow is noticed", "[unit]") {
  Trainee trainee(summing(), {0.0F, 0.0F});
  trainee.step.lr_factor = 10.0;
  CHECK(trainee.apply(Floats{1.0F, 1.0F}));
  CHECK_FALSE(trainee.apply(Floats{1.0F, 3e38F}));
}

TEST_CASE("custom rule: values that are not trained pass it by", "[unit]") {
  Trainee trainee(summing(), {1.0F});
  trainee.step.kind = ParameterKind::kAdd;
  trainee.apply(Floats{1.0F});
  CHECK(trainee.weights[0] == 2.0F);
  CHECK(trainee.state.updates == 0);
}

TEST_CASE("custom rule: a name is registered once, before it is used", "[unit]") {
  const ModelOptions options = summing();
  CHECK_THROWS_WITH(Optimizer(with(CustomRule{.name = "test.unknown"}), 1),
                    Catch::Contains("'test.unknown'") && Catch::Contains("test.summing") &&
                        Catch::Contains("register_update_rule"));
  CHECK_THROWS_WITH(register_update_rule("test.summing", std::make_shared<Summing>()),
                    Catch::Contains("'test.summing'"));
  CHECK_THROWS_AS(register_update_rule("", std::make_shared<Summing>()), Error);
  CHECK_THROWS_AS(register_update_rule("test.null", nullptr), Error);
  CHECK_THROWS_AS(Optimizer(with(CustomRule{.name = "test.null"}), 1), Error);
}

}  // namespace
}  // namespace ps::optim
