// A detector's training on a GPU: several steps against the CPU's, and the same bits again.
#include <string>
#include <vector>

#include "gpu/learner.h"
#include "kernels/gpu_arrays.h"
#include "support/catch.h"

namespace ps::nn {
namespace {

constexpr Device kGpu{.kind = DeviceKind::kCuda, .index = 0};
// Small: what is rounded differently grows from step to step, the faster the larger the rate.
constexpr float kRate = 2e-4F;

#if defined(PS_CUDA_EMULATED)
constexpr int kSteps = 2;  // more take long
const std::vector<Precision> kPrecisions{Precision::kFp16};
#else
constexpr int kSteps = 5;
const std::vector<Precision> kPrecisions{Precision::kFp32, Precision::kTf32, Precision::kBf16,
                                         Precision::kFp16};
#endif

void require_close(const DetectionLoss& gpu, const DetectionLoss& cpu) {
  CHECK(gpu.positives == cpu.positives);
  CHECK(gpu.box == Approx(cpu.box).epsilon(1e-4));
  CHECK(gpu.objectness == Approx(cpu.objectness).epsilon(1e-4));
  CHECK(gpu.category == Approx(cpu.category).epsilon(1e-4));
  CHECK(gpu.total == Approx(cpu.total).epsilon(1e-4));
}

void require_close(const std::vector<std::vector<float>>& gpu,
                   const std::vector<std::vector<float>>& cpu,
                   double tolerance) {
  REQUIRE(gpu.size() == cpu.size());
  for (std::size_t i = 0; i < gpu.size(); ++i) {
    INFO("parameter " << i);
    REQUIRE(difference(gpu[i], cpu[i]) < tolerance);
  }
}

TEST_CASE("gpu: a detector's steps on a GPU are the CPU's", "[gpu]") {
  const kernels::Gpu gpu;
  if (!gpu) return;
  Learner on_cpu({});
  Learner on_gpu({.device = kGpu});
  for (int step = 0; step < kSteps; ++step) {
    CAPTURE(step);
    const DetectionLoss expected = on_cpu.step();
    require_close(on_gpu.step(), expected);
    CHECK(expected.positives > 0);
    on_cpu.learn(kRate);
    on_gpu.learn(kRate);
  }
  require_close(on_gpu.weights, on_cpu.weights, 1e-4);
}

TEST_CASE("gpu: two runs have the same bits in every precision", "[gpu]") {
  const kernels::Gpu gpu;
  if (!gpu) return;
  const Precision precision = GENERATE(from_range(kPrecisions));
  std::vector<std::vector<float>> first;
  for (const std::uint64_t seed : {1U, 2U}) {
    kernels::another_order(seed);
    Learner learner({.device = kGpu, .precision = precision});
    learner.detector.graph().scale_loss(precision == Precision::kFp16 ? 1024.0F : 1.0F);
    for (int step = 0; step < kSteps; ++step) {
      learner.step();
      learner.learn(kRate);
    }
    if (first.empty()) first = learner.weights;
    for (std::size_t i = 0; i < first.size(); ++i) {
      CAPTURE(i, seed);
      REQUIRE(kernels::equal_bytes(learner.weights[i], first[i]));
    }
  }
}

// An emulated GPU would take minutes.
#if !defined(PS_CUDA_EMULATED)
TEST_CASE("gpu: a step of every family of detectors is the CPU's", "[gpu][large]") {
  const kernels::Gpu gpu;
  if (!gpu) return;
  const std::string model = GENERATE("yolov5n", "yolov3-tiny", "yolov8n");
  CAPTURE(model);
  LearnerOptions options{.model = model, .classes = 80, .side = 320, .batch = 2};
  Learner on_cpu(options);
  options.device = kGpu;
  Learner on_gpu(options);
  require_close(on_gpu.step(), on_cpu.step());
  require_close(on_gpu.gradients, on_cpu.gradients, 1e-3);
}

TEST_CASE("gpu: two runs of a large network have the same bits", "[gpu][large]") {
  const kernels::Gpu gpu;
  if (!gpu) return;
  std::vector<std::vector<float>> first;
  for (int run = 0; run < 2; ++run) {
    Learner learner({.model = "yolov5n",
                     .classes = 80,
                     .side = 640,
                     .batch = 16,
                     .device = kGpu,
                     .precision = Precision::kTf32});
    for (int step = 0; step < 3; ++step) {
      learner.step();
      learner.learn(kRate);
    }
    if (first.empty()) first = learner.weights;
    for (std::size_t i = 0; i < first.size(); ++i) {
      CAPTURE(i);
      REQUIRE(kernels::equal_bytes(learner.weights[i], first[i]));
    }
  }
}
#endif

}  // namespace
}  // namespace ps::nn
