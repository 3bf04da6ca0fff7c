// A detector's whole training step on one GPU as a worker runs it: weights up, forward, loss,
// backward, gradients down; beside the least time that its bytes and operations take at the
// bandwidth measured in the same run.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <ps/device.h>
#include <ps/error.h>
#include <ps/nn/detection.h>
#include <ps/nn/detector.h>

#include "base/buffer.h"
#include "base/random.h"
#include "commands.h"
#include "kernels/device.h"
#include "work.h"

namespace psbench {
namespace {

struct StepOptions {
  std::string model = "yolov5n";
  std::int64_t size = 640;
  std::int64_t batch = 16;
  std::int64_t classes = 80;
  std::string device = "cuda:0";
  double rate = 400.0;  // TFLOP/s of matrix products
  double seconds = 10.0;
  bool json = false;
};

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class Step {
 public:
  Step(const StepOptions& o, const ps::Device& device)
      : detector_(ps::nn::detector_table(o.model), o.classes, o.size, o.size),
        criterion_(detector_.head(), ps::nn::default_loss_options(detector_.head()), o.batch) {
    ps::nn::Graph& graph = detector_.graph();
    for (std::size_t i = 0; i < graph.parameters().size(); ++i) {
      const auto bytes = static_cast<std::size_t>(graph.parameters()[i].size()) * sizeof(float);
      weights_.push_back(weight_arena_.allocate(bytes));
      gradients_.push_back(gradient_arena_.allocate(bytes));
      detector_.initialize(i, 1, weights_.back().as<float>());
      graph.bind(i, weights_.back().as<float>(), gradients_.back().as<float>());
    }
    graph.prepare(o.batch, device);
    ps::Random random(7);
    images_.resize(static_cast<std::size_t>(o.batch * 3 * o.size * o.size));
    for (float& value : images_) value = static_cast<float>(random.uniform(0.0, 1.0));
    const auto place = [&] { return static_cast<float>(random.uniform(0.2, 0.8)); };
    const auto side = [&] { return static_cast<float>(random.uniform(0.05, 0.5)); };
    for (std::int64_t i = 0; i < 8 * o.batch; ++i) {
      targets_.push_back({static_cast<std::int32_t>(i / 8),
                          static_cast<std::int32_t>(i % o.classes), place(), place(), side(),
                          side()});
    }
  }
  double seconds() {
    const double start = now();
    detector_.graph().forward_backward(images_, criterion_, targets_, {});
    return now() - start;
  }

 private:
  ps::nn::Detector detector_;
  ps::nn::DetectionCriterion criterion_;
  ps::Arena weight_arena_, gradient_arena_;
  std::vector<ps::Memory> weights_, gradients_;
  std::vector<float> images_;
  std::vector<ps::nn::Target> targets_;
};

// GB/s read and written by a copy within the device.
class Bandwidth {
 public:
  explicit Bandwidth(int device) : stream_(device), from_(device, kBytes), to_(device, kBytes) {}
  double measure() {
    const double start = now();
    for (int i = 0; i < kCopies; ++i)
      ps::kernels::copy_on_device(to_.data(), from_.data(), kBytes, stream_);
    stream_.synchronize();
    return 2e-9 * kCopies * static_cast<double>(kBytes) / (now() - start);
  }

 private:
  static constexpr std::size_t kBytes = std::size_t{256} << 20;
  static constexpr int kCopies = 20;
  ps::kernels::Stream stream_;
  ps::kernels::DeviceBuffer from_, to_;
};

int run(const StepOptions& o) {
  std::string note;
  const ps::Device device = ps::parse_devices(o.device, &note).front();
  if (device.kind != ps::DeviceKind::kCuda) {
    std::printf("skipped: %s\n", note.empty() ? "--device names no GPU" : note.c_str());
    return 0;
  }
  Step step(o, device);
  Bandwidth copy(device.index);
  std::vector<double> steps;
  std::vector<double> bandwidths;
  const double begin = now();
  for (int warm = 0; warm < 5; ++warm) step.seconds();
  while (steps.size() < 5 || now() - begin < o.seconds) {
    bandwidths.push_back(copy.measure());
    for (int i = 0; i < 10; ++i) steps.push_back(step.seconds());
  }
  const double bandwidth = median(bandwidths);
  double floor = 0.0;
  for (const Work& work : works_of(ps::nn::detector_table(o.model), o.classes, o.size, o.batch)) {
    floor += std::max(4e-9 * work.least / bandwidth, 1e-12 * work.flops / o.rate);
  }
  const double seconds = median(steps);
  std::printf(
      "%s, %d pixels, batch %d on %s: %.3f ms a step (%.1f images/s); at %.0f GB/s and %.0f "
      "TFLOP/s at least %.3f ms\n",
      o.model.c_str(), static_cast<int>(o.size), static_cast<int>(o.batch),
      ps::cuda_device_name(device.index).c_str(), 1e3 * seconds,
      static_cast<double>(o.batch) / seconds, bandwidth, o.rate, 1e3 * floor);
  if (o.json) {
    const nlohmann::json result{{"goodput", static_cast<double>(o.batch) / seconds},
                                {"unit", "images/s"},
                                {"limit", static_cast<double>(o.batch) / floor},
                                {"ratio", floor / seconds},
                                {"device", ps::cuda_device_name(device.index)},
                                {"copy_gb_per_s", bandwidth},
                                {"steps", steps.size()}};
    std::printf("%s\n", result.dump().c_str());
  }
  return 0;
}

}  // namespace

Command step_command(CLI::App& app) {
  auto o = std::make_shared<StepOptions>();
  CLI::App* command =
      app.add_subcommand("step", "A detector's whole training step on a GPU, beside its floor");
  command->add_option("--model", o->model, "A built-in table's name, or a file")
      ->capture_default_str();
  command->add_option("--size", o->size, "Pixels a side")->capture_default_str();
  command->add_option("--batch", o->batch, "Images a step")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--classes", o->classes, "Classes")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--device", o->device, "The GPU")->capture_default_str();
  command->add_option("--tflops", o->rate, "Of matrix products, for the floor")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--seconds", o->seconds, "How long to measure")->capture_default_str();
  command->add_flag("--json", o->json, "A last line of JSON: images/s, at most, their ratio");
  return {command, [o] { return run(*o); }};
}

}  // namespace psbench
