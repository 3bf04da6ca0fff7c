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

#include <ps/nn/detector.h>

#include "commands.h"
#include "work.h"

namespace psbench {
namespace {

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
  Table sums(o);
  Table::print_header();
  for (const Work& work : works_of(ps::nn::detector_table(o.model), o.classes, o.size, o.batch)) {
    sums.add(work);
  }
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
