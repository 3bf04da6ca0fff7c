// A detector's whole training step on one GPU as a worker runs it, in several precisions, with and
// without servers; beside the machine's ceilings measured in the same run and the least time that
// the step's bytes and operations take there.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <ps/device.h>
#include <ps/error.h>
#include <ps/nn/detector.h>

#include "commands.h"
#include "gpu_limits.h"
#include "step_job.h"
#include "work.h"

namespace psbench {
namespace {

using nlohmann::json;

struct Options {
  StepOptions step;
  std::vector<std::string> precisions{"fp32", "tf32", "bf16", "fp16"};
};

// Seconds; `rate` in TFLOP/s of matrix products.
double floor_of(const StepOptions& o, double bandwidth, double rate) {
  double floor = 0.0;
  for (const Work& work : works_of(ps::nn::detector_table(o.model), o.classes, o.size, o.batch)) {
    floor += std::max(4e-9 * work.least / bandwidth, 1e-12 * work.flops / rate);
  }
  return floor;
}

json to_json(const Spread& spread) {
  return {{"median_ms", 1e3 * spread.median},
          {"low_ms", 1e3 * spread.low},
          {"high_ms", 1e3 * spread.high},
          {"count", spread.count}};
}

json to_json(const GpuLimits& limits) {
  json result{{"copy_gb_per_s", limits.copy},
              {"map_gb_per_s", limits.map},
              {"up_gb_per_s", limits.up},
              {"down_gb_per_s", limits.down}};
  for (std::size_t i = 0; i < kPrecisions.size(); ++i) {
    result["products_tflops"][name_of(kPrecisions[i])] = limits.products[i];
  }
  return result;
}

void print_limits(const GpuLimits& limits) {
  std::printf("device memory: copy %.0f GB/s, kernel %.0f GB/s; pinned: up %.1f, down %.1f GB/s\n",
              limits.copy, limits.map, limits.up, limits.down);
  std::printf("products of float32 in memory, TFLOP/s:");
  for (std::size_t i = 0; i < kPrecisions.size(); ++i) {
    std::printf(" %s %.0f", name_of(kPrecisions[i]).c_str(), limits.products[i]);
  }
  std::printf("\n%-6s %9s %17s %9s %17s %7s %9s %6s %9s\n", "", "local ms", "(10 to 90 %)",
              "pushed ms", "(10 to 90 %)", "more", "floor ms", "ratio", "MiB");
}

// One precision's line, and the same as JSON.
json report(const StepOptions& o, ps::Precision precision, double floor, const StepTimes& t) {
  std::printf("%-6s %9.3f %8.3f %8.3f %9.3f %8.3f %8.3f %6.1f%% %9.3f %6.2f %9.0f\n",
              name_of(precision).c_str(), 1e3 * t.local.median, 1e3 * t.local.low,
              1e3 * t.local.high, 1e3 * t.pushed.median, 1e3 * t.pushed.low, 1e3 * t.pushed.high,
              100.0 * (t.pushed.median / t.local.median - 1.0), 1e3 * floor, t.local.median / floor,
              static_cast<double>(t.device_bytes) / 1048576.0);
  std::fflush(stdout);
  return {{"precision", name_of(precision)},
          {"local", to_json(t.local)},
          {"pushed", to_json(t.pushed)},
          {"floor_ms", 1e3 * floor},
          {"images_per_s", static_cast<double>(o.batch) / t.local.median},
          {"device_mib", static_cast<double>(t.device_bytes) / 1048576.0}};
}

json transfers(const StepOptions& o, int device, const StepTimes& t) {
  const int times = o.quick ? 1 : 20;
  const double weights = transfer_seconds(device, t.weight_bytes, true, times);
  const double gradients = transfer_seconds(device, t.weight_bytes, false, times);
  const double images = transfer_seconds(device, t.image_bytes, true, times);
  std::printf("alone, pinned: images up %.3f ms, weights up %.3f ms, gradients down %.3f ms\n",
              1e3 * images, 1e3 * weights, 1e3 * gradients);
  return {{"images_up_ms", 1e3 * images},
          {"weights_up_ms", 1e3 * weights},
          {"gradients_down_ms", 1e3 * gradients}};
}

int run(const Options& options) {
  const StepOptions& o = options.step;
  std::string note;
  const ps::Device device = ps::parse_devices(o.device, &note).front();
  if (device.kind != ps::DeviceKind::kCuda) {
    std::printf("skipped: %s\n", note.empty() ? "--device names no GPU" : note.c_str());
    return 0;
  }
  const std::string name = ps::cuda_device_name(device.index);
  std::printf("%s, %d pixels, batch %d on %s\n", o.model.c_str(), static_cast<int>(o.size),
              static_cast<int>(o.batch), name.c_str());
  const GpuLimits limits = measure_gpu_limits(device.index, o.quick);
  print_limits(limits);
  json result{{"unit", "images/s"},   {"device", name},           {"model", o.model},
              {"size", o.size},       {"batch", o.batch},         {"classes", o.classes},
              {"servers", o.servers}, {"limits", to_json(limits)}};
  StepTimes times;
  for (std::size_t i = 0; i < kPrecisions.size(); ++i) {
    const std::string precision = name_of(kPrecisions[i]);
    if (std::ranges::find(options.precisions, precision) == options.precisions.end()) continue;
    const double floor = floor_of(o, limits.bandwidth(), limits.products[i]);
    times = time_steps(o, device, kPrecisions[i]);
    result["steps"].push_back(report(o, kPrecisions[i], floor, times));
    const double goodput = static_cast<double>(o.batch) / times.local.median;
    if (result.value("goodput", 0.0) < goodput) {
      result["goodput"] = goodput;
      result["limit"] = static_cast<double>(o.batch) / floor;
      result["ratio"] = floor / times.local.median;
    }
  }
  result["transfers"] = transfers(o, device.index, times);
  if (o.json) std::printf("%s\n", result.dump().c_str());
  return 0;
}

}  // namespace

Command step_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  StepOptions& o = options->step;
  CLI::App* command =
      app.add_subcommand("step", "A detector's whole training step on a GPU, beside its floor");
  command->add_option("--model", o.model, "A built-in table's name, or a file")
      ->capture_default_str();
  command->add_option("--size", o.size, "Pixels a side")->capture_default_str();
  command->add_option("--batch", o.batch, "Images a step")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--classes", o.classes, "Classes")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--device", o.device, "The GPU")->capture_default_str();
  command->add_option("--precision", options->precisions, "Of products: fp32,tf32,bf16,fp16")
      ->delimiter(',')
      ->check(CLI::IsMember({"fp32", "tf32", "bf16", "fp16"}))
      ->capture_default_str();
  command->add_option("--servers", o.servers, "Servers in this process")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--seconds", o.seconds, "How long to measure each precision")
      ->capture_default_str();
  command->add_flag("--quick", o.quick, "Few and small: to see that it runs, not how fast");
  command->add_flag("--json", o.json,
                    "A last line of JSON: images/s, at most, their ratio, and all");
  return {command, [options] { return run(*options); }};
}

}  // namespace psbench
