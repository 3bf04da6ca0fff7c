// The modes with weights on the workers, by hand: no messages, the exchange is done by the test.
#include "worker/replica.h"

#include <limits>
#include <vector>

#include <ps/error.h>

#include "support/catch.h"

namespace {

using ps::Memory;
using ps::worker::Replica;

Memory values(const std::vector<float>& from) {
  const Memory memory = Memory::allocate(from.size() * sizeof(float));
  std::ranges::copy(from, memory.as<float>().begin());
  return memory;
}

// One worker with one parameter of one value.
struct Scalar {
  Scalar(const ps::ModelOptions& options,
         std::uint32_t workers,
         float initial,
         ps::ParameterKind kind = ps::ParameterKind::kTrained)
      : weights(values({initial})),
        gradients(values({0})),
        replica(options, workers, {{{"w", {1}, kind}, weights, gradients}}) {
    replica.started();
  }
  float& w() const { return weights.as<float>().front(); }
  float& g() const { return gradients.as<float>().front(); }
  float& arrives(std::size_t at = 0) { return replica.travel().weights[at].as<float>().front(); }
  float& leaves(std::size_t at = 0) { return replica.travel().gradients[at].as<float>().front(); }
  void step(float gradient, double weight = 1.0) {
    g() = gradient;
    replica.begin(weight, static_cast<std::uint32_t>(weight));
    replica.settle(0, weight > 0);
    replica.step();
  }

  Memory weights;
  Memory gradients;
  Replica replica;
};

bool near(double got, double expected) {
  CAPTURE(got, expected);
  return std::abs(got - expected) <= 2e-6 * std::abs(expected);
}

}  // namespace

TEST_CASE("replica: elastic averaging of two workers, in the order A, B", "[unit][worker]") {
  const ps::ModelOptions options{.mode = ps::Easgd{.period = 1, .alpha = 0.25F},
                                 .optimizer = ps::Sgd{.lr = 0.1F}};
  Scalar a(options, 2, 1.0F);
  Scalar b(options, 2, 1.0F);
  float center = 1.0F;
  const auto exchange = [&](Scalar& worker) {
    worker.arrives() = center;
    worker.replica.attract();
    center += worker.leaves();
  };
  const double expected[3][3] = {
      {0.9, 1.1, 1.0}, {0.8325, 1.161875, 1.00625}, {0.78834375, 1.20089844, 1.01257813}};
  for (const auto& [wa, wb, c] : expected) {
    exchange(a);
    exchange(b);
    a.step(a.w());
    b.step(b.w() - 2.0F);
    CHECK(near(a.w(), wa));
    CHECK(near(b.w(), wb));
    CHECK(near(center, c));
  }
}

TEST_CASE("replica: easgd moves every period steps, by 0.9 / workers unless told",
          "[unit][worker]") {
  Scalar worker({.mode = ps::Easgd{.period = 3}, .optimizer = ps::Sgd{.lr = 1.0F}}, 9, 10.0F);
  for (int round = 0; round < 2; ++round) {
    for (int k = 1; k <= 3; ++k) {
      worker.step(0.0F);
      CHECK(worker.replica.due() == (k == 3));
    }
    worker.w() = 10.0F;
    worker.arrives() = 0.0F;
    worker.replica.attract();
    CHECK(near(worker.w(), 9.0));
    CHECK(near(worker.leaves(), 1.0));
  }
}

TEST_CASE("replica: a worker's own weights come back after the center was shown",
          "[unit][worker]") {
  Scalar worker({.mode = ps::Easgd{}, .optimizer = ps::Sgd{.lr = 1.0F}}, 2, 1.0F);
  worker.step(-4.0F);
  for (const float center : {2.0F, 3.0F}) {
    worker.arrives() = center;
    worker.replica.show_center();
    CHECK(worker.w() == center);
  }
  worker.replica.resume();
  CHECK(worker.w() == 5.0F);
  worker.replica.resume();
  CHECK(worker.w() == 5.0F);
}

TEST_CASE("replica: local SGD averages after H steps", "[unit][worker]") {
  const ps::ModelOptions options{.mode = ps::LocalSgd{.steps = 2},
                                 .optimizer = ps::Sgd{.lr = 0.1F}};
  Scalar a(options, 2, 1.0F);
  Scalar b(options, 2, 1.0F);
  for (int k = 1; k <= 2; ++k) {
    a.step(a.w(), 3.0);
    b.step(2.0F * (b.w() - 4.0F), 3.0);
    CHECK(a.replica.due() == (k == 2));
  }
  CHECK(near(a.w(), 0.81));
  CHECK(near(b.w(), 2.08));
  for (Scalar* worker : {&a, &b}) {
    worker->replica.pack();
    CHECK(worker->leaves() == worker->w());
    CHECK(worker->replica.packed_weight() == 6.0);
    CHECK(worker->replica.packed_samples() == 6);
    CHECK(worker->replica.differs());
  }
  CHECK(near((a.leaves() + b.leaves()) / 2, 1.445));
  // The mean lands in the weights themselves.
  a.arrives() = 1.445F;
  CHECK(a.w() == 1.445F);
  CHECK(a.replica.report() == std::vector{6.0, 6.0, 12.0});  // two updates
  a.replica.averaged(std::vector{12.0, 12.0, 24.0});
  CHECK_FALSE(a.replica.differs());
  CHECK(a.replica.packed_weight() == 0.0);
}

TEST_CASE("replica: post-local SGD averages every step until the samples are consumed",
          "[unit][worker]") {
  Scalar worker(
      {.mode = ps::LocalSgd{.steps = 3, .start_samples = 20}, .optimizer = ps::Sgd{.lr = 0.0F}}, 2,
      0.0F);
  std::vector<bool> due;
  for (int k = 0; k < 8; ++k) {
    worker.step(0.0F, 5.0);
    due.push_back(worker.replica.due());
    if (due.back()) worker.replica.averaged(std::vector{10.0, 10.0, 10.0});
  }
  CHECK(due == std::vector{true, true, false, false, true, false, false, true});
}

TEST_CASE("replica: the optimizer's memory travels, or starts anew", "[unit][worker]") {
  const bool average = GENERATE(true, false);
  CAPTURE(average);
  Scalar worker({.mode = ps::LocalSgd{.steps = 1, .average_state = average},
                 .optimizer = ps::Sgd{.lr = 1.0F, .momentum = 0.5F}},
                2, 0.0F);
  const auto& travel = worker.replica.travel();
  REQUIRE(travel.parameters.size() == (average ? 2 : 1));
  worker.step(8.0F);  // v = 8
  worker.replica.pack();
  if (average) {
    CHECK(travel.parameters[1].name == "w#state");
    CHECK(travel.parameters[1].kind == ps::ParameterKind::kAverage);
    CHECK(worker.leaves(1) == 8.0F);
    worker.arrives(1) = 6.0F;  // the workers' mean
  }
  worker.arrives() = 0.0F;
  worker.replica.averaged(std::vector{2.0, 2.0, 2.0});
  worker.step(0.0F);
  CHECK(worker.w() == (average ? -3.0F : 0.0F));
}

TEST_CASE("replica: Adam's step count is averaged with its memory", "[unit][worker]") {
  const ps::ModelOptions options{.mode = ps::LocalSgd{.steps = 3},
                                 .optimizer = ps::Adam{.lr = 0.5F}};
  Scalar busy(options, 2, 0.0F);
  Scalar idle(options, 2, 0.0F);
  for (int k = 0; k < 3; ++k) {
    busy.step(2.0F);
    idle.step(0.0F, 0.0);
  }
  std::vector<double> sums = busy.replica.report();
  const std::vector<double> other = idle.replica.report();
  CHECK(other == std::vector{0.0, 0.0, 0.0});
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += other[i];
  const auto& state = busy.replica.travel().weights[1];
  std::ranges::copy(state.as<float>(), idle.replica.travel().weights[1].as<float>().begin());
  idle.w() = busy.w();
  for (Scalar* worker : {&busy, &idle}) {
    worker->replica.averaged(sums);
    worker->step(2.0F);
  }
  CHECK(idle.w() == busy.w());
  CHECK(near(idle.w(), -2.0));  // four steps of lr under a constant gradient
}

TEST_CASE("replica: a gradient that is not finite leaves out its parameter, or the step",
          "[unit][worker]") {
  const auto finite = GENERATE(ps::Finite::kMessage, ps::Finite::kStep);
  const Memory good = values({1});
  const Memory bad = values({1});
  const Memory good_gradient = values({2});
  const Memory bad_gradient = values({std::numeric_limits<float>::infinity()});
  Replica replica({.mode = ps::LocalSgd{}, .optimizer = ps::Sgd{.lr = 0.25F}, .finite = finite}, 2,
                  {{{"good", {1}}, good, good_gradient}, {{"bad", {1}}, bad, bad_gradient}});
  replica.started();
  replica.begin(1, 1);
  CHECK(replica.settle(0, true));
  CHECK_FALSE(replica.settle(1, true));
  replica.step();
  CHECK(good.as<float>()[0] == (finite == ps::Finite::kMessage ? 0.5F : 1.0F));
  CHECK(bad.as<float>()[0] == 1.0F);
  ps::worker::StepResult result;
  replica.amend(result);
  CHECK(result.nonfinite == 1);
  replica.amend(result);
  CHECK(result.nonfinite == 1);
}

TEST_CASE("replica: weights that would overflow stay as they were", "[unit][worker]") {
  Scalar worker({.mode = ps::LocalSgd{}, .optimizer = ps::Sgd{.lr = 1e30F, .momentum = 0.5F}}, 2,
                7.0F);
  worker.step(1e20F);
  CHECK(worker.w() == 7.0F);
  worker.step(0.0F);  // nothing is remembered of it
  CHECK(worker.w() == 7.0F);
}

TEST_CASE("replica: update on the workers applies the mean, unless nobody had a part in it",
          "[unit][worker]") {
  Scalar worker(
      {.optimizer = ps::Sgd{.lr = 0.5F},
       .schedule = {.kind = ps::Schedule::Kind::kStep, .step_samples = 30, .step_gamma = 0.5F},
       .update = ps::Update::kWorker},
      2, 1.0F);
  const auto round = [&](bool touched) {
    worker.replica.begin(touched ? 10.0 : 0.0, 10);
    worker.replica.settle(0, touched);
    return worker.replica.report();
  };
  CHECK(round(true) == std::vector{10.0, 0.0, 1.0});
  worker.arrives() = 2.0F;
  worker.replica.reduced(std::vector{20.0, 0.0, 2.0});
  CHECK(worker.w() == 0.0F);
  CHECK(round(false) == std::vector{10.0, 0.0, 0.0});
  worker.replica.reduced(std::vector{20.0, 0.0, 0.0});
  CHECK(worker.w() == 0.0F);
  round(false);  // somebody else touched it; 40 samples have been consumed
  worker.arrives() = -4.0F;
  worker.replica.reduced(std::vector{20.0, 0.0, 1.0});
  CHECK(worker.w() == 1.0F);
}

TEST_CASE("replica: what cannot be exchanged is refused by name", "[unit][worker]") {
  const auto kind = GENERATE(ps::ParameterKind::kAssign, ps::ParameterKind::kAdd);
  CHECK_THROWS_WITH(Scalar({.mode = ps::LocalSgd{}}, 2, 0.0F, kind),
                    Catch::Contains("'w'") && Catch::Contains("local"));
  CHECK_THROWS_WITH(Scalar({.mode = ps::Easgd{}}, 2, 0.0F, kind), Catch::Contains("easgd"));
  CHECK_NOTHROW(Scalar({.update = ps::Update::kWorker}, 2, 0.0F, kind));
}
