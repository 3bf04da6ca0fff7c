// Checkpoints: a run that goes on from one has the bits of a run that nobody disturbed.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include <ps/ps.hpp>

#include "support/catch.h"

namespace {

using ps::LocalCluster;
using ps::SafetensorsFile;
using ps::Session;

constexpr std::uint32_t kSamples = 48;
constexpr std::uint32_t kBatch = 8;
constexpr std::uint32_t kEpochs = 3;
constexpr std::uint64_t kStepsPerEpoch = kSamples / kBatch;

// Means of such gradients are exact, however a batch is split over the workers.
float gradient_of(std::uint32_t sample, std::size_t element) {
  return static_cast<float>((sample * 31 + element * 17) % 64) / 32.0F - 0.96875F;
}

struct Layout {
  std::uint32_t workers = 1;
  std::uint32_t servers = 1;
  std::uint64_t chunk_bytes = 256;
};

// What one run leaves: its checkpoint at the end, and on the way.
struct Run {
  SafetensorsFile end;
  SafetensorsFile middle;
  std::vector<float> rates;
};

// Where a run begins: with what, and after how many steps.
struct From {
  const SafetensorsFile* checkpoint = nullptr;
  std::uint64_t steps = 0;
};

void fill_gradient(const ps::Parameter& parameter, const ps::Batch& batch) {
  const auto gradient = parameter.gradients();
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    float sum = 0;
    for (const std::uint32_t sample : batch.indices) sum += gradient_of(sample, i);
    gradient[i] = sum / static_cast<float>(std::max<std::size_t>(batch.size(), 1));
  }
}

// All epochs, but for the steps that were taken before; `save_after` steps a checkpoint.
Run train(const ps::ModelOptions& options,
          const Layout& layout,
          std::uint64_t save_after,
          From from) {
  Run run;
  std::mutex mutex;
  LocalCluster::run(
      layout.workers,
      [&](Session& session) {
        ps::ModelOptions mine = options;
        mine.chunk_bytes = layout.chunk_bytes;
        ps::Model model = session.model("m", mine);
        const auto initial = [](std::span<float> values) {
          for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = std::sin(static_cast<float>(i) * 0.7F);
        };
        const ps::Parameter a = model.add("a.weight", {13, 11}, initial);
        const ps::Parameter b = model.add("a.bias", {11}, initial);
        const ps::Parameter mean = model.add("mean", {5}, {}, ps::ParameterKind::kAverage);
        if (from.checkpoint != nullptr) model.restore(*from.checkpoint);
        model.start();
        std::uint64_t step = from.steps;
        const auto first_epoch = static_cast<std::uint32_t>(from.steps / kStepsPerEpoch);
        for (const ps::Batch& batch :
             session.samples(kSamples, {.global_batch = kBatch,
                                       .epochs = kEpochs - first_epoch,
                                       .first_epoch = first_epoch,
                                       .first_step = from.steps % kStepsPerEpoch})) {
          model.begin_step(static_cast<double>(batch.size()));
          for (const ps::Parameter& parameter : {mean, b, a}) fill_gradient(parameter, batch);
          if (step % 5 == 2) b.skip();  // its updates are fewer than its rounds
          const float lr = model.push_pull().wait().lr;
          const bool saves = ++step == save_after;
          const bool all = std::holds_alternative<ps::LocalSgd>(options.mode);
          const bool mine_to_do = session.rank() == layout.workers - 1;
          SafetensorsFile state;
          if (saves && (mine_to_do || all)) state = model.checkpoint();
          const std::lock_guard lock(mutex);
          if (session.rank() == 0) run.rates.push_back(lr);
          if (saves && mine_to_do) run.middle = std::move(state);
        }
        session.barrier();
        SafetensorsFile state = model.checkpoint();
        session.barrier();
        const std::lock_guard lock(mutex);
        if (session.rank() == 0) run.end = std::move(state);
      },
      {.servers = layout.servers});
  return run;
}

bool same(const SafetensorsFile& first, const SafetensorsFile& second) {
  if (first.tensors.size() != second.tensors.size()) return false;
  for (std::size_t i = 0; i < first.tensors.size(); ++i) {
    const auto& one = first.tensors[i];
    const auto& other = second.tensors[i];
    if (one.name != other.name || one.shape != other.shape ||
        std::as_bytes(std::span(one.values)).size() !=
            std::as_bytes(std::span(other.values)).size() ||
        !std::ranges::equal(std::as_bytes(std::span(one.values)),
                            std::as_bytes(std::span(other.values))))
      return false;
  }
  return true;
}

// What it throws, in words.
std::string error_of(const std::function<void()>& use) {
  try {
    use();
  } catch (const ps::Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

const ps::Schedule kWarmUp{.kind = ps::Schedule::Kind::kCosine,
                           .warmup_samples = 70,  // past the checkpoint
                           .warmup_start = 0.1F,
                           .total_samples = 200,
                           .final_factor = 0.01F};

const std::vector<ps::ModelOptions>& sync_options() {
  static const std::vector<ps::ModelOptions> options{
      {.optimizer = ps::Sgd{.lr = 0.1F, .momentum = 0.9F, .nesterov = true, .weight_decay = 0.01F},
       .schedule = kWarmUp,
       .ema = {.decay = 0.99F, .tau = 20.0F}},
      {.optimizer = ps::Adam{.lr = 0.05F, .weight_decay = 0.01F}, .schedule = kWarmUp},
      {.optimizer = ps::Lars{.lr = 0.5F, .weight_decay = 0.01F},
       .schedule = kWarmUp,
       .clip_norm = 1.0F,
       .ema = {.decay = 0.9F, .tau = 5.0F}},
      {.optimizer = ps::Lamb{.lr = 0.05F}, .schedule = kWarmUp, .finite = ps::Finite::kStep},
      {.optimizer = ps::Ftrl{.lr = 0.1F, .l1 = 0.01F}},
      {.optimizer = ps::RmsProp{.lr = 0.01F, .momentum = 0.5F}, .schedule = kWarmUp},
  };
  return options;
}

}  // namespace

TEST_CASE("checkpoint: a run goes on with the bits of one that was not disturbed",
          "[unit][session]") {
  const std::size_t which = GENERATE(range(std::size_t{0}, std::size_t{6}));
  const ps::ModelOptions& options = sync_options()[which];
  const std::uint64_t stop =
      GENERATE(std::uint64_t{6}, std::uint64_t{8});  // an epoch's end; within one
  CAPTURE(ps::optimizer_name(options.optimizer), stop);
  const Run whole = train(options, {.workers = 2, .servers = 1}, stop, {});
  REQUIRE_FALSE(whole.middle.tensors.empty());
  CHECK_FALSE(same(whole.middle, whole.end));
  const Run again = train(options, {.workers = 2, .servers = 1}, 0, {&whole.middle, stop});
  CHECK(same(again.end, whole.end));
  CHECK(again.end.metadata == whole.end.metadata);
  CHECK(std::ranges::equal(again.rates, std::span(whole.rates).subspan(stop)));
  // On other numbers of servers and workers.
  const Run elsewhere = train(options, {.workers = 1, .servers = 2}, 0, {&whole.middle, stop});
  CHECK(same(elsewhere.end, whole.end));
  CHECK(elsewhere.end.metadata == whole.end.metadata);
  CHECK(whole.end.metadata.at("ps.version") == "18");
  CHECK(whole.end.metadata.at("ps.samples") == "144");
  CHECK(whole.end.metadata.at("ps.counts.a.bias") == "0:18:14");  // skipped in 4 rounds
}

TEST_CASE("checkpoint: goes on with chunks of another size", "[unit][session]") {
  const ps::ModelOptions options{.optimizer = ps::AdamW{.lr = 0.05F},
                                 .schedule = kWarmUp,
                                 .ema = {.decay = 0.99F, .tau = 20.0F}};
  const Run whole = train(options, {.workers = 2, .servers = 2, .chunk_bytes = 64}, 8, {});
  const Run again =
      train(options, {.workers = 2, .servers = 1, .chunk_bytes = 96}, 0, {&whole.middle, 8});
  CHECK(same(again.end, whole.end));
  CHECK(again.end.metadata == whole.end.metadata);
}

TEST_CASE("checkpoint: updates on the workers go on as those on the servers do",
          "[unit][session]") {
  ps::ModelOptions on_workers{
      .optimizer = ps::Adam{.lr = 0.05F}, .schedule = kWarmUp, .update = ps::Update::kWorker};
  ps::ModelOptions on_servers = on_workers;
  on_servers.update = ps::Update::kServer;
  const Run whole = train(on_workers, {.workers = 2, .servers = 1}, 8, {});
  const Run again = train(on_workers, {.workers = 1, .servers = 2}, 0, {&whole.middle, 8});
  CHECK(same(again.end, whole.end));
  CHECK(again.end.metadata == whole.end.metadata);
  const Run moved = train(on_servers, {.workers = 2, .servers = 1}, 0, {&whole.middle, 8});
  CHECK(same(moved.end, whole.end));
}

TEST_CASE("checkpoint: local SGD goes on where its averages were taken", "[unit][session]") {
  const bool average_state = GENERATE(true, false);
  CAPTURE(average_state);
  const ps::ModelOptions options{
      .mode = ps::LocalSgd{.steps = 4, .average_state = average_state, .start_samples = 24},
      .optimizer = ps::Adam{.lr = 0.05F},
      .schedule = kWarmUp};
  const std::uint64_t stop = 11;  // 3 steps, then 4 and 4
  const Run whole = train(options, {.workers = 2, .servers = 1}, stop, {});
  const Run again = train(options, {.workers = 2, .servers = 2}, 0, {&whole.middle, stop});
  CHECK(same(again.end, whole.end));
  CHECK(std::ranges::equal(again.rates, std::span(whole.rates).subspan(stop)));
}

TEST_CASE("checkpoint: with one worker the asynchronous modes go on exactly", "[unit][session]") {
  const auto options = GENERATE(values<ps::ModelOptions>(
      {{.mode = ps::Async{.compensation = ps::Compensation::kAdaptive},
        .optimizer = ps::Sgd{.lr = 0.1F, .momentum = 0.5F},
        .schedule = kWarmUp,
        .ema = {.decay = 0.9F, .tau = 5.0F}},
       {.mode = ps::Ssp{}, .optimizer = ps::Adam{.lr = 0.05F}, .schedule = kWarmUp}}));
  CAPTURE(ps::mode_name(options.mode));
  const Run whole = train(options, {.workers = 1, .servers = 2}, 6, {});
  const Run again = train(options, {.workers = 1, .servers = 2}, 0, {&whole.middle, 6});
  CHECK(same(again.end, whole.end));
  CHECK(again.end.metadata == whole.end.metadata);
}

TEST_CASE("checkpoint: with a backup worker the schedule goes on where it was", "[unit][session]") {
  const ps::ModelOptions options{
      .mode = ps::Sync{.backup_workers = 1}, .optimizer = ps::Sgd{.lr = 0.1F}, .schedule = kWarmUp};
  SafetensorsFile state;
  std::mutex mutex;
  std::vector<float> rates;
  for (int life = 0; life < 2; ++life) {
    LocalCluster::run(2, [&](Session& session) {
      ps::Model model = session.model("m", options);
      const ps::Parameter w = model.add("w", {6});
      if (life > 0) model.restore(state);
      model.start();
      session.barrier();
      std::ranges::fill(w.gradients(), 1.0F);
      const ps::StepInfo info = model.push_pull(7).wait();
      session.barrier();
      SafetensorsFile mine = model.checkpoint();
      session.barrier();
      const std::lock_guard lock(mutex);
      if (info.accepted) rates.push_back(info.lr);
      if (session.rank() == 0) state = std::move(mine);
    });
    CHECK(state.metadata.at("ps.samples") == std::to_string(14 * (life + 1)));
    // Whoever comes back from the barrier when the round is over takes part in the next one, so one
    // or two are taken; the first of them is where the life before has ended.
    REQUIRE(!rates.empty());
    const float samples = 14.0F * static_cast<float>(life);
    CHECK(std::ranges::min(rates) == Approx(0.1F * (0.1F + 0.9F * samples / 70.0F)));
    rates.clear();
  }
}

TEST_CASE("checkpoint: of elastic averaging is the center", "[unit][session]") {
  const ps::ModelOptions options{.mode = ps::Easgd{.period = 1, .alpha = 0.5F},
                                 .optimizer = ps::Sgd{.lr = 1.0F, .momentum = 0.5F}};
  SafetensorsFile state;
  LocalCluster::run(1, [&](Session& session) {
    ps::Model model = session.model("m", options);
    const ps::Parameter w = model.add("w", {3});
    model.start();
    std::ranges::fill(w.gradients(), 1.0F);
    model.push_pull(2).wait();
    state = model.checkpoint();
    PS_CHECK_IN_THREAD(w.weights()[0] == -0.5F);
  });
  REQUIRE(state.tensors.size() == 1);
  CHECK(state.tensors[0].values == std::vector<float>{-0.5F, -0.5F, -0.5F});
  CHECK(state.metadata.at("ps.samples") == "2");
  LocalCluster::run(2, [&](Session& session) {
    ps::Model model = session.model("m", options);
    const ps::Parameter w = model.add("w", {3});
    model.restore(state);
    PS_CHECK_IN_THREAD(w.weights()[2] == -0.5F);
    model.start();
    PS_CHECK_IN_THREAD(w.weights()[2] == -0.5F);
  });
}

TEST_CASE("checkpoint: what does not fit is refused, naming the tensor and what to do",
          "[unit][session]") {
  const ps::ModelOptions adam{.optimizer = ps::Adam{}};
  LocalCluster::run(1, [&](Session& session) {
    int models = 0;
    const auto make = [&](const ps::ModelOptions& options, std::int64_t size) {
      ps::Model model = session.model("m" + std::to_string(++models), options);
      model.add("w", {size, 2});
      return model;
    };
    ps::Model first = make(adam, 3);
    first.start();
    const SafetensorsFile state = first.checkpoint();
    PS_CHECK_IN_THREAD(state.tensors.size() == 3);
    const auto refused = [&](const SafetensorsFile& file, const ps::ModelOptions& options,
                             const std::string& words, std::int64_t size = 3) {
      const std::string text = error_of([&] { make(options, size).restore(file); });
      PS_CHECK_IN_THREAD(text.find(words) != std::string::npos);
    };
    const auto changed = [&](const std::function<void(SafetensorsFile&)>& change) {
      SafetensorsFile file = state;
      change(file);
      return file;
    };
    refused(state, adam, "tensor 'w' of shape [3, 2], the model has [4, 2]", 4);
    refused(state, {.optimizer = ps::Sgd{}}, "was made with optimizer adam, the model has sgd");
    refused(state, {.optimizer = ps::Adam{}, .ema = {.decay = 0.5F}}, "no tensor 'w#average'");
    refused(changed([](auto& file) { file.tensors.pop_back(); }), adam, "no tensor 'w#state1'");
    refused(changed([](auto& file) {
              file.tensors.push_back({"v", {1}, {0.0F}});
            }),
            adam, "has tensor 'v', which this model has not");
    refused(changed([](auto& file) { file.tensors[0].values[1] = std::nanf(""); }), adam,
            "'w' holds NaN");
    refused(changed([](auto& file) { file.tensors[0].values.pop_back(); }), adam, "of shape");
    refused(changed([](auto& file) { file.metadata.erase("ps.checkpoint"); }), adam,
            "only what Model::checkpoint() made");
    refused(changed([](auto& file) { file.metadata["ps.checkpoint"] = "2"; }), adam, "format 2");
    for (const char* key : {"ps.samples", "ps.version", "ps.counts.w"}) {
      refused(changed([&](auto& file) { file.metadata.erase(key); }), adam, key);
      for (const char* bad :
           {"", "-1", "1 ", " 1", "0x1", "1.5", "0:0", "0:0:0:0", "1:0:0", "0:0:0 0:1:1",
            "0:0:0 6:1:1", "0:0:0 ", "99999999999999999999", "0:9223372036854775807:0"})
        refused(changed([&](auto& file) { file.metadata[key] = bad; }), adam, key);
    }
    const auto misused = [&](const std::string& words, const std::function<void(ps::Model&)>& use,
                             bool started) {
      ps::Model model = make(adam, 3);
      if (started) model.start();
      const std::string text = error_of([&] { use(model); });
      PS_CHECK_IN_THREAD(text.find(words) != std::string::npos);
    };
    misused(
        "checkpoint() before start()", [](ps::Model& model) { model.checkpoint(); }, false);
    misused(
        "restore() after start()", [&](ps::Model& model) { model.restore(state); }, true);
    misused(
        "'late' was added after restore()",
        [&](ps::Model& model) {
          model.restore(state);
          model.add("late", {1});
          model.start();
        },
        false);
    misused(
        "accumulate()",
        [](ps::Model& model) {
          model.accumulate(1);
          model.checkpoint();
        },
        true);
    misused(
        "checkpoint() while a step",
        [](ps::Model& model) {
          model.begin_step(1);
          try {
            model.checkpoint();
          } catch (...) {
            model.push_pull().wait();  // so that the session can end
            throw;
          }
        },
        true);
  });
}

TEST_CASE("checkpoint: all workers must restore the same", "[unit][session]") {
  SafetensorsFile state;
  const auto run = [&](std::uint32_t workers,
                       const std::function<void(Session&, ps::Model&)>& use) {
    LocalCluster::run(workers, [&](Session& session) {
      ps::Model model = session.model("m", {});
      model.add("w", {3});
      use(session, model);
    });
  };
  run(1, [&](Session&, ps::Model& model) {
    model.start();
    state = model.checkpoint();
  });
  const bool other = GENERATE(true, false);
  CHECK_THROWS_WITH(
      run(2,
          [&](Session& session, ps::Model& model) {
            SafetensorsFile mine = state;
            if (session.rank() == 1) mine.metadata["epoch"] = "2";
            if (session.rank() == 0 || other) model.restore(mine);
            model.start();
          }),
      Catch::Contains(other ? "another checkpoint is restored" : "a checkpoint is restored only"));
}

TEST_CASE("checkpoint: survives a file", "[unit][session]") {
  const ps::ModelOptions options{.optimizer = ps::Adam{.lr = 0.1F}, .ema = {.decay = 0.9F}};
  const std::string path = "checkpoint_test.safetensors";
  LocalCluster::run(1, [&](Session& session) {
    ps::Model model = session.model("m", options);
    const ps::Parameter w = model.add("w", {3, 2});
    model.start();
    std::ranges::fill(w.gradients(), 0.3F);
    model.push_pull(4).wait();
    SafetensorsFile state = model.checkpoint();
    state.metadata["epoch"] = "7";
    state.save(path);
    const SafetensorsFile loaded = ps::load_safetensors(path);
    PS_CHECK_IN_THREAD(same(loaded, state));
    PS_CHECK_IN_THREAD(loaded.metadata == state.metadata);
    ps::Model again = session.model("again", options);
    again.add("w", {3, 2});
    again.restore(loaded);
    again.start();
    PS_CHECK_IN_THREAD(again.hash() == model.hash());
    PS_CHECK_IN_THREAD(again.checkpoint().metadata.at("ps.samples") == "4");
  });
  std::remove(path.c_str());
}

TEST_CASE("samples: a loop may start within an epoch", "[unit][session]") {
  LocalCluster::run(2, [](Session& session) {
    ps::Model model = session.model("m", {});
    model.add("w", {1});
    model.start();
    std::vector<std::vector<std::uint32_t>> whole;
    for (const ps::Batch& batch :
         session.samples(50, {.global_batch = 8, .epochs = 2, .first_epoch = 3}))
      whole.push_back(batch.indices);
    std::size_t step = 5;
    for (const ps::Batch& batch :
         session.samples(50, {.global_batch = 8, .epochs = 2, .first_epoch = 3, .first_step = 5})) {
      PS_CHECK_IN_THREAD(batch.step == step);
      PS_CHECK_IN_THREAD(batch.indices == whole.at(step));
      ++step;
    }
    PS_CHECK_IN_THREAD(step == whole.size());
    bool thrown = false;
    try {
      session.samples(50, {.global_batch = 8, .first_step = 7});
    } catch (const ps::Error&) {
      thrown = true;
    }
    PS_CHECK_IN_THREAD(thrown);
  });
}
