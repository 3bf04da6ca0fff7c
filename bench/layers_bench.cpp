// A detector's training step, layer by layer, on one core: time, GFLOP/s and share of what a large
// matrix product reaches in the same run; then images/s of whole steps. bench/detector_torch.py
// measures PyTorch's.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <exception>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <vector>

#include <ps/nn/detector.h>

#include "base/random.h"
#include "kernels/batch_norm.h"
#include "kernels/convolution.h"
#include "kernels/gemm.h"
#include "kernels/isa.h"
#include "nn/detector_walk.h"
#include "nn/network_builder.h"

namespace {

using namespace ps::nn;  // NOLINT: a program of its own
using Floats = std::vector<float>;

struct Options {
  std::string model = "pico";
  std::int64_t size = 128;
  std::int64_t batch = 16;
  std::int64_t classes = 5;
  double seconds = 5.0;
  bool json = false;
};

Floats random_floats(std::int64_t count, std::uint64_t seed) {
  ps::Random random(seed);
  Floats values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(random.uniform(-0.5, 0.5));
  return values;
}

// Processor time: other programs on the machine take none of it.
double now() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double seconds_of(const std::function<void()>& body) {
  const double start = now();
  body();
  return now() - start;
}

struct Samples {
  std::vector<double> seconds;

  void add(const std::function<void()>& body) { seconds.push_back(seconds_of(body)); }
  [[nodiscard]] double median() const {
    if (seconds.empty()) return 0.0;
    std::vector<double> sorted = seconds;
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];
  }
};

// One shape of convolution with what follows it, and how often the network has it.
struct Layer {
  ps::kernels::Convolution shape;
  bool block = false;  // followed by batch norm and an activation
  bool first = false;  // the image's gradient is not wanted
  int count = 0;
};

// Walks a table as Detector does and notes its convolutions; equal ones are counted together.
class Recorder final : public ps::nn::NetworkBuilder {
 public:
  explicit Recorder(std::int64_t size) : graph_({.channels = 3, .height = size, .width = size}) {}

  [[nodiscard]] const std::vector<Layer>& layers() const { return layers_; }

  [[nodiscard]] Value input() const override { return graph_.input(); }
  [[nodiscard]] Shape shape(Value x) const override { return graph_.shape(x); }
  Value add(Value a, Value b) override { return graph_.add(a, b); }
  Value concat(std::span<const Value> values) override { return graph_.concat(values); }
  Value slice(Value x, const SliceOptions& options) override { return graph_.slice(x, options); }
  Value upsample(Value x, std::int64_t factor) override { return graph_.upsample(x, factor); }
  Value zero_pad(Value x, const PadOptions& options) override {
    return graph_.zero_pad(x, options);
  }
  Value max_pool(Value x, const MaxPoolOptions& options) override {
    return graph_.max_pool(x, options);
  }

 private:
  Value make_convolution(Value x, const ConvolutionOptions& o, const std::string& name) override {
    note(x, o, false);
    return graph_.convolution(x, o, name);
  }
  Value make_block(Value x, const ConvolutionOptions& o, const std::string& name) override {
    note(x, o, true);
    return graph_.convolution(x, o, name);
  }
  void note(Value x, const ConvolutionOptions& o, bool block) {
    const Shape in = graph_.shape(x);
    const Layer layer{.shape = {.channels = in.channels,
                                .height = in.height,
                                .width = in.width,
                                .out_channels = o.out,
                                .kernel = o.kernel,
                                .stride = o.stride,
                                .padding = o.padding,
                                .groups = o.groups},
                      .block = block,
                      .first = x.index == 0};
    const auto key = [](const Layer& l) {
      return std::tuple(l.shape.channels, l.shape.height, l.shape.width, l.shape.out_channels,
                        l.shape.kernel, l.shape.stride, l.shape.padding, l.shape.groups, l.block,
                        l.first);
    };
    auto found = std::find_if(layers_.begin(), layers_.end(),
                              [&](const Layer& other) { return key(other) == key(layer); });
    if (found == layers_.end()) found = layers_.insert(found, layer);
    ++found->count;
  }

  Graph graph_;
  std::vector<Layer> layers_;
};

// The passes of one layer, each measured on memory of its own.
class LayerBench {
 public:
  LayerBench(const Layer& layer, std::int64_t batch) : layer_(layer) {
    auto& s = layer_.shape;
    s.batch = batch;
    x_ = random_floats(batch * s.channels * s.height * s.width, 1);
    dx_ = x_;
    weights_ = random_floats(s.out_channels * s.channels / s.groups * s.kernel * s.kernel, 2);
    dweights_ = weights_;
    y_ = random_floats(batch * s.out_channels * s.out_height() * s.out_width(), 3);
    z_ = y_;
    workspace_.resize(static_cast<std::size_t>(ps::kernels::convolution_workspace_floats(s)));
    s.workspace = workspace_.data();
    for (Floats& values : channel_) values.assign(static_cast<std::size_t>(s.out_channels), 1.0F);
  }

  void measure() {
    const auto isa = ps::kernels::best_isa();
    const auto& s = layer_.shape;
    const auto& ops = ps::kernels::convolution(isa);
    forward.add([&] { ops.forward(s, x_.data(), weights_.data(), y_.data()); });
    weights.add([&] { ops.backward_weights(s, x_.data(), y_.data(), dweights_.data()); });
    if (!layer_.first) {
      data.add([&] { ops.backward_data(s, y_.data(), weights_.data(), dx_.data()); });
    }
    if (!layer_.block) return;
    const auto& norms = ps::kernels::batch_norm(isa);
    const ps::kernels::BatchNorm norm{.batch = s.batch,
                                      .channels = s.out_channels,
                                      .plane = s.out_height() * s.out_width(),
                                      .epsilon = 1e-3F,
                                      .gamma = channel_[0].data(),
                                      .beta = channel_[1].data(),
                                      .silu = true};
    float* mean = channel_[2].data();
    float* variance = channel_[3].data();
    norm_forward.add([&] { norms.forward_training(norm, y_.data(), z_.data(), mean, variance); });
    norm_backward.add([&] {
      norms.backward(norm, {.x = y_.data(),
                            .mean = mean,
                            .variance = variance,
                            .dy = z_.data(),
                            .dx = z_.data(),
                            .dgamma = channel_[4].data(),
                            .dbeta = channel_[5].data()});
    });
  }

  [[nodiscard]] const Layer& layer() const { return layer_; }
  // Of one pass of the convolution.
  [[nodiscard]] double flops() const {
    return 2.0 * static_cast<double>(y_.size()) * static_cast<double>(weights_.size()) /
           static_cast<double>(layer_.shape.out_channels);
  }

  Samples forward, data, weights, norm_forward, norm_backward;

 private:
  Layer layer_;
  Floats x_, dx_, weights_, dweights_, y_, z_, workspace_;
  Floats channel_[6];
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
  explicit StepBench(const Options& o)
      : detector_(ps::nn::detector_table(o.model), o.classes, o.size, o.size) {
    Graph& graph = detector_.graph();
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

int run(const Options& o) {
  Recorder recorder(o.size);
  ps::nn::build_detector(ps::nn::detector_table(o.model), o.classes, recorder);
  std::vector<LayerBench> layers;
  for (const Layer& layer : recorder.layers()) layers.emplace_back(layer, o.batch);
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

int main(int argc, char** argv) {
  CLI::App app("Measures a detector's training step on one core, layer by layer and as a whole.");
  Options o;
  app.add_option("--model", o.model, "a built-in table's name, or a file")->capture_default_str();
  app.add_option("--size", o.size, "pixels a side")->capture_default_str();
  app.add_option("--batch", o.batch, "images a step")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--classes", o.classes, "classes")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--seconds", o.seconds, "processor time to measure")->capture_default_str();
  app.add_flag("--json", o.json,
               "results as JSON on the last line: goodput in images/s, the limit "
               "if all convolutions ran like a large matrix product, their ratio");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(o);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "layers_bench: %s\n", error.what());
    return 1;
  }
}
