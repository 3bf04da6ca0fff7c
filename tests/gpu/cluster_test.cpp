// A whole job with workers on one GPU: gradients leave while the backward pass runs, and the
// servers' weights are those of the same job on the CPU.
#include <cstdint>
#include <mutex>
#include <set>
#include <span>
#include <vector>

#include <ps/ps.hpp>

#include "gpu/learner.h"
#include "kernels/gpu_arrays.h"
#include "support/catch.h"

namespace ps::nn {
namespace {

constexpr int kSteps = 2;

struct Outcome {
  std::vector<std::vector<float>> weights;
  std::set<std::uint64_t> hashes;
};

ps::Model model_of(Session& session, Learner& learner) {
  ps::Model model =
      session.model("detector", {.mode = Sync{}, .optimizer = Sgd{.lr = 2e-4F, .momentum = 0.9F}});
  for (std::size_t i = 0; i < learner.parameters().size(); ++i) {
    const Parameter& parameter = learner.parameters()[i];
    const auto first = [&](std::span<float> values) { learner.detector.initialize(i, 1, values); };
    const ps::Parameter place = model.add(parameter.name, parameter.shape, first, parameter.kind);
    learner.detector.graph().bind(i, place.weights(), place.gradients());
  }
  model.start();
  return model;
}

Outcome train(std::uint32_t workers, const Device& device) {
  Outcome outcome;
  std::mutex mutex;
  LocalCluster::run(workers,
                    [&](Session& session) {
                      Learner learner({.device = device}, 20 + session.rank());
                      ps::Model model = model_of(session, learner);
                      for (int step = 0; step < kSteps; ++step) {
                        model.begin_step(static_cast<double>(kBatch));
                        learner.step([&](std::size_t i) { model.parameters()[i].push_pull(); });
                        const StepInfo info = model.push_pull().wait();
                        PS_CHECK_IN_THREAD(info.accepted);
                      }
                      session.finish();
                      const std::lock_guard lock(mutex);
                      outcome.hashes.insert(model.hash());
                      outcome.weights.clear();
                      for (const ps::Parameter& parameter : model.parameters()) {
                        const auto weights = parameter.weights();
                        outcome.weights.emplace_back(weights.begin(), weights.end());
                      }
                    },
                    {.servers = 2});
  return outcome;
}

// The weights after a step of two batches, the first put aside, each of a loss `scale` times as
// large.
std::uint64_t accumulate(const Device& device, float scale) {
  std::uint64_t hash = 0;
  LocalCluster::run(1, [&](Session& session) {
    Learner learner({.device = device});
    ps::Model model = model_of(session, learner);
    learner.detector.graph().scale_loss(scale);
    learner.step();
    model.accumulate(static_cast<double>(kBatch));
    for (float& value : learner.pictures) value = 1.0F - value;
    model.begin_step(static_cast<double>(kBatch));
    learner.step([&](std::size_t i) { model.parameters()[i].push_pull(); });
    PS_CHECK_IN_THREAD(model.push_pull().wait().accepted);
    session.finish();
    hash = model.hash();
  });
  return hash;
}

// An emulated GPU is one thread's at a time.
#if defined(PS_CUDA_EMULATED)
constexpr std::uint32_t kWorkers = 1;
#else
constexpr std::uint32_t kWorkers = 2;
#endif

TEST_CASE("gpu: a job's weights are the CPU's, and the same bits on every rank and again",
          "[gpu]") {
  const kernels::Gpu gpu;
  if (!gpu) return;
  const Outcome on_cpu = train(kWorkers, {});
  const Outcome on_gpu = train(kWorkers, {.kind = DeviceKind::kCuda, .index = 0});
  CHECK(on_gpu.hashes.size() == 1);
  REQUIRE(on_gpu.weights.size() == on_cpu.weights.size());
  for (std::size_t i = 0; i < on_gpu.weights.size(); ++i) {
    INFO("parameter " << i);
    CHECK(difference(on_gpu.weights[i], on_cpu.weights[i]) < 1e-4);
  }
  const Outcome again = train(kWorkers, {.kind = DeviceKind::kCuda, .index = 0});
  CHECK(again.hashes == on_gpu.hashes);
}

TEST_CASE("gpu: gradients of a scaled loss are put aside as those of the loss", "[gpu]") {
  const kernels::Gpu gpu;
  if (!gpu) return;
  const Device device = GENERATE(Device{}, Device{.kind = DeviceKind::kCuda, .index = 0});
  CHECK(accumulate(device, 1024.0F) == accumulate(device, 1.0F));
}

}  // namespace
}  // namespace ps::nn
