// Gradients that leave a GPU encoded: the bytes of the worker's own encoder, from the same
// gradients, over several steps.
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include <ps/error.h>
#include <ps/nn/nn.h>

#include "cluster/placement.h"
#include "kernels/backend_pair.h"
#include "nn/device_encoder.h"
#include "nn/network.h"
#include "support/catch.h"
#include "worker/encoder.h"

namespace ps::nn {
namespace {

using kernels::TestDevice;
using Push = Compression::Push;

constexpr Device kGpu{.kind = DeviceKind::kCuda, .index = 0};
constexpr std::uint64_t kChunkBytes = 4400;
constexpr Push kAllPushes[] = {Push::kFp16,           Push::kBf16, Push::kInt8,
                               Push::kInt8Stochastic, Push::kTopK, Push::kSign};

// A worker's encoder of such parameters, cut into chunks, and the routes to memory for its bytes.
class Reference {
 public:
  Reference(Push push,
            const std::vector<Parameter>& parameters,
            std::uint64_t chunk_bytes,
            std::uint32_t rank = 3)
      : infos_(infos(parameters)),
        encoder_({.push = push, .top = 0.03F}, infos_, rank),
        chunks_(cluster::chunks_of(infos_, chunk_bytes)) {
    Arena arena;
    for (std::uint32_t i = 0; i < infos_.size(); ++i) {
      std::vector<cluster::Chunk> mine;
      for (const cluster::Chunk& chunk : chunks_) {
        if (chunk.parameter == i) mine.push_back(chunk);
      }
      const Encoding how = encoder_.encoding_of(mine);
      memory_.push_back(arena.allocate(how.bytes));
      routes_.push_back({.how = how, .to = memory_.back().bytes()});
    }
  }

  [[nodiscard]] const std::vector<EncodedGradient>& routes() const { return routes_; }
  [[nodiscard]] std::size_t encoded() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        routes_, [](const auto& route) { return !route.how.pieces.empty(); }));
  }

  // Whether the bytes at the routes' ends are what the encoder makes of this gradient.
  bool matches(std::uint32_t parameter, std::uint64_t step, std::span<const float> gradient) {
    const Memory values = Memory::allocate(gradient.size_bytes());
    std::ranges::copy(gradient, values.as<float>().begin());
    bool same = true;
    for (const EncodedPiece& piece : routes_[parameter].how.pieces) {
      const cluster::Chunk chunk{parameter, piece.first, piece.count};
      const wire::Codec codec = encoder_.codec_of(chunk);
      const wire::Segment segment{.parameter = parameter,
                                  .codec = codec,
                                  .offset = piece.first,
                                  .count = piece.count,
                                  .bytes = encoder_.bytes_of(chunk, codec)};
      std::vector<std::byte> expected(segment.bytes);
      encoder_.encode(segment, step, values, expected);
      const auto got = routes_[parameter].to.subspan(piece.at, piece.bytes);
      same = same && std::ranges::equal(got, expected);
    }
    return same;
  }

 private:
  static std::vector<wire::ParameterInfo> infos(const std::vector<Parameter>& parameters) {
    std::vector<wire::ParameterInfo> infos;
    for (const Parameter& parameter : parameters)
      infos.push_back({parameter.name, parameter.shape, parameter.kind});
    return infos;
  }

  std::vector<wire::ParameterInfo> infos_;
  worker::Encoder encoder_;
  std::vector<cluster::Chunk> chunks_;
  std::vector<Memory> memory_;
  std::vector<EncodedGradient> routes_;
};

// Enough weights for top-k and sign, and parameters that they leave alone.
Graph wide() {
  Graph graph({.channels = 2, .height = 8, .width = 8});
  Value x = graph.convolution(graph.input(), {.out = 13, .kernel = 3, .stride = 2, .bias = false},
                              "conv1");
  x = graph.silu(graph.batch_norm(x, {}, "bn1"));
  x = graph.relu(graph.convolution(x, {.out = 17, .kernel = 3}, "conv2"));
  x = graph.linear(x, 3, "fc");
  graph.softmax_cross_entropy(x);
  return graph;
}

const std::vector<std::int32_t> kLabels{0, 2, 1, 0, 2};

std::vector<float> pictures(std::uint64_t seed) {
  return random_values(5 * 2 * 8 * 8, seed);
}

TEST_CASE("device encoding: pieces have the bytes of the worker's encoder, step after step",
          "[unit][cuda]") {
  const TestDevice gpu;
  if (!TestDevice::there()) return;
  const Push push = GENERATE(from_range(std::begin(kAllPushes), std::end(kAllPushes)));
  CAPTURE(static_cast<int>(push));
  const std::vector<Parameter> parameters{
      {.name = "cut", .shape = {51, 100}},  // five pieces, the last one of a thousand
      {.name = "mean", .shape = {64}, .kind = ParameterKind::kAverage},
      {.name = "odd", .shape = {1501}},
      {.name = "bias", .shape = {17}}};
  Reference reference(push, parameters, 1025 * sizeof(float));
  const auto backend = kernels::make_backend(kGpu);
  DeviceEncoder encoder(*backend, reference.routes());
  CHECK(!encoder.takes(1));
  for (std::uint64_t step = 0; step < 4; ++step) {
    std::vector<std::vector<float>> gradients;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      std::vector<float> values = random_values(parameters[i].size(), 10 * step + i);
      values[3] = -0.0F;
      values[5] = 1e-40F;
      // What is not finite is sent as such and not kept, so that the step after it is whole.
      if (step == 2) values[7] = std::numeric_limits<float>::infinity();
      if (step == 2) values[16] = std::numeric_limits<float>::quiet_NaN();
      gradients.push_back(values);
    }
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const Memory there = backend->allocate(gradients[i].size() * sizeof(float));
      backend->upload(gradients[i].data(), there.bytes().data(), there.size());
      if (encoder.takes(i)) encoder.encode(i, there.as<float>().data(), step, *backend->queue());
      backend->wait();
    }
    encoder.send(0, parameters.size(), *backend->queue());
    backend->wait();
    for (std::uint32_t i = 0; i < parameters.size(); ++i) {
      INFO("step " << step << " " << parameters[i].name);
      CHECK(reference.matches(i, step, gradients[i]));
    }
  }
}

Placement on_devices(int devices, bool split) {
  Placement placement;
  placement.devices.clear();
  for (int i = 0; i < devices; ++i)
    placement.devices.push_back({.kind = DeviceKind::kCuda, .index = i});
  if (split) placement.ends = {{3}};
  return placement;
}

// Three steps, the last ones recorded; the gradients that should have been encoded come from a
// graph that leaves them as they are.
void compare_steps(Push push, const Placement& placement) {
  Network plain(wide(), 3, 5, placement);
  Network encoding(wide(), 3, 5, placement);
  Reference reference(push, plain.graph.parameters(), kChunkBytes);
  REQUIRE(reference.encoded() > 0);
  std::uint64_t step = 0;
  encoding.graph.encode_gradients(reference.routes(), [&] { return step; });
  for (auto& gradient : encoding.gradients) gradient.assign(gradient.size(), -77.0F);
  for (; step < 3; ++step) {
    const auto images = pictures(step);
    plain.graph.forward_backward(images, kLabels, {});
    std::vector<std::size_t> order;
    encoding.graph.forward_backward(images, kLabels, [&](std::size_t i) {
      order.push_back(i);
      INFO("step " << step << " " << plain.graph.parameters()[i].name);
      const auto at = static_cast<std::uint32_t>(i);
      const bool encoded = !reference.routes()[i].how.pieces.empty();
      CHECK(reference.matches(at, step, plain.gradients[i]));
      CHECK((encoding.gradients[i] == plain.gradients[i]) == !encoded);
      if (encoded) CHECK(encoding.gradients[i].front() == -77.0F);
    });
    CHECK(order.size() == plain.gradients.size());
  }
}

TEST_CASE("device encoding: a graph's gradients leave in those bytes", "[unit][cuda]") {
  const TestDevice gpu;
  if (!TestDevice::there()) return;
  const Push push = GENERATE(from_range(std::begin(kAllPushes), std::end(kAllPushes)));
  CAPTURE(static_cast<int>(push));
  compare_steps(push, on_devices(1, false));
}

TEST_CASE("device encoding: what cannot be handed over is told by name", "[unit][cuda]") {
  const TestDevice gpu;
  if (!TestDevice::there()) return;
  Network on_cpu(wide(), 3, 5);
  Network on_gpu(wide(), 3, 5, kGpu);
  const Reference reference(Push::kInt8, on_gpu.graph.parameters(), kChunkBytes);
  const auto refused = [](Network& network, const std::vector<EncodedGradient>& routes) {
    try {
      network.graph.encode_gradients(routes, {});
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kInvalidArgument);
      return std::string(error.what());
    }
    return std::string("nothing was thrown");
  };
  CHECK_THAT(refused(on_cpu, reference.routes()),
             Catch::Contains("on the CPU, the worker encodes"));
  CHECK_THAT(refused(on_gpu, {}),
             Catch::Contains("expected an entry for each of 9 parameters, got 0"));
  auto routes = reference.routes();
  routes[0].to = routes[0].to.first(192);
  CHECK_THAT(refused(on_gpu, routes),
             Catch::Contains("conv1.weight: expected memory for 256 encoded bytes, got 192"));
  routes = reference.routes();
  routes[0].how.pieces[0].bytes -= 1;
  CHECK_THAT(refused(on_gpu, routes), Catch::Contains("conv1.weight: expected pieces in a row"));
  routes = reference.routes();
  routes[5].how.pieces.pop_back();
  CHECK_THAT(refused(on_gpu, routes), Catch::Contains("conv2.weight: expected an encoding of"));
  routes = Reference(Push::kInt8Stochastic, on_gpu.graph.parameters(), kChunkBytes).routes();
  CHECK_THAT(refused(on_gpu, routes),
             Catch::Contains("expected a way to ask for the step's number"));
}

TEST_CASE("device encoding: a pass without a step's number ends, and the next one is whole",
          "[unit][cuda]") {
  const TestDevice gpu;
  if (!TestDevice::there()) return;
  Network plain(wide(), 3, 5, kGpu);
  Network encoding(wide(), 3, 5, kGpu);
  Reference reference(Push::kInt8Stochastic, plain.graph.parameters(), kChunkBytes);
  bool knows = false;
  encoding.graph.encode_gradients(reference.routes(), [&]() -> std::uint64_t {
    if (!knows) throw Error(ErrorCode::kInvalidArgument, "outside a step");
    return 7;
  });
  CHECK_THROWS_AS(encoding.graph.forward_backward(pictures(1), kLabels, {}), Error);
  knows = true;
  encoding.graph.forward_backward(pictures(2), kLabels, {});
  plain.graph.forward_backward(pictures(2), kLabels, {});
  for (std::uint32_t i = 0; i < plain.gradients.size(); ++i)
    CHECK(reference.matches(i, 7, plain.gradients[i]));
}

#if defined(PS_CUDA_EMULATED)
TEST_CASE(
    "device encoding: the sum of several devices is encoded, and each part of a split network",
    "[unit][cuda]") {
  const bool split = GENERATE(true, false);
  const Push push = GENERATE(Push::kInt8Stochastic, Push::kTopK);
  const std::uint64_t seed = split ? 4 : 5;
  const kernels::Emulated emulated(2, seed);
  CAPTURE(seed, split, static_cast<int>(push));
  compare_steps(push, on_devices(2, split));
}

TEST_CASE("device encoding: a step allocates nothing and never waits for the whole device",
          "[unit][cuda]") {
  const TestDevice gpu;
  Network network(wide(), 3, 5, kGpu);
  const Reference reference(Push::kTopK, network.graph.parameters(), kChunkBytes);
  network.graph.encode_gradients(reference.routes(), {});
  for (std::uint64_t step = 0; step < 2; ++step)  // the second one is recorded
    network.graph.forward_backward(pictures(step), kLabels, {});
  const cuda_host::Counters before = cuda_host::counters();
  network.graph.forward_backward(pictures(2), kLabels, {});
  const cuda_host::Counters after = cuda_host::counters();
  CHECK(after.launches > before.launches);
  CHECK(after.allocations == before.allocations);
  CHECK(after.frees == before.frees);
  CHECK(after.device_waits == before.device_waits);
}
#endif

}  // namespace
}  // namespace ps::nn
