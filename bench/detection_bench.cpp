// Time of a detector's loss (with its gradient), of decoding and of suppression, on one core.
#include <benchmark/benchmark.h>
#include <cstdint>
#include <vector>

#include <ps/nn/detection.h>

#include "base/random.h"

namespace {

using ps::nn::DetectionHead;

// Strides 8, 16, 32 with three anchors each, or none.
DetectionHead head_of(std::int64_t size, std::int64_t classes, bool anchor_free) {
  DetectionHead head{.classes = classes,
                     .levels = {{8, size / 8, size / 8, {{10, 13}, {16, 30}, {33, 23}}},
                                {16, size / 16, size / 16, {{30, 61}, {62, 45}, {59, 119}}},
                                {32, size / 32, size / 32, {{116, 90}, {156, 198}, {373, 326}}}}};
  if (anchor_free) {
    for (ps::nn::HeadLevel& level : head.levels) level.anchors.clear();
  }
  return head;
}

// Logits around `mean`; the sure and the unsure are both there.
std::vector<float> output_of(const DetectionHead& head, std::int64_t batch, double mean) {
  ps::Random random(1);
  std::vector<float> output(static_cast<std::size_t>(batch * head.size()));
  for (float& value : output) value = static_cast<float>(mean + 1.5 * random.normal());
  return output;
}

// Pixels a side, classes, anchor-free. Batch 16, 4 boxes an image.
void loss(benchmark::State& state) {
  constexpr std::int64_t kBatch = 16;
  const DetectionHead head = head_of(state.range(0), state.range(1), state.range(2) != 0);
  const std::vector<float> output = output_of(head, kBatch, 0.0);
  std::vector<float> gradient(output.size());
  ps::Random random(2);
  std::vector<ps::nn::Target> targets;
  const auto uniform = [&random](double low, double high) {
    return static_cast<float>(random.uniform(low, high));
  };
  for (std::int32_t i = 0; i < 4 * kBatch; ++i) {
    targets.push_back({.image = i / 4,
                       .category = static_cast<std::int32_t>(i % head.classes),
                       .x = uniform(0, 1),
                       .y = uniform(0, 1),
                       .width = uniform(.1, .5),
                       .height = uniform(.1, .5)});
  }
  ps::nn::DetectionCriterion criterion(head, ps::nn::default_loss_options(head), kBatch);
  for (auto _ : state) {
    benchmark::DoNotOptimize(criterion.run(output, kBatch, targets, gradient).total);
  }
}
BENCHMARK(loss)
    ->Args({128, 10, 0})
    ->Args({128, 10, 1})
    ->Args({640, 80, 0})
    ->Args({640, 80, 1})
    ->Unit(benchmark::kMicrosecond);

// Pixels a side, classes, anchor-free. One image.
void decode(benchmark::State& state) {
  const DetectionHead head = head_of(state.range(0), state.range(1), state.range(2) != 0);
  const std::vector<float> output = output_of(head, 1, 0.0);
  std::vector<float> rows(static_cast<std::size_t>(head.candidates() * head.row_floats()));
  for (auto _ : state) {
    ps::nn::decode(head, output, 1, rows);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(decode)
    ->Args({128, 10, 0})
    ->Args({128, 10, 1})
    ->Args({640, 80, 0})
    ->Args({640, 80, 1})
    ->Unit(benchmark::kMicrosecond);

// One image, several labels a box, as in validation. Pixels a side, classes, and the logits' mean:
// 0, an untrained network with every candidate above the confidence; -6, a trained one.
void suppress(benchmark::State& state) {
  const DetectionHead head = head_of(state.range(0), state.range(1), false);
  const std::vector<float> output = output_of(head, 1, static_cast<double>(state.range(2)));
  std::vector<float> rows(static_cast<std::size_t>(head.candidates() * head.row_floats()));
  ps::nn::decode(head, output, 1, rows);
  const ps::nn::NmsOptions options{.confidence = .001F, .iou = .6F, .multi_label = true};
  for (auto _ : state) {
    benchmark::DoNotOptimize(ps::nn::suppress(rows, head.classes, true, options).size());
  }
}
BENCHMARK(suppress)
    ->Args({128, 10, 0})
    ->Args({128, 10, -6})
    ->Args({640, 80, 0})
    ->Args({640, 80, -6})
    ->Unit(benchmark::kMicrosecond);

}  // namespace
