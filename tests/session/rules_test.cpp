// Modes and rules through the public API, with real loops and threads: what several shards must do
// together.
#include <algorithm>
#include <cmath>
#include <mutex>
#include <set>
#include <vector>

#include <ps/ps.hpp>

#include "support/catch.h"

namespace {

using ps::LocalCluster;
using ps::Session;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Two parameters that lie on two shards.
struct Trainee {
  Trainee(Session& session, const ps::ModelOptions& options)
      : model(session.model("m", options)), a(model.add("a", {2, 2})), b(model.add("b", {3, 1})) {
    model.start();
  }
  ps::StepInfo step(float ga, float gb, double n = 1) const {
    std::ranges::fill(a.gradients(), ga);
    std::ranges::fill(b.gradients(), gb);
    ps::Model handle = model;
    return handle.push_pull(n).wait();
  }
  ps::Model model;
  ps::Parameter a;
  ps::Parameter b;
};

}  // namespace

TEST_CASE("rules: sync clips the norm of the mean gradient over all shards", "[unit][session]") {
  LocalCluster::run(
      2,
      [](Session& session) {
        const Trainee trainee(session, {.optimizer = ps::Sgd{.lr = 1.0F}, .clip_norm = 6.5F});
        // The mean is (3, 4, 0, 0 | 12, 0, 0), of norm 13.
        std::ranges::fill(trainee.a.gradients(), 0.0F);
        std::ranges::fill(trainee.b.gradients(), 0.0F);
        const bool first = session.rank() == 0;
        trainee.a.gradients()[0] = first ? 6.0F : 0.0F;
        trainee.a.gradients()[1] = first ? 0.0F : 8.0F;
        trainee.b.gradients()[0] = 12.0F;
        ps::Model model = trainee.model;
        model.push_pull(1).wait();
        PS_CHECK_IN_THREAD(trainee.a.weights()[0] == Approx(-3 * 0.49999996).epsilon(1e-7));
        PS_CHECK_IN_THREAD(trainee.a.weights()[1] == Approx(-4 * 0.49999996).epsilon(1e-7));
        PS_CHECK_IN_THREAD(trainee.b.weights()[0] == Approx(-12 * 0.49999996).epsilon(1e-7));
      },
      {.servers = 2});
}

TEST_CASE("rules: async clips each worker's own gradient", "[unit][session]") {
  LocalCluster::run(
      1,
      [](Session& session) {
        const Trainee trainee(
            session, {.mode = ps::Async{}, .optimizer = ps::Sgd{.lr = 1.0F}, .clip_norm = 6.5F});
        trainee.step(0, 0);
        trainee.a.gradients()[0] = 3;
        trainee.a.gradients()[1] = 4;
        trainee.b.gradients()[0] = 12;
        ps::Model model = trainee.model;
        model.push_pull(1).wait();
        PS_CHECK_IN_THREAD(trainee.a.weights()[0] == Approx(-3 * 0.49999996).epsilon(1e-7));
        PS_CHECK_IN_THREAD(trainee.b.weights()[0] == Approx(-12 * 0.49999996).epsilon(1e-7));
      },
      {.servers = 2});
}

TEST_CASE("rules: one value that is not finite costs the message, or all of the step",
          "[unit][session]") {
  const auto finite = GENERATE(ps::Finite::kMessage, ps::Finite::kStep);
  const bool whole = finite == ps::Finite::kStep;
  CAPTURE(whole);
  LocalCluster::run(2,
                    [&](Session& session) {
                      const Trainee trainee(session,
                                            {.optimizer = ps::Sgd{.lr = 1.0F}, .finite = finite});
                      const bool bad = session.rank() == 1;
                      const ps::StepInfo info = trainee.step(1.0F, bad ? kNan : 3.0F);
                      PS_CHECK_IN_THREAD(trainee.a.weights()[0] == (whole ? 0.0F : -1.0F));
                      PS_CHECK_IN_THREAD(trainee.b.weights()[0] == (whole ? 0.0F : -3.0F));
                      PS_CHECK_IN_THREAD(info.nonfinite == (bad ? 1U : 0U));
                      PS_CHECK_IN_THREAD((info.skipped > 0) == whole);
                      PS_CHECK_IN_THREAD(info.accepted == (!whole && !bad));
                      const ps::StepInfo next = trainee.step(1.0F, 1.0F);
                      PS_CHECK_IN_THREAD(next.accepted);
                      PS_CHECK_IN_THREAD(trainee.b.weights()[2] == (whole ? -1.0F : -4.0F));
                    },
                    {.servers = 2});
}

TEST_CASE("rules: LARS and LAMB see whole layers, however they are cut", "[unit][session]") {
  const ps::Optimizer rule = GENERATE(values<ps::Optimizer>(
      {ps::Lars{.lr = 0.5F, .weight_decay = 0.01F, .eta = 0.1F}, ps::Lamb{.lr = 0.1F}}));
  const float clip_norm = GENERATE(0.0F, 2.0F);
  CAPTURE(ps::optimizer_name(rule), clip_norm);
  std::set<std::uint64_t> hashes;
  for (const std::uint32_t servers : {1U, 2U, 3U}) {
    LocalCluster::run(
        2,
        [&](Session& session) {
          ps::Model model =
              session.model("m", {.optimizer = rule, .clip_norm = clip_norm, .chunk_bytes = 16384});
          const ps::Parameter w = model.add("w", {100, 100}, [](std::span<float> values) {
            for (std::size_t i = 0; i < values.size(); ++i)
              values[i] = std::sin(static_cast<float>(i));
          });
          const ps::Parameter bias = model.add("bias", {5});
          model.start();
          for (int step = 0; step < 4; ++step) {
            for (std::size_t i = 0; i < w.gradients().size(); ++i) {
              w.gradients()[i] = std::cos(static_cast<float>(i * (session.rank() + 1)));
            }
            std::ranges::fill(bias.gradients(), 0.5F);
            model.push_pull(session.rank() + 1.0).wait();
          }
          static std::mutex mutex;
          const std::lock_guard lock(mutex);
          hashes.insert(model.hash());
        },
        {.servers = servers});
  }
  CHECK(hashes.size() == 1);
}

TEST_CASE("rules: a round with a backup worker drops the last one, and it goes on from there",
          "[unit][session]") {
  LocalCluster::run(3,
                    [](Session& session) {
                      const Trainee trainee(session, {.mode = ps::Sync{.backup_workers = 1},
                                                      .optimizer = ps::Sgd{.lr = 1.0F}});
                      std::uint64_t late = 0;
                      std::uint64_t steps = 0;
                      ps::StepInfo info;
                      while (info.version < 30) {
                        info = trainee.step(1.0F, 1.0F);
                        late += info.late > 0 ? 1 : 0;
                        ++steps;
                        // Every round moves every weight by the mean of two gradients of 1.
                        const auto expected = -static_cast<float>(info.version);
                        PS_CHECK_IN_THREAD(trainee.a.weights()[0] == expected);
                        PS_CHECK_IN_THREAD(trainee.b.weights()[2] == expected);
                      }
                      PS_CHECK_IN_THREAD(late <= steps);
                    },
                    {.servers = 2});
}

TEST_CASE("rules: with backup workers every loop over the samples ends", "[unit][session]") {
  const std::uint32_t workers = GENERATE(2U, 4U);
  LocalCluster::run(workers,
                    [](Session& session) {
                      const Trainee trainee(session, {.mode = ps::Sync{.backup_workers = 1},
                                                      .optimizer = ps::Sgd{.lr = 1.0F}});
                      for (int epoch = 0; epoch < 3; ++epoch) {
                        for (const ps::Batch& batch : session.samples(200, {.global_batch = 10}))
                          trainee.step(1.0F, 1.0F, static_cast<double>(batch.size()));
                        session.barrier();
                      }
                      session.finish();
                      // At most one round a step, and none has been lost.
                      PS_CHECK_IN_THREAD(trainee.a.weights()[0] <= -60.0F);
                      PS_CHECK_IN_THREAD(trainee.a.weights()[0] == trainee.b.weights()[0]);
                    },
                    {.servers = 2});
}

TEST_CASE("rules: the moving average follows the weights on the servers", "[unit][session]") {
  LocalCluster::run(1,
                    [](Session& session) {
                      const Trainee trainee(session, {.optimizer = ps::Sgd{.lr = 1.0F},
                                                      .ema = {.decay = 0.5F, .tau = 0.0F}});
                      ps::Model model = trainee.model;
                      trainee.step(1.0F, 2.0F);  // weights -1, -2
                      trainee.step(1.0F, 2.0F);  // weights -2, -4
                      model.pull_average().wait();
                      PS_CHECK_IN_THREAD(trainee.a.weights()[0] == -1.25F);
                      PS_CHECK_IN_THREAD(trainee.b.weights()[2] == -2.5F);
                      model.pull().wait();
                      PS_CHECK_IN_THREAD(trainee.a.weights()[0] == -2.0F);
                    },
                    {.servers = 2});
}

TEST_CASE(
    "rules: the loss scale halves on all workers when one step is not finite, and grows again",
    "[unit][session]") {
  LocalCluster::run(2,
                    [](Session& session) {
                      const Trainee trainee(
                          session, {.optimizer = ps::Sgd{.lr = 1.0F}, .finite = ps::Finite::kStep});
                      ps::LossScale scale(8.0F, 2);
                      const bool bad = session.rank() == 1;
                      PS_CHECK_IN_THREAD(!scale.update(trainee.step(1.0F, bad ? kNan : 1.0F)));
                      PS_CHECK_IN_THREAD(scale.scale() == 4.0F);
                      PS_CHECK_IN_THREAD(scale.update(trainee.step(1.0F, 1.0F)));
                      PS_CHECK_IN_THREAD(scale.update(trainee.step(1.0F, 1.0F)));
                      PS_CHECK_IN_THREAD(scale.scale() == 8.0F);
                      PS_CHECK_IN_THREAD(trainee.b.weights()[0] == -2.0F);
                    },
                    {.servers = 2});
}

TEST_CASE("rules: the servers measure gradient noise and update sizes", "[unit][session]") {
  const float clip_norm = GENERATE(0.0F, 1e6F);  // also where shards agree first
  LocalCluster::run(
      2,
      [&](Session& session) {
        const Trainee trainee(
            session, {.optimizer = ps::Sgd{.lr = 0.5F}, .clip_norm = clip_norm, .measure = true});
        ps::Model model = trainee.model;
        for (int step = 0; step < 3; ++step)
          trainee.step(session.rank() == 0 ? 3.0F : 1.0F, 1.0F, 8);
        const ps::Measures measures = model.measures();
        PS_CHECK_IN_THREAD(measures.updates == 3);
        PS_CHECK_IN_THREAD(measures.batch == 16);
        PS_CHECK_IN_THREAD(measures.gradient_norm == Approx(std::sqrt(4 * 4.0 + 3)));
        // mean |g|^2 = 4 * 5 + 3, |G_N|^2 = 4 * 4 + 3: |G|^2 = 15, tr = 2 * 8 * 4.
        PS_CHECK_IN_THREAD(measures.noise_scale == Approx(64.0 / 15));
        PS_CHECK_IN_THREAD(model.measures().updates == 0);
      },
      {.servers = 2});
}

TEST_CASE("rules: softsync keeps a gradient that its worker writes over", "[unit][session]") {
  LocalCluster::run(1, [](Session& session) {
    ps::Model model = session.model(
        "m", {.mode = ps::Async{.pushes_per_update = 3}, .optimizer = ps::Sgd{.lr = 1.0F}});
    const ps::Parameter only = model.add("only", {5});  // it travels without a copy
    model.start();
    for (const float gradient : {1.0F, 4.0F, 7.0F}) {
      std::ranges::fill(only.gradients(), gradient);
      model.push_pull(1).wait();
    }
    PS_CHECK_IN_THREAD(only.weights()[4] == -4.0F);
  });
}

TEST_CASE("rules: softsync applies the mean of so many pushes", "[unit][session]") {
  LocalCluster::run(1, [](Session& session) {
    const Trainee trainee(
        session, {.mode = ps::Async{.pushes_per_update = 2}, .optimizer = ps::Sgd{.lr = 1.0F}});
    trainee.step(1.0F, 1.0F);
    PS_CHECK_IN_THREAD(trainee.a.weights()[0] == 0.0F);
    trainee.step(3.0F, 5.0F);
    PS_CHECK_IN_THREAD(trainee.a.weights()[0] == -2.0F);
    PS_CHECK_IN_THREAD(trainee.b.weights()[0] == -3.0F);
  });
}
