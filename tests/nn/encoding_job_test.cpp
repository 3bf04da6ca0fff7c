// Whole jobs whose gradients lie on a GPU: encoded there, they end with the weights of the job
// that encodes the same gradients on the CPU.
#include <algorithm>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <ps/nn/nn.h>
#include <ps/ps.hpp>

#include "kernels/backend_pair.h"
#include "nn/network.h"
#include "support/catch.h"

namespace ps::nn {
namespace {

constexpr std::int64_t kBatch = 3;
constexpr std::uint64_t kSteps = 4;
constexpr std::size_t kLarge = 6;  // fc.weight

// Large enough for top-k and sign, of odd sizes, with statistics and biases that go as they are.
Graph network() {
  Graph graph({.channels = 2, .height = 6, .width = 6});
  Value x = graph.convolution(graph.input(), {.out = 13, .kernel = 3, .padding = 1}, "conv");
  x = graph.relu(graph.batch_norm(x, {}, "bn"));
  graph.softmax_cross_entropy(graph.linear(x, 5, "fc"));
  return graph;
}

// A worker: its model and a graph on the GPU, which one worker has at a time.
class Learner {
 public:
  Learner(Session& session, bool on_device, std::mutex& gpu)
      : gpu_(gpu),
        graph_(network()),
        model_(session.model("m", {.optimizer = Sgd{.lr = 0.1F, .momentum = 0.5F}})),
        encodes_(on_device) {
    const std::lock_guard held(gpu_);
    for (const Parameter& parameter : graph_.parameters()) {
      const ps::Parameter place = model_.add(
          parameter.name, parameter.shape,
          [&](std::span<float> values) { initialize(parameter, 5, values); }, parameter.kind);
      graph_.bind(model_.parameters().size() - 1, place.weights(), place.gradients());
    }
    graph_.prepare(kBatch, Device{.kind = DeviceKind::kCuda, .index = 0});
  }

  void start() {
    model_.start();
    if (!encodes_) return;
    std::vector<EncodedGradient> routes;
    for (const ps::Parameter& parameter : model_.parameters())
      routes.push_back({parameter.encoding(), parameter.encoded()});
    PS_CHECK_IN_THREAD(!routes[kLarge].how.pieces.empty());
    const std::lock_guard held(gpu_);
    graph_.encode_gradients(routes, [this] { return model_.step_number(); });
  }

  bool step(std::uint64_t seed) {
    const auto images = random_values(kBatch * 2 * 6 * 6, seed);
    model_.begin_step(static_cast<double>(kBatch));
    {
      const std::lock_guard held(gpu_);
      graph_.forward_backward(images, std::vector<std::int32_t>{0, 4, 2}, [&](std::size_t i) {
        const ps::Parameter& parameter = model_.parameters()[i];
        if (encodes_ && !parameter.encoding().pieces.empty()) {
          parameter.push_pull(parameter.encoded());
        } else {
          parameter.push_pull();
        }
      });
    }
    return model_.push_pull().wait().accepted;
  }
  // Whether gradients have come to the host as they were computed.
  [[nodiscard]] bool came_whole() const {
    const auto gradient = model_.parameters()[kLarge].gradients();
    return std::ranges::any_of(gradient, [](float value) { return value != 0.0F; });
  }
  [[nodiscard]] std::uint64_t hash() const { return model_.hash(); }

 private:
  std::mutex& gpu_;
  Graph graph_;
  Model model_;
  bool encodes_;
};

std::set<std::uint64_t> train(const std::string& push, bool on_device, const std::string& mode) {
  std::mutex gpu;
  std::mutex mutex;
  std::set<std::uint64_t> hashes;
  const std::uint32_t workers = mode == "sync" ? 2 : 1;  // else the order of updates is chance
  LocalCluster::run(
      workers,
      [&](Session& session) {
        Learner learner(session, on_device, gpu);
        learner.start();
        for (std::uint64_t step = 0; step < kSteps; ++step)
          PS_CHECK_IN_THREAD(learner.step(10 * step + session.rank()));
        PS_CHECK_IN_THREAD(learner.came_whole() == !on_device);
        session.finish();
        const std::lock_guard lock(mutex);
        hashes.insert(learner.hash());
      },
      {.servers = 2,
       .flags = {"--compression.push=" + push, "--compression.pull=fp16", "--compression.top=0.05",
                 "--consistency.mode=" + mode, "--transport.chunk_bytes=4400"}});
  return hashes;
}

TEST_CASE("device encoding: a job ends with the weights of one that encodes on the CPU",
          "[unit][cuda]") {
  const kernels::TestDevice gpu;
  if (!kernels::TestDevice::there()) return;
  const std::string push = GENERATE("fp16", "bf16", "int8", "int8-stochastic", "topk", "sign");
  CAPTURE(push);
  const auto on_cpu = train(push, false, "sync");
  CHECK(on_cpu.size() == 1);
  CHECK(train(push, true, "sync") == on_cpu);
  CHECK(train(push, true, "async") == train(push, false, "async"));
}

}  // namespace
}  // namespace ps::nn
