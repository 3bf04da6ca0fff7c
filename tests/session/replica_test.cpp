// The modes in which workers keep weights of their own, and accumulation: whole jobs in one
// process.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <ps/ps.hpp>

#include "support/catch.h"

namespace {

using ps::LocalCluster;
using ps::Session;

void fill(std::span<float> values, float value) {
  std::ranges::fill(values, value);
}

bool near(double got, double expected) {
  return std::abs(got - expected) <= 2e-6 * std::abs(expected);
}

// A gradient that differs everywhere, and has no round numbers.
void vary(std::span<float> values, std::uint32_t rank, std::size_t step) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = std::sin(static_cast<float>(i + 1) * 0.37F + static_cast<float>(rank) * 1.3F +
                         static_cast<float>(step) * 0.71F);
  }
}

constexpr std::size_t kSteps = 7;

// Weights after each of kSteps steps of three workers: uneven, some with nothing, a parameter that
// is not always touched, averages, groups and a schedule.
std::vector<std::uint64_t> hashes_of(ps::ModelOptions options, const std::string& transport) {
  options.schedule = {.kind = ps::Schedule::Kind::kLinear,
                      .warmup_samples = 11,
                      .warmup_start = 0.3F,
                      .total_samples = 60};
  options.groups = {{.pattern = "*.bias", .lr_scale = 2.0F, .weight_decay = 0.0F}};
  options.chunk_bytes = 1024;
  std::mutex mutex;
  std::vector<std::set<std::uint64_t>> seen(kSteps + 1);
  LocalCluster::run(
      3,
      [&](Session& session) {
        const std::uint32_t rank = session.rank();
        ps::Model model = session.model("m", options);
        const auto random = [&](std::span<float> values) { vary(values, rank, 99); };
        const ps::Parameter a = model.add("a.weight", {40, 30}, random);
        const ps::Parameter b = model.add("a.bias", {30}, random);
        const ps::Parameter mean = model.add("bn.mean", {5}, {}, ps::ParameterKind::kAverage);
        model.start();
        const auto note = [&](std::size_t step) {
          const std::lock_guard lock(mutex);
          seen[step].insert(model.hash());
        };
        for (std::size_t step = 0; step < kSteps; ++step) {
          const bool idle = step == 3 || (step == 1 && rank == 0);
          model.begin_step(idle ? 0.0 : rank + 1.5, 2 + rank);
          for (const ps::Parameter& parameter : {mean, b, a}) {
            vary(parameter.gradients(), rank, step);
            const bool skips = parameter.name() == "a.bias" && (step == 5 || rank == step % 3);
            skips ? parameter.skip() : parameter.push_pull();
          }
          PS_CHECK_IN_THREAD(model.push_pull().wait().accepted);
          note(step);
        }
        session.finish();
        note(kSteps);
      },
      {.servers = 2, .transport = transport});
  std::vector<std::uint64_t> result;
  for (const auto& hashes : seen) {
    CHECK(hashes.size() == 1);  // the same on every rank
    result.push_back(*hashes.begin());
  }
  CHECK(result[kSteps] == result[kSteps - 1]);
  return result;
}

}  // namespace

TEST_CASE("replica: updates on the workers have the bits of updates on the servers",
          "[unit][session]") {
  const auto optimizer = GENERATE(values<ps::Optimizer>(
      {ps::Sgd{.lr = 0.1F, .weight_decay = 0.01F}, ps::Sgd{.lr = 0.1F, .momentum = 0.9F},
       ps::Sgd{.lr = 0.1F, .momentum = 0.9F, .nesterov = true}, ps::Adam{.lr = 0.01F},
       ps::AdamW{.lr = 0.01F}}));
  CAPTURE(optimizer.index(), ps::optimizer_name(optimizer));
  const auto server = hashes_of({.optimizer = optimizer}, "inproc");
  const auto worker = hashes_of({.optimizer = optimizer, .update = ps::Update::kWorker}, "inproc");
  CHECK(server == worker);
  CHECK(std::set(server.begin(), server.end()).size() == kSteps - 1);  // one step had no weight
}

TEST_CASE("replica: updates on the workers have the same bits over every transport",
          "[unit][session]") {
  const ps::ModelOptions options{.optimizer = ps::Adam{}, .update = ps::Update::kWorker};
  const auto inproc = hashes_of(options, "inproc");
  const std::string transport = GENERATE("tcp", "ipc", "shm");
  CAPTURE(transport);
  CHECK(hashes_of(options, transport) == inproc);
}

TEST_CASE("replica: every mode reads all samples and ends with the same weights on every rank",
          "[unit][session]") {
  const std::string mode =
      GENERATE("--consistency.mode=local", "--consistency.mode=easgd", "--job.log_level=warn");
  const std::string transport = GENERATE("inproc", "tcp", "ipc", "shm");
  CAPTURE(mode, transport);
  const bool on_workers = mode == "--job.log_level=warn";
  std::mutex mutex;
  std::set<std::uint64_t> hashes;
  LocalCluster::run(
      3,
      [&](Session& session) {
        ps::Model model =
            session.model("m", {.optimizer = ps::Sgd{.lr = 0.1F, .momentum = 0.5F},
                                .update = on_workers ? ps::Update::kWorker : ps::Update::kServer});
        const ps::Parameter a = model.add("a", {1000});
        const ps::Parameter b = model.add("b", {17});
        model.start();
        double samples = 0;
        for (const ps::Batch& batch : session.samples(1000, {.global_batch = 30, .epochs = 2})) {
          samples += static_cast<double>(batch.size());
          model.begin_step(static_cast<double>(batch.size()));
          vary(b.gradients(), session.rank(), batch.step);
          b.push_pull();
          vary(a.gradients(), session.rank(), batch.step);
          model.push_pull().wait();
        }
        PS_CHECK_IN_THREAD(session.reduce(std::vector{samples}).front() == 2000.0);
        session.finish();
        const std::lock_guard lock(mutex);
        hashes.insert(model.hash());
      },
      {.servers = 2, .transport = transport, .flags = {mode}});
  CHECK(hashes.size() == 1);
}

TEST_CASE("replica: local SGD averages the weights after H steps, and when asked",
          "[unit][session]") {
  LocalCluster::run(2, [](Session& session) {
    const bool first = session.rank() == 0;
    ps::Model model =
        session.model("m", {.mode = ps::LocalSgd{.steps = 2}, .optimizer = ps::Sgd{.lr = 0.1F}});
    const ps::Parameter w = model.add("w", {3}, [](std::span<float> values) { fill(values, 1); });
    model.start();
    const auto step = [&](double weight) {
      const float x = w.weights().front();
      fill(w.gradients(), first ? x : 2.0F * (x - 4.0F));
      return model.push_pull(weight);
    };
    ps::Pending alone = step(5);
    PS_CHECK_IN_THREAD(alone.done());
    PS_CHECK_IN_THREAD(near(alone.wait().lr, 0.1));
    PS_CHECK_IN_THREAD(near(w.weights()[0], first ? 0.9 : 1.6));
    PS_CHECK_IN_THREAD(step(5).wait().version == 1);
    PS_CHECK_IN_THREAD(near(w.weights()[2], 1.445));
    // A pull between two averagings averages too, by samples, and leaves nothing to the next.
    step(first ? 1 : 3).wait();
    model.pull().wait();
    const double expected = (1.3005 + 3 * 1.956) / 4;
    PS_CHECK_IN_THREAD(near(w.weights()[0], expected));
    PS_CHECK_IN_THREAD(model.pull().done());
    PS_CHECK_IN_THREAD(near(w.weights()[0], expected));
  });
}

TEST_CASE("replica: an averaging takes the optimizer's memory along, or forgets it",
          "[unit][session]") {
  const bool average = GENERATE(true, false);
  CAPTURE(average);
  LocalCluster::run(2, [&](Session& session) {
    ps::Model model =
        session.model("m", {.mode = ps::LocalSgd{.steps = 1, .average_state = average},
                            .optimizer = ps::Sgd{.lr = 1.0F, .momentum = 0.5F}});
    const ps::Parameter w = model.add("w", {1});
    model.start();
    fill(w.gradients(), session.rank() == 0 ? 2.0F : 6.0F);
    model.push_pull(1).wait();
    PS_CHECK_IN_THREAD(w.weights()[0] == -4.0F);
    fill(w.gradients(), 0.0F);
    model.push_pull(1).wait();
    PS_CHECK_IN_THREAD(w.weights()[0] == (average ? -6.0F : -4.0F));
  });
}

TEST_CASE("replica: a worker without samples takes the others' mean", "[unit][session]") {
  LocalCluster::run(3, [](Session& session) {
    ps::Model model =
        session.model("m", {.mode = ps::LocalSgd{.steps = 2}, .optimizer = ps::Sgd{.lr = 1.0F}});
    const ps::Parameter w = model.add("w", {2});
    const ps::Parameter mean = model.add("bn.mean", {2}, {}, ps::ParameterKind::kAverage);
    model.start();
    for (int k = 0; k < 2; ++k) {
      fill(w.gradients(), static_cast<float>(session.rank()));
      fill(mean.gradients(), static_cast<float>(4 * session.rank()));
      model.push_pull(session.rank() == 0 ? 0.0 : 2.0).wait();
    }
    PS_CHECK_IN_THREAD(w.weights()[1] == -3.0F);
    PS_CHECK_IN_THREAD(mean.weights()[0] == 6.0F);
  });
}

TEST_CASE("replica: elastic averaging by way of the servers", "[unit][session]") {
  LocalCluster::run(2, [](Session& session) {
    const bool first = session.rank() == 0;
    ps::Model model = session.model(
        "m", {.mode = ps::Easgd{.period = 1, .alpha = 0.25F}, .optimizer = ps::Sgd{.lr = 0.1F}});
    const ps::Parameter w = model.add("w", {3}, [](std::span<float> values) { fill(values, 1); });
    model.start();
    session.barrier();  // both have the center as it was at first
    const auto gradient = [&] { return w.weights().front() - (first ? 0.0F : 2.0F); };
    // A step is an update and then the move: after step k weights() have made the move of round
    // k + 1 of the sequence (move, update), and the center with them.
    const double expected[2][3] = {{0.8325, 1.161875, 1.00625},
                                   {0.78834375, 1.20089844, 1.01257813}};
    for (const auto& [a, b, center] : expected) {
      for (std::uint32_t turn = 0; turn < 2; ++turn) {
        fill(w.gradients(), gradient());
        if (turn == session.rank()) PS_CHECK_IN_THREAD(model.push_pull(1).wait().accepted);
        session.barrier();
      }
      PS_CHECK_IN_THREAD(near(w.weights()[1] - 0.1 * gradient(), first ? a : b));
      const float own = w.weights().front();
      model.pull().wait();
      PS_CHECK_IN_THREAD(near(w.weights()[2], center));
      model.resume();
      PS_CHECK_IN_THREAD(w.weights()[2] == own);
      session.barrier();
    }
    session.finish();
    PS_CHECK_IN_THREAD(near(w.weights()[0], 1.01257813));
  });
}

TEST_CASE("replica: easgd's workers do not wait for each other", "[unit][session]") {
  LocalCluster::run(2, [](Session& session) {
    ps::Model model = session.model("m", {.mode = ps::Easgd{.period = 2}});
    const ps::Parameter w = model.add("w", {10});
    const ps::Parameter mean = model.add("bn.mean", {2}, {}, ps::ParameterKind::kAverage);
    model.start();
    for (std::uint32_t k = 0; k < (session.rank() == 0 ? 20U : 3U); ++k) {
      fill(w.gradients(), 1.0F);
      fill(mean.gradients(), 2.0F);
      ps::Pending step = model.push_pull(1);
      if (k % 2 == 0) PS_CHECK_IN_THREAD(step.done());
      PS_CHECK_IN_THREAD(step.wait().accepted);
    }
    PS_CHECK_IN_THREAD(w.weights()[3] < 0.0F);
    PS_CHECK_IN_THREAD(mean.weights()[0] > 0.0F);
    // The center may overshoot: a difference counts in full though others have moved it since.
    PS_CHECK_IN_THREAD(mean.weights()[0] <= 2.0F + 0.45F * 2.0F);
  });
}

TEST_CASE("replica: NaN costs its parameter, or with finite = step everybody's step",
          "[unit][session]") {
  const auto finite = GENERATE(ps::Finite::kMessage, ps::Finite::kStep);
  CAPTURE(finite == ps::Finite::kStep);
  const bool whole = finite == ps::Finite::kStep;
  LocalCluster::run(2, [&](Session& session) {
    ps::Model model = session.model(
        "m", {.optimizer = ps::Sgd{.lr = 1.0F}, .finite = finite, .update = ps::Update::kWorker});
    const ps::Parameter a = model.add("a", {3});
    const ps::Parameter b = model.add("b", {3});
    model.start();
    const bool bad = session.rank() == 1;
    fill(a.gradients(), bad ? 4.0F : 2.0F);
    fill(b.gradients(), 2.0F);
    if (bad) a.gradients()[1] = std::numeric_limits<float>::quiet_NaN();
    const ps::StepInfo info = model.push_pull(1).wait();
    PS_CHECK_IN_THREAD(info.nonfinite == (bad || whole ? 1U : 0U));
    PS_CHECK_IN_THREAD(info.accepted == (info.nonfinite == 0));
    PS_CHECK_IN_THREAD(a.weights()[0] == (whole ? 0.0F : -2.0F));
    PS_CHECK_IN_THREAD(b.weights()[0] == (whole ? 0.0F : -2.0F));
    // The next step is as if nothing had been.
    fill(a.gradients(), 1.0F);
    PS_CHECK_IN_THREAD(model.push_pull(1).wait().accepted);
    PS_CHECK_IN_THREAD(a.weights()[1] == (whole ? -1.0F : -3.0F));
  });
}

TEST_CASE("replica: gradients whose sum overflows cost what they cost with update = server",
          "[unit][session]") {
  const auto finite = GENERATE(ps::Finite::kMessage, ps::Finite::kStep);
  const float clip_norm = GENERATE(0.0F, 1.0F);
  CAPTURE(finite == ps::Finite::kStep, clip_norm);
  const auto hashes = [&](ps::Update update) {
    std::mutex mutex;
    std::set<std::uint64_t> seen;
    LocalCluster::run(2,
                      [&](Session& session) {
                        ps::Model model =
                            session.model("m", {.optimizer = ps::Sgd{.lr = 0.5F, .momentum = 0.5F},
                                                .clip_norm = clip_norm,
                                                .finite = finite,
                                                .update = update});
                        const ps::Parameter a = model.add("a", {3});
                        const ps::Parameter b = model.add("b", {2});
                        model.start();
                        for (const float gradient : {1.0F, 3e38F, 0.25F}) {
                          fill(a.gradients(), 0.5F);
                          fill(b.gradients(), gradient);
                          const bool accepted = model.push_pull(1).wait().accepted;
                          // The servers leave out a chunk without a word where they need not agree.
                          const bool is_told = update == ps::Update::kWorker ||
                                               finite == ps::Finite::kStep || clip_norm > 0;
                          if (is_told) PS_CHECK_IN_THREAD(accepted == (gradient < 1e38F));
                          const std::lock_guard lock(mutex);
                          seen.insert(model.hash());
                        }
                        session.finish();
                      },
                      {.servers = 2});
    return seen;
  };
  CHECK(hashes(ps::Update::kWorker) == hashes(ps::Update::kServer));
}

TEST_CASE("replica: accumulated gradients make one step of the joined batch", "[unit][session]") {
  const auto options = GENERATE(values<ps::ModelOptions>(
      {{.mode = ps::Sync{}}, {.update = ps::Update::kWorker}, {.mode = ps::LocalSgd{.steps = 1}}}));
  CAPTURE(ps::mode_name(options.mode), options.update == ps::Update::kWorker);
  LocalCluster::run(2, [&](Session& session) {
    ps::ModelOptions mine = options;
    mine.optimizer = ps::Sgd{.lr = 1.0F};
    ps::Model model = session.model("m", mine);
    const ps::Parameter w = model.add("w", {3});
    const ps::Parameter mean = model.add("bn.mean", {1}, {}, ps::ParameterKind::kAverage);
    model.start();
    for (const float step : {1.0F, 2.0F}) {
      for (const float part : {1.0F, 2.0F}) {
        fill(w.gradients(), part);
        fill(mean.gradients(), part);
        model.accumulate(part);
      }
      model.begin_step(1);
      fill(w.gradients(), session.rank() == 0 ? 3.0F : 11.0F);
      w.push_pull();
      fill(mean.gradients(), 3.0F);
      model.push_pull().wait();
      // (1 + 4 + 3) / 4 and (1 + 4 + 11) / 4, of equal weights.
      PS_CHECK_IN_THREAD(w.weights()[2] == -3.0F * step);
      PS_CHECK_IN_THREAD(mean.weights()[0] == 2.0F);
    }
  });
}

TEST_CASE("replica: misuse is refused in words", "[unit][session]") {
  const auto refused = [](const ps::ModelOptions& options, const std::string& words,
                          const std::function<void(ps::Model&)>& use) {
    CHECK_THROWS_WITH(LocalCluster::run(1,
                                        [&](Session& session) {
                                          ps::Model model = session.model("m", options);
                                          model.add("w", {1});
                                          model.start();
                                          use(model);
                                        }),
                      Catch::Contains(words));
  };
  const auto nothing = [](ps::Model&) {};
  refused({.mode = ps::Async{}, .update = ps::Update::kWorker}, "update = worker", nothing);
  refused({.mode = ps::Easgd{}}, "call resume() first", [](ps::Model& model) {
    model.pull().wait();
    model.push_pull(1);
  });
  refused({.mode = ps::Easgd{}}, "call resume() first", [](ps::Model& model) {
    model.pull().wait();
    model.accumulate(1);
  });
  refused({}, "accumulate() while a step", [](ps::Model& model) {
    model.begin_step(1);
    model.accumulate(1);
  });
  refused({}, "weight must be", [](ps::Model& model) { model.accumulate(-1); });
}
