// An update rule of the program's own: sign descent with momentum (signSGD, Bernstein et al.,
// 2018). It is registered in every process before Session::open, since the servers apply it.
//
//   custom_rule                                          alone
//   psrun -n 2 -s 2 -- custom_rule --consistency.mode=async
#include <cmath>
#include <cstdio>
#include <exception>
#include <memory>

#include <ps/ps.hpp>
#include <ps/update_rule.h>

namespace {

class SignMomentum final : public ps::UpdateRule {
 public:
  [[nodiscard]] std::size_t state_floats() const noexcept override { return 1; }
  void update(const ps::UpdateStep& step) const noexcept override {
    const float momentum = step.settings[0];
    const auto v = step.state(0);
    for (std::size_t i = 0; i < step.gradient.size(); ++i) {
      v[i] = momentum * v[i] + (1.0F - momentum) * step.gradient[i];
      const float sign = v[i] > 0 ? 1.0F : v[i] < 0 ? -1.0F : 0.0F;
      step.new_weights[i] = step.old_weights[i] - step.lr * sign;
    }
  }
};

}  // namespace

int main(int argc, char** argv) try {
  ps::register_update_rule("sign", std::make_shared<SignMomentum>());
  ps::Session session = ps::Session::open(argc, argv);
  ps::Model model = session.model(
      "parabola", {.optimizer = ps::CustomRule{.name = "sign", .lr = 0.01F, .settings = {0.9F}}});
  const ps::Parameter w = model.add("w", {4});
  model.start();
  for (int step = 0; step < 400; ++step) {
    // The minimum of sum (w_i - i)^2 / 2.
    for (std::size_t i = 0; i < w.weights().size(); ++i)
      w.gradients()[i] = w.weights()[i] - static_cast<float>(i);
    model.push_pull(1.0).wait();
  }
  session.finish();
  if (session.rank() == 0) {
    for (const float value : w.weights()) std::printf("%.1f ", static_cast<double>(value));
    std::printf("\n");
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "custom_rule: %s\n", error.what());
  return 1;
}
