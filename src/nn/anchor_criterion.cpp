#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "kernels/anchor_loss.h"
#include "nn/criterion.h"

namespace ps::nn {
namespace {

using kernels::Positive;

// What one level needs, made once.
struct Level {
  kernels::GridLevel grid;     // its batch is set by each run
  std::vector<float> anchors;  // [anchors, 2], in cells
  std::int64_t offset = 0;     // floats of a sample's output before it
  double balance = 1.0;
};

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
      : options_(options), ops_(kernels::anchor_loss(kernels::best_isa())) {
    const std::vector<double> balance = balance_of(head.levels.size(), options.balance);
    std::int64_t offset = 0;
    std::int64_t most = 0;
    levels_.resize(head.levels.size());
    for (std::size_t i = 0; i < levels_.size(); ++i) {
      const HeadLevel& from = head.levels[i];
      Level& level = levels_[i];
      level.anchors = anchors_in_cells(from);
      level.grid = grid_level(head, i, max_batch);
      level.grid.anchor_sizes = level.anchors.data();
      level.offset = offset;
      level.balance = balance[i];
      offset += head.channels(from) * from.cells();
      most = std::max(most, max_batch * level.grid.anchors * from.cells());
    }
    objectness_.resize(static_cast<std::size_t>(most));
  }

  DetectionLoss run(std::span<const float> output,
                    std::int64_t batch,
                    std::span<const kernels::TrueBox> boxes,
                    std::span<float> gradient) override {
    std::fill(gradient.begin(), gradient.end(), 0.0F);
    DetectionLoss loss;
    for (Level& level : levels_) {
      level.grid.batch = batch;
      const kernels::AnchorArrays arrays{
          .output = output.data() + level.offset,
          .objectness = objectness_.data(),
          .gradient = gradient.empty() ? nullptr : gradient.data() + level.offset};
      add(level, boxes, arrays, loss);
    }
    loss.total = static_cast<double>(batch) *
                 (double{options_.box} * loss.box + double{options_.objectness} * loss.objectness +
                  double{options_.category} * loss.category);
    return loss;
  }

 private:
  void add(const Level& level,
           std::span<const kernels::TrueBox> boxes,
           const kernels::AnchorArrays& arrays,
           DetectionLoss& loss) {
    const kernels::GridLevel& grid = level.grid;
    const auto count = static_cast<std::int64_t>(boxes.size());
    const auto room = static_cast<std::size_t>(count * grid.anchors * kernels::kPositivesPerAnchor);
    if (positives_.size() < room) positives_.resize(room);
    const std::int64_t found =
        ops_.assign(grid, options_.anchor_threshold, boxes.data(), count, positives_.data());
    const std::span positives(positives_.data(), static_cast<std::size_t>(found));

    // The means' divisors; the batch times a mean over the batch's cells is a sum over the batch
    // of means over a sample's.
    const auto batch = static_cast<double>(grid.batch);
    const double share = found == 0 ? 0.0 : 1.0 / static_cast<double>(found);
    const double category_share = share / static_cast<double>(grid.classes);
    const double cell_share = level.balance / static_cast<double>(grid.anchors * grid.cells());
    const kernels::AnchorTerms terms{
        .category = {options_.category_weight, options_.focal_gamma},
        .objectness = {options_.objectness_weight, options_.focal_gamma},
        .positive_label = 1.0F - 0.5F * options_.label_smoothing,
        .negative_label = 0.5F * options_.label_smoothing,
        .box_scale = static_cast<float>(batch * double{options_.box} * share),
        .category_scale = static_cast<float>(batch * double{options_.category} * category_share),
        .objectness_scale = static_cast<float>(double{options_.objectness} * cell_share)};
    const kernels::PositiveLoss part = ops_.positives(grid, terms, positives.data(), found, arrays);
    loss.box += part.box * share;
    loss.category += part.category * category_share;
    loss.objectness += ops_.objectness(grid, terms, arrays) * cell_share / batch;
    loss.positives += found;
    // Zero again for the next level: few were set.
    for (const Positive& p : positives) objectness_[objectness_index(grid, p)] = 0.0F;
  }

  static std::size_t objectness_index(const kernels::GridLevel& grid, const Positive& p) {
    return static_cast<std::size_t>((p.image * grid.anchors + p.anchor) * grid.cells() + p.cell);
  }

  DetectionLossOptions options_;
  const kernels::AnchorLossOps& ops_;
  std::vector<Level> levels_;
  std::vector<float> objectness_;  // targets of one level; all zero between levels
  std::vector<Positive> positives_;
};

}  // namespace

std::unique_ptr<Criterion> anchor_criterion(const DetectionHead& head,
                                            const DetectionLossOptions& options,
                                            std::int64_t max_batch) {
  return std::make_unique<AnchorCriterion>(head, options, max_batch);
}

}  // namespace ps::nn
