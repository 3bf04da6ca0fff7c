// The public API, in one process: real loops and threads, every transport.
#include <algorithm>
#include <mutex>
#include <set>
#include <vector>

#include <ps/ps.hpp>

#include "support/catch.h"

namespace {

using ps::LocalCluster;
using ps::Session;

void fill(std::span<float> values, float value) {
  std::ranges::fill(values, value);
}

}  // namespace

TEST_CASE("session: sync SGD averages the workers' gradients by weight", "[unit][session]") {
  const std::string transport = GENERATE("inproc", "tcp", "ipc", "shm");
  CAPTURE(transport);
  std::mutex mutex;
  std::vector<float> seen;
  LocalCluster::run(3,
                    [&](Session& session) {
                      ps::Model model = session.model(
                          "m", {.mode = ps::Sync{}, .optimizer = ps::Sgd{.lr = 1.0F}});
                      const ps::Parameter w = model.add("w", {4, 5}, [&](std::span<float> values) {
                        fill(values, static_cast<float>(session.rank()) + 1);
                      });
                      model.start();
                      // Weights 1, 2, 3 and gradients 1, 2, 3: the mean is (1 + 4 + 9) / 6.
                      const double n = session.rank() + 1.0;
                      fill(w.gradients(), static_cast<float>(n));
                      const ps::StepInfo info = model.push_pull(n).wait();
                      PS_CHECK_IN_THREAD(info.version == 1);
                      PS_CHECK_IN_THREAD(info.accepted);
                      const std::lock_guard lock(mutex);
                      seen.insert(seen.end(), w.weights().begin(), w.weights().end());
                    },
                    {.servers = 2, .transport = transport});
  REQUIRE(seen.size() == 60);
  CHECK(std::ranges::all_of(seen, [](float value) { return value == 1.0F - 14.0F / 6.0F; }));
}

TEST_CASE("session: every mode ends with the same weights on every rank", "[unit][session]") {
  const std::string mode = GENERATE("sync", "async", "ssp");
  CAPTURE(mode);
  std::mutex mutex;
  std::set<std::uint64_t> hashes;
  LocalCluster::run(
      3,
      [&](Session& session) {
        ps::Model model = session.model("m", {.optimizer = ps::Sgd{.lr = 0.1F, .momentum = 0.5F}});
        const ps::Parameter a = model.add("a", {1000});
        const ps::Parameter b = model.add("b", {17});
        model.start();
        std::uint64_t samples = 0;
        for (const ps::Batch& batch : session.samples(1000, {.global_batch = 30, .epochs = 2})) {
          samples += batch.size();
          model.begin_step(static_cast<double>(batch.size()));
          fill(b.gradients(), static_cast<float>(batch.step));
          b.push_pull();
          fill(a.gradients(), 1.0F);
          model.push_pull().wait();
        }
        const double total =
            session.reduce(std::vector<double>{static_cast<double>(samples)}).front();
        PS_CHECK_IN_THREAD(total == 2000.0);
        session.finish();
        const std::lock_guard lock(mutex);
        hashes.insert(model.hash());
      },
      {.servers = 2, .flags = {"--consistency.mode=" + mode}});
  CHECK(hashes.size() == 1);
}

TEST_CASE("session: push and pull alone, parameters left out, and a weight of nothing",
          "[unit][session]") {
  LocalCluster::run(2, [&](Session& session) {
    ps::Model model = session.model("m", {.optimizer = ps::Sgd{.lr = 1.0F}});
    const ps::Parameter a = model.add("a", {10});
    const ps::Parameter b = model.add("b", {10});
    model.start();
    fill(a.gradients(), 1.0F);
    fill(b.gradients(), 1.0F);
    model.push(1).wait();
    model.pull().wait();
    PS_CHECK_IN_THREAD(a.weights()[0] == -1.0F);
    // Rank 1 does not touch b: rank 0 alone decides. Nobody else's gradient changes.
    model.begin_step(1);
    if (session.rank() == 1) b.skip();
    fill(a.gradients(), static_cast<float>(session.rank()));
    fill(b.gradients(), 3.0F);
    model.push_pull().wait();
    PS_CHECK_IN_THREAD(a.weights()[0] == -1.5F);
    PS_CHECK_IN_THREAD(b.weights()[0] == -4.0F);
    // Rank 0 has nothing at all.
    fill(a.gradients(), 2.0F);
    fill(b.gradients(), 2.0F);
    model.push_pull(session.rank() == 0 ? 0.0 : 1.0).wait();
    PS_CHECK_IN_THREAD(a.weights()[0] == -3.5F);
    PS_CHECK_IN_THREAD(b.weights()[9] == -6.0F);
  });
}

TEST_CASE("session: a gradient with NaN is refused and its worker is told", "[unit][session]") {
  LocalCluster::run(2, [&](Session& session) {
    ps::Model model = session.model("m", {.optimizer = ps::Sgd{.lr = 1.0F}});
    const ps::Parameter w = model.add("w", {3});
    model.start();
    fill(w.gradients(), 2.0F);
    if (session.rank() == 1) w.gradients()[1] = std::numeric_limits<float>::quiet_NaN();
    const ps::StepInfo info = model.push_pull(1).wait();
    PS_CHECK_IN_THREAD(info.nonfinite == (session.rank() == 1 ? 1U : 0U));
    PS_CHECK_IN_THREAD(info.accepted == (session.rank() == 0));
    PS_CHECK_IN_THREAD(w.weights()[0] == -2.0F);
  });
}

TEST_CASE("session: running statistics are averaged by weight", "[unit][session]") {
  LocalCluster::run(2, [&](Session& session) {
    ps::Model model = session.model("m", {});
    const ps::Parameter mean = model.add("bn.mean", {2}, {}, ps::ParameterKind::kAverage);
    model.start();
    fill(mean.gradients(), session.rank() == 0 ? 1.0F : 4.0F);
    model.push_pull(session.rank() == 0 ? 1.0 : 2.0).wait();
    PS_CHECK_IN_THREAD(mean.weights()[0] == 3.0F);
  });
}

TEST_CASE("session: two workers with different tables are told what differs", "[unit][session]") {
  try {
    LocalCluster::run(2, [&](Session& session) {
      ps::Model model = session.model("m", {});
      model.add("fc.weight", {784, session.rank() == 0 ? 10 : 12});
      model.start();
    });
    FAIL("nobody noticed");
  } catch (const ps::Error& error) {
    const std::string text = error.what();
    CAPTURE(text);
    CHECK(text.find("fc.weight") != std::string::npos);
    CHECK(text.find("worker 0") != std::string::npos);
    CHECK(text.find("worker 1") != std::string::npos);
  }
}

TEST_CASE("session: a worker that throws ends the job for all", "[unit][session]") {
  CHECK_THROWS_WITH(LocalCluster::run(3,
                                      [&](Session& session) {
                                        ps::Model model = session.model("m", {});
                                        model.add("w", {3});
                                        model.start();
                                        if (session.rank() == 2)
                                          throw std::runtime_error("no data");
                                        for (;;) model.push_pull(1).wait();
                                      }),
                    Catch::Contains("no data"));
}
