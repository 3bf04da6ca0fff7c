// Delay compensation against published numbers, and the mistakes that others made with it. Bits and
// instruction sets: tests/kernels/compensate_test.cpp.
#include "optim/compensation.h"

#include "optim/trainee.h"
#include "support/catch.h"

namespace ps::optim {
namespace {

// w = 1, lr = 0.1, lambda = 0.5; three workers that pulled the first weights push 2, -1.5 and 1.
constexpr float kGradients[] = {2.0F, -1.5F, 1.0F};

TEST_CASE("compensation: a constant lambda gives the published numbers", "[unit]") {
  const double expected[] = {0.8, 0.9725, 0.873875};
  Trainee trainee(with(Sgd{.lr = 0.1F}), {1.0F});
  trainee.step.single = true;
  const Floats pulled = trainee.weights;
  for (std::size_t i = 0; i < 3; ++i) {
    Floats gradient{kGradients[i]};
    compensate(
        {.gradient = gradient, .weights = trainee.weights, .pulled = pulled, .out = gradient},
        0.5F);
    trainee.apply(gradient);
    check_close(trainee.weights, {expected[i]});
  }
}

TEST_CASE("compensation: an adaptive lambda gives the published numbers", "[unit]") {
  const double expected[] = {0.8, 0.990909084, 0.89169165};
  Trainee trainee(with(Sgd{.lr = 0.1F}), {1.0F});
  trainee.step.single = true;
  const Floats pulled = trainee.weights;
  Floats mean_square{0.0F};
  for (std::size_t i = 0; i < 3; ++i) {
    Floats gradient{kGradients[i]};
    compensate_adaptively(
        {.gradient = gradient, .weights = trainee.weights, .pulled = pulled, .out = gradient}, 0.5F,
        0.95F, mean_square);
    trainee.apply(gradient);
    check_close(trainee.weights, {expected[i]});
  }
  check_close(mean_square, {0.337375});
}

TEST_CASE("compensation: the pulled weights are the worker's, not the last push's", "[unit]") {
  // One copy per key, overwritten at every push: the third correction is too small.
  Trainee trainee(with(Sgd{.lr = 0.1F}), {1.0F});
  trainee.step.single = true;
  Floats last = trainee.weights;
  for (const float g : kGradients) {
    Floats gradient{g};
    compensate({.gradient = gradient, .weights = trainee.weights, .pulled = last, .out = gradient},
               0.5F);
    last = trainee.weights;
    trainee.apply(gradient);
  }
  check_close(trainee.weights, {0.863875});  // and not 0.873875
}

TEST_CASE("compensation: goes with the gradient's square, and is none for fresh weights",
          "[unit]") {
  const Floats gradient{-3.0F, 2.0F, -0.5F};
  const Floats weights{1.0F, 1.0F, 1.0F};
  const Floats pulled{0.5F, 1.0F, 2.0F};
  Floats out(3);
  compensate({.gradient = gradient, .weights = weights, .pulled = pulled, .out = out}, 2.0F);
  CHECK(out == Floats{-3.0F + 2.0F * 9.0F * 0.5F, 2.0F, -0.5F - 2.0F * 0.25F});
}

}  // namespace
}  // namespace ps::optim
