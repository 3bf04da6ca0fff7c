// What a detector's training step must take on a GPU: bytes and operations of every kernel as ours
// are designed, beside the least that the operation needs; on paper, no device is used. Floors are
// the larger of bytes / bandwidth and operations / rate.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <ps/nn/detector.h>

#include "commands.h"
#include "nn/detector_walk.h"
#include "nn/graph_builder.h"

namespace psbench {
namespace {

using namespace ps::nn;  // NOLINT: a program of its own

struct RooflineOptions {
  std::string model = "yolov5n";
  std::int64_t size = 640;
  std::int64_t batch = 16;
  std::int64_t classes = 80;
  double bandwidth = 3000.0;  // GB/s
  double rate = 400.0;        // TFLOP/s of matrix products
  bool all = false;
  bool json = false;
};

// One kind of work of a layer. Floats are those of the whole batch.
struct Work {
  std::string kind;
  std::string name;
  double flops = 0.0;
  double floats = 0.0;  // that our kernels read and write
  double least = 0.0;   // inputs once, outputs once
  int launches = 1;
};

class Accountant final : public GraphBuilder {
 public:
  Accountant(Graph& graph, const DetectorTable& table, std::int64_t batch)
      : GraphBuilder(graph, table), batch_(static_cast<double>(batch)) {}

  [[nodiscard]] const std::vector<Work>& works() const { return works_; }

  Value add(Value a, Value b) override {
    const Value y = GraphBuilder::add(a, b);
    move("add", 3.0 * size(y));
    move("add backward", 2.0 * size(y));
    return y;
  }
  Value concat(std::span<const Value> values) override {
    const Value y = GraphBuilder::concat(values);
    const int parts = static_cast<int>(values.size());
    move("concat", 2.0 * size(y), parts);
    move("concat backward", 2.0 * size(y), parts);
    return y;
  }
  Value slice(Value x, const SliceOptions& options) override {
    const Value y = GraphBuilder::slice(x, options);
    move("slice", 2.0 * size(y));
    move("slice backward", size(x) + size(y));
    return y;
  }
  Value upsample(Value x, std::int64_t factor) override {
    const Value y = GraphBuilder::upsample(x, factor);
    move("upsample", size(x) + size(y));
    move("upsample backward", size(x) + size(y));
    return y;
  }
  Value max_pool(Value x, const MaxPoolOptions& options) override {
    const Value y = GraphBuilder::max_pool(x, options);
    move("max pool", size(x) + 2.0 * size(y));
    move("max pool backward", size(x) + 2.0 * size(y));
    return y;
  }
  // The heads' outputs, put together; the loss reads them and writes their gradient.
  void end(const std::vector<Value>& levels) {
    double all = 0.0;
    for (const Value level : levels) all += size(level);
    move("join", 2.0 * all, static_cast<int>(levels.size()));
    move("loss", 2.0 * all, 4 * static_cast<int>(levels.size()));
    move("join backward", 2.0 * all, static_cast<int>(levels.size()));
  }

 private:
  [[nodiscard]] double size(Value x) const { return batch_ * static_cast<double>(shape(x).size()); }
  void move(const char* kind, double floats, int launches = 1) {
    works_.push_back(
        {.kind = kind, .name = "", .floats = floats, .least = floats, .launches = launches});
  }

  Value make_convolution(Value x, const ConvolutionOptions& o, const std::string& name) override {
    const Value y = GraphBuilder::make_convolution(x, o, name);
    note_convolution(x, y, o, name);
    move("bias", 2.0 * size(y));
    works_.back().least = 0.0;  // could end the product
    move("bias backward", size(y));
    return y;
  }
  Value make_block(Value x, const ConvolutionOptions& o, const std::string& name) override {
    const Value y = GraphBuilder::make_block(x, o, name);
    note_convolution(x, y, o, name);
    // Forward: statistics, then normalize; backward: sums, then the gradient.
    const double n = size(y);
    works_.push_back(
        {.kind = "norm+SiLU", .name = name, .floats = 3 * n, .least = 2 * n, .launches = 2});
    works_.push_back({.kind = "norm+SiLU backward",
                      .name = name,
                      .floats = 5 * n,
                      .least = 3 * n,
                      .launches = 4});
    return y;
  }
  void note_convolution(Value x, Value y, const ConvolutionOptions& o, const std::string& name) {
    const double taps = static_cast<double>(shape(x).channels / o.groups * o.kernel * o.kernel);
    const double flops = 2.0 * size(y) * taps;
    const double floats = size(x) + size(y) + taps * static_cast<double>(o.out);
    const auto pass = [&](const char* kind, int launches) {
      works_.push_back({.kind = kind,
                        .name = name,
                        .flops = flops,
                        .floats = floats,
                        .least = floats,
                        .launches = launches});
    };
    pass("convolution", 1);
    if (x.index != 0) pass("convolution data", 1);
    pass("convolution weights", 2);
  }

  const double batch_;
  std::vector<Work> works_;
};

struct Sum {
  double flops = 0.0;
  double bytes = 0.0;
  double design = 0.0;  // ms
  double floor = 0.0;   // ms
  int launches = 0;
};

class Table {
 public:
  explicit Table(const RooflineOptions& options) : options_(options) {}

  void add(const Work& work) {
    const double compute = work.flops / (1e9 * options_.rate);
    const Sum sum{.flops = work.flops,
                  .bytes = 4.0 * work.floats,
                  .design = std::max(compute, 4.0 * work.floats / (1e6 * options_.bandwidth)),
                  .floor = std::max(compute, 4.0 * work.least / (1e6 * options_.bandwidth)),
                  .launches = work.launches};
    if (options_.all) print(work.kind + " " + work.name, sum);
    for (Sum* to : {&kinds_[work.kind], &total_}) {
      to->flops += sum.flops;
      to->bytes += sum.bytes;
      to->design += sum.design;
      to->floor += sum.floor;
      to->launches += sum.launches;
    }
  }
  void print_all() const {
    for (const auto& [kind, sum] : kinds_) print(kind, sum);
    print("step", total_);
  }
  [[nodiscard]] const Sum& total() const { return total_; }

  static void print_header() {
    std::printf("%-44s %10s %10s %10s %10s %6s %9s\n", "kernel", "GFLOP", "MB", "design ms",
                "floor ms", "ratio", "launches");
  }

 private:
  static void print(const std::string& name, const Sum& sum) {
    std::printf("%-44s %10.2f %10.1f %10.4f %10.4f %6.2f %9d\n", name.c_str(), 1e-9 * sum.flops,
                1e-6 * sum.bytes, sum.design, sum.floor,
                sum.floor > 0.0 ? sum.design / sum.floor : 0.0, sum.launches);
  }

  const RooflineOptions options_;
  std::map<std::string, Sum> kinds_;
  Sum total_;
};

int run(const RooflineOptions& o) {
  Graph graph({.channels = 3, .height = o.size, .width = o.size});
  const DetectorTable table = detector_table(o.model);
  Accountant accountant(graph, table, o.batch);
  accountant.end(build_detector(table, o.classes, accountant).levels);
  Table sums(o);
  Table::print_header();
  for (const Work& work : accountant.works()) sums.add(work);
  sums.print_all();
  const Sum& total = sums.total();
  std::printf(
      "%s, %d pixels, batch %d, at %.0f GB/s and %.0f TFLOP/s: at least %.3f ms a step, %.3f as "
      "designed\n",
      o.model.c_str(), static_cast<int>(o.size), static_cast<int>(o.batch), o.bandwidth, o.rate,
      total.floor, total.design);
  if (o.json) {
    const nlohmann::json result{{"goodput", 1e3 / total.design},
                                {"unit", "steps/s"},
                                {"limit", 1e3 / total.floor},
                                {"ratio", total.floor / total.design},
                                {"launches", total.launches}};
    std::printf("%s\n", result.dump().c_str());
  }
  return 0;
}

}  // namespace

Command roofline_command(CLI::App& app) {
  auto o = std::make_shared<RooflineOptions>();
  CLI::App* command = app.add_subcommand(
      "roofline", "The least time of a detector's training step on a GPU, on paper");
  command->add_option("--model", o->model, "A built-in table's name, or a file")
      ->capture_default_str();
  command->add_option("--size", o->size, "Pixels a side")->capture_default_str();
  command->add_option("--batch", o->batch, "Images a step")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--classes", o->classes, "Classes")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--bandwidth", o->bandwidth, "Of the memory, GB/s (an H100: 3000)")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      ->add_option("--tflops", o->rate,
                   "Of matrix products, TFLOP/s (an H100: fp32 67, TF32 400, bf16 800)")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_flag("--all", o->all, "Every layer, not only sums by kind");
  command->add_flag("--json", o->json, "A last line of JSON: steps/s as designed and at most");
  return {command, [o] { return run(*o); }};
}

}  // namespace psbench
