#include <algorithm>
#include <cstddef>
#include <vector>

#include "kernels/aligned_loss.h"
#include "kernels/aligned_loss_math.h"
#include "nn/aligner.h"
#include "nn/criterion.h"

namespace ps::nn {
namespace {

static_assert(kernels::kBins == kDistanceBins);

class AlignedCriterion : public Criterion {
 public:
  AlignedCriterion(const DetectionHead& head,
                   const DetectionLossOptions& options,
                   std::int64_t max_batch)
      : gains_(aligned_gains(options)),
        ops_(kernels::aligned_loss(kernels::best_isa())),
        sample_floats_(static_cast<std::size_t>(head.size())),
        levels_(aligned_levels(head, max_batch)),
        aligner_(levels_, head.candidates()),
        input_(input_size(head)) {}

  DetectionLoss run(std::span<const float> output,
                    std::int64_t batch,
                    std::span<const kernels::TrueBox> boxes,
                    std::span<float> gradient) override {
    std::fill(gradient.begin(), gradient.end(), 0.0F);
    foreground_.clear();
    foreground_.reserve(boxes.size() * static_cast<std::size_t>(kernels::kAlignedCells));
    for (std::int64_t image = 0; image < batch; ++image) {
      aligner_.assign(static_cast<std::int32_t>(image),
                      output.data() + static_cast<std::size_t>(image) * sample_floats_, boxes,
                      input_, foreground_);
    }
    double scores = 0.0;
    for (const kernels::Foreground& f : foreground_) scores += double{f.score};
    const auto [share, scales] = kernels::AlignedShares::of(gains_, scores, batch);
    float* slopes = gradient.empty() ? nullptr : gradient.data();
    double category = 0.0;
    for (kernels::AlignedLevel& level : levels_) {
      level.grid.batch = batch;
      category += ops_.categories(level, scales.category, output.data(), slopes);
    }
    const kernels::AlignedLoss part =
        ops_.foreground(levels_.data(), scales, foreground_.data(),
                        static_cast<std::int64_t>(foreground_.size()), output.data(), slopes);
    DetectionLoss loss{.box = part.box * share,
                       .category = (category + part.category) * share,
                       .dfl = part.dfl * share,
                       .positives = static_cast<std::int64_t>(foreground_.size())};
    loss.total = static_cast<double>(batch) *
                 (double{gains_.box} * loss.box + double{gains_.category} * loss.category +
                  double{gains_.dfl} * loss.dfl);
    return loss;
  }

 private:
  kernels::AlignedGains gains_;
  const kernels::AlignedLossOps& ops_;
  std::size_t sample_floats_;
  std::vector<kernels::AlignedLevel> levels_;
  Aligner aligner_;
  kernels::Box input_;
  std::vector<kernels::Foreground> foreground_;
};

}  // namespace

std::vector<kernels::AlignedLevel> aligned_levels(const DetectionHead& head,
                                                  std::int64_t max_batch) {
  std::vector<kernels::AlignedLevel> levels;
  std::int64_t offset = 0;
  std::int64_t first_cell = 0;
  for (std::size_t i = 0; i < head.levels.size(); ++i) {
    const HeadLevel& level = head.levels[i];
    levels.push_back({.grid = grid_level(head, i, max_batch),
                      .stride = level.stride,
                      .offset = offset,
                      .first_cell = first_cell});
    offset += head.channels(level) * level.cells();
    first_cell += level.cells();
  }
  return levels;
}

kernels::AlignedGains aligned_gains(const DetectionLossOptions& options) {
  return {.box = options.box, .category = options.category, .dfl = options.dfl};
}

kernels::Box input_size(const DetectionHead& head) {
  const HeadLevel& level = head.levels.front();
  return {.x = 0.0F,
          .y = 0.0F,
          .width = static_cast<float>(level.width * level.stride),
          .height = static_cast<float>(level.height * level.stride)};
}

std::unique_ptr<Criterion> aligned_criterion(const DetectionHead& head,
                                             const DetectionLossOptions& options,
                                             std::int64_t max_batch) {
  return std::make_unique<AlignedCriterion>(head, options, max_batch);
}

}  // namespace ps::nn
