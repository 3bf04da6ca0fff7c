#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "kernels/anchor_loss.h"
#include "kernels/anchor_loss_math.h"
#include "nn/criterion.h"

namespace ps::nn {
namespace {

using kernels::AnchorLevel;
using kernels::Positive;

std::vector<double> balance_of(std::size_t levels, const std::vector<float>& given) {
  if (!given.empty()) return {given.begin(), given.end()};
  if (levels == 3) return {4.0, 1.0, 0.4};
  constexpr std::array kUsual{4.0, 1.0, 0.25, 0.06, 0.02};
  return {kUsual.begin(), kUsual.begin() + static_cast<std::ptrdiff_t>(levels)};
}

class AnchorCriterion : public Criterion {
 public:
  AnchorCriterion(const DetectionHead& head,
                  const DetectionLossOptions& options,
                  std::int64_t max_batch)
      : gains_(anchor_gains(options)),
        ops_(kernels::anchor_loss(kernels::best_isa())),
        of_(head, options, max_batch) {
    std::int64_t most = 0;
    for (const AnchorLevel& level : of_.levels) {
      most = std::max(most, max_batch * level.grid.anchors * level.grid.cells());
    }
    objectness_.resize(static_cast<std::size_t>(most));
  }

  DetectionLoss run(std::span<const float> output,
                    std::int64_t batch,
                    std::span<const kernels::TrueBox> boxes,
                    std::span<float> gradient) override {
    std::fill(gradient.begin(), gradient.end(), 0.0F);
    DetectionLoss loss;
    for (AnchorLevel& level : of_.levels) {
      level.grid.batch = batch;
      const kernels::AnchorArrays arrays{
          .output = output.data() + level.offset,
          .objectness = objectness_.data(),
          .gradient = gradient.empty() ? nullptr : gradient.data() + level.offset};
      add(level, boxes, arrays, loss);
    }
    loss.total = static_cast<double>(batch) *
                 (double{gains_.box} * loss.box + double{gains_.objectness} * loss.objectness +
                  double{gains_.category} * loss.category);
    return loss;
  }

 private:
  void add(const AnchorLevel& level,
           std::span<const kernels::TrueBox> boxes,
           const kernels::AnchorArrays& arrays,
           DetectionLoss& loss) {
    const kernels::GridLevel& grid = level.grid;
    const auto count = static_cast<std::int64_t>(boxes.size());
    const auto room = static_cast<std::size_t>(count * grid.anchors * kernels::kPositivesPerAnchor);
    if (positives_.size() < room) positives_.resize(room);
    const std::int64_t found =
        ops_.assign(grid, gains_.threshold, boxes.data(), count, positives_.data());
    const std::span positives(positives_.data(), static_cast<std::size_t>(found));
    const auto shares = kernels::AnchorShares::of(level, found);
    const kernels::AnchorTerms terms = shares.terms(gains_, grid.batch);
    const kernels::PositiveLoss part = ops_.positives(grid, terms, positives.data(), found, arrays);
    loss.box += part.box * shares.box;
    loss.category += part.category * shares.category;
    loss.objectness +=
        ops_.objectness(grid, terms, arrays) * shares.cell / static_cast<double>(grid.batch);
    loss.positives += found;
    // Zero again for the next level: few were set.
    for (const Positive& p : positives) {
      objectness_[static_cast<std::size_t>(kernels::objectness_index(grid, p))] = 0.0F;
    }
  }

  kernels::AnchorGains gains_;
  const kernels::AnchorLossOps& ops_;
  AnchorLevels of_;
  std::vector<float> objectness_;  // targets of one level; all zero between levels
  std::vector<Positive> positives_;
};

}  // namespace

AnchorLevels::AnchorLevels(const DetectionHead& head,
                           const DetectionLossOptions& options,
                           std::int64_t max_batch) {
  const std::vector<double> balance = balance_of(head.levels.size(), options.balance);
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < head.levels.size(); ++i) {
    const HeadLevel& from = head.levels[i];
    sizes.push_back(anchors_in_cells(from));
    levels.push_back(
        {.grid = grid_level(head, i, max_batch), .offset = offset, .balance = balance[i]});
    levels.back().grid.anchor_sizes = sizes.back().data();
    offset += head.channels(from) * from.cells();
  }
}

kernels::AnchorGains anchor_gains(const DetectionLossOptions& options) {
  return {.category_loss = {options.category_weight, options.focal_gamma},
          .objectness_loss = {options.objectness_weight, options.focal_gamma},
          .label_smoothing = options.label_smoothing,
          .threshold = options.anchor_threshold,
          .box = options.box,
          .objectness = options.objectness,
          .category = options.category};
}

std::unique_ptr<Criterion> anchor_criterion(const DetectionHead& head,
                                            const DetectionLossOptions& options,
                                            std::int64_t max_batch) {
  return std::make_unique<AnchorCriterion>(head, options, max_batch);
}

}  // namespace ps::nn
