// A detector's training step, layer by layer, on one core: time, GFLOP/s and share of what a large
// matrix product reaches in the same run; then images/s of whole steps. bench/detector_torch.py
// measures PyTorch's.
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <ps/nn/detector.h>

#include "commands.h"
#include "convolutions.h"
#include "kernels/gemm.h"
#include "kernels/isa.h"

namespace psbench {
namespace {

struct LayersOptions {
  std::string model = "pico";
  std::int64_t size = 128;
  std::int64_t batch = 16;
  std::int64_t classes = 5;
  double seconds = 5.0;
  bool json = false;
};

// A product too large for its packing to matter: the most that a convolution can hope for.
class LimitBench {
 public:
  void measure() {
    samples.add([&] {
      ps::kernels::gemm(ps::kernels::best_isa())
          .run({.m = kSide,
                .n = kSide,
                .k = kSide,
                .a = a_.data(),
                .a_stride = kSide,
                .b = b_.data(),
                .b_stride = kSide,
                .c = c_.data(),
                .c_stride = kSide,
                .workspace = workspace_.data()});
    });
  }
  [[nodiscard]] double gigaflops() const { return 2e-9 * kSide * kSide * kSide / samples.median(); }

  Samples samples;

 private:
  static constexpr std::int64_t kSide = 512;
  Floats a_ = random_floats(kSide * kSide, 1), b_ = random_floats(kSide * kSide, 2),
         c_ = random_floats(kSide * kSide, 3),
         workspace_ = Floats(ps::kernels::kGemmWorkspaceFloats);
};

// Whole steps: forward, a linear loss, backward; no optimizer.
class StepBench {
 public:
  explicit StepBench(const LayersOptions& o)
      : detector_(ps::nn::detector_table(o.model), o.classes, o.size, o.size) {
    ps::nn::Graph& graph = detector_.graph();
    for (const ps::nn::Parameter& parameter : graph.parameters()) {
      values_.emplace_back(static_cast<std::size_t>(parameter.size()));
      gradients_.emplace_back(static_cast<std::size_t>(parameter.size()));
      detector_.initialize(values_.size() - 1, 1, values_.back());
      graph.bind(values_.size() - 1, values_.back(), gradients_.back());
    }
    graph.prepare(o.batch);
    images_ = random_floats(o.batch * graph.shape(graph.input()).size(), 4);
    slopes_ = random_floats(o.batch * detector_.head().size(), 5);
  }
  void measure() {
    samples.add([&] {
      detector_.graph().forward_training(images_);
      detector_.graph().backward(slopes_, {});
    });
  }
  [[nodiscard]] const ps::nn::Detector& detector() const { return detector_; }

  Samples samples;

 private:
  ps::nn::Detector detector_;
  std::vector<Floats> values_, gradients_;
  Floats images_, slopes_;
};

void print_pass(const LayerBench& bench, const Samples& pass, double limit) {
  const double seconds = pass.median();
  if (seconds == 0.0) {
    std::printf("%24s", "");
    return;
  }
  const double rate = 1e-9 * bench.flops() / seconds;
  std::printf(" %8.3f %6.1f %6.1f%% ", 1e3 * seconds, rate, 100.0 * rate / limit);
}

// Returns the milliseconds a step spends in each pass.
std::map<std::string, double> print_layers(const std::vector<LayerBench>& benches, double limit) {
  std::printf("%-28s%-24s%-24s%-24s%s\n", "convolution", " forward ms  GFLOP/s share", " data",
              " weights", " norm+SiLU ms: forward, backward");
  std::map<std::string, double> total;
  for (const LayerBench& bench : benches) {
    const auto& s = bench.layer().shape;
    const int count = bench.layer().count;
    std::printf("%2d x %3d-%3d k%d s%d @%4d     ", count, static_cast<int>(s.channels),
                static_cast<int>(s.out_channels), static_cast<int>(s.kernel),
                static_cast<int>(s.stride), static_cast<int>(s.width));
    print_pass(bench, bench.forward, limit);
    print_pass(bench, bench.data, limit);
    print_pass(bench, bench.weights, limit);
    std::printf(" %8.3f %8.3f\n", 1e3 * bench.norm_forward.median(),
                1e3 * bench.norm_backward.median());
    total["forward"] += 1e3 * count * bench.forward.median();
    total["data"] += 1e3 * count * bench.data.median();
    total["weights"] += 1e3 * count * bench.weights.median();
    total["norm_forward"] += 1e3 * count * bench.norm_forward.median();
    total["norm_backward"] += 1e3 * count * bench.norm_backward.median();
  }
  return total;
}

int run(const LayersOptions& o) {
  std::vector<LayerBench> layers;
  for (const Layer& layer : convolutions_of(ps::nn::detector_table(o.model), o.classes, o.size)) {
    layers.emplace_back(layer, o.batch);
  }
  LimitBench limit;
  StepBench step(o);
  // In turns, so that whatever else the machine does meets all alike. The first round warms up.
  double spent = 0.0;
  for (int round = 0; round < 2 || spent < o.seconds; ++round) {
    spent += seconds_of([&] {
      limit.measure();
      step.measure();
      for (LayerBench& layer : layers) layer.measure();
    });
  }
  const double gigaflops = limit.gigaflops();
  auto total = print_layers(layers, gigaflops);
  const double seconds = step.samples.median();
  double known = 0.0;
  for (const auto& [pass, milliseconds] : total) {
    known += milliseconds;
    std::printf("%-14s %8.2f ms\n", pass.c_str(), milliseconds);
  }
  std::printf("%-14s %8.2f ms\n%-14s %8.2f ms\n", "all else", 1e3 * seconds - known, "step",
              1e3 * seconds);
  const double images = static_cast<double>(o.batch) / seconds;
  // Forward, data and weights take as many operations each; the first layer's data is not wanted.
  const double work = 3.0 * step.detector().flops() * static_cast<double>(o.batch);
  const double ratio = 1e-9 * work / seconds / gigaflops;
  std::printf("%s, %d pixels, batch %d: %.1f images/s on one core, %.1f of %.1f GFLOP/s\n",
              o.model.c_str(), static_cast<int>(o.size), static_cast<int>(o.batch), images,
              1e-9 * work / seconds, gigaflops);
  if (o.json) {
    const nlohmann::json result{{"goodput", images},
                                {"unit", "images/s"},
                                {"limit", images / ratio},
                                {"ratio", ratio},
                                {"gemm_gflops", gigaflops},
                                {"milliseconds", total},
                                {"isa", ps::kernels::to_string(ps::kernels::best_isa())}};
    std::printf("%s\n", result.dump().c_str());
  }
  return 0;
}

}  // namespace

Command layers_command(CLI::App& app) {
  auto o = std::make_shared<LayersOptions>();
  CLI::App* command = app.add_subcommand(
      "layers", "A detector's training step on one core, layer by layer and as a whole");
  command->add_option("--model", o->model, "A built-in table's name, or a file")
      ->capture_default_str();
  command->add_option("--size", o->size, "Pixels a side")->capture_default_str();
  command->add_option("--batch", o->batch, "Images a step")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--classes", o->classes, "Classes")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--seconds", o->seconds, "Processor time to measure")->capture_default_str();
  command->add_flag("--json", o->json,
                    "A last line of JSON: goodput in images/s, the limit if all convolutions ran "
                    "like a large matrix product, their ratio");
  return {command, [o] { return run(*o); }};
}

}  // namespace psbench
