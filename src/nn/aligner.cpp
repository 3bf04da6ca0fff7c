#include "nn/aligner.h"

#include "kernels/aligned_loss_math.h"

namespace ps::nn {

using kernels::AlignedCell;
using kernels::AlignedImage;
using kernels::AlignedLevel;
using kernels::Box;

Aligner::Aligner(std::span<const AlignedLevel> levels, std::int64_t cells)
    : levels_(levels),
      ops_(kernels::aligned_loss(kernels::best_isa())),
      boxes_(static_cast<std::size_t>(4 * cells)),
      claimed_(static_cast<std::size_t>(cells)) {}

void Aligner::assign(std::int32_t image,
                     const float* output,
                     std::span<const kernels::TrueBox> boxes,
                     const Box& input,
                     std::vector<kernels::Foreground>& foreground) {
  // For as many as may ever be in one image, so that a step does not allocate later.
  const std::size_t room = boxes.size() * static_cast<std::size_t>(kernels::kAlignedCells);
  claims_.reserve(boxes.size());
  assigned_.reserve(room);
  if (candidates_.size() < room) candidates_.resize(room);
  claims_.clear();
  for (const kernels::TrueBox& box : boxes) {
    if (box.image != image) continue;
    claims_.push_back({.box = kernels::in_pixels(box, input),
                       .category = box.category,
                       .candidates = 0,
                       .best_metric = 0.0F,
                       .best_overlap = 0.0F});
  }
  if (claims_.empty()) return;
  const AlignedImage said{.levels = levels_.data(),
                          .level_count = static_cast<std::int64_t>(levels_.size()),
                          .cells = static_cast<std::int64_t>(claimed_.size()),
                          .output = output,
                          .boxes = boxes_.data()};
  ops_.locate(said);
  find_candidates(said);
  settle(said);
  for (const auto& [number, cell] : assigned_) {
    const Claim& claim = claims_[number];
    const std::size_t level = level_of(cell.cell);
    foreground.push_back(
        {.image = image,
         .level = static_cast<std::int32_t>(level),
         .cell = cell.cell - static_cast<std::int32_t>(levels_[level].first_cell),
         .category = claim.category,
         .score = kernels::aligned_score(cell.metric, claim.best_metric, claim.best_overlap),
         .box = claim.box});
  }
}

std::span<const AlignedCell> Aligner::candidates(std::size_t claim) const {
  return std::span(candidates_)
      .subspan(claim * static_cast<std::size_t>(kernels::kAlignedCells),
               static_cast<std::size_t>(claims_[claim].candidates));
}

void Aligner::find_candidates(const AlignedImage& image) {
  AlignedCell* found = candidates_.data();
  for (Claim& claim : claims_) {
    claim.candidates = ops_.align(image, claim.box, claim.category, found);
    found += kernels::kAlignedCells;
  }
}

void Aligner::settle(const AlignedImage& image) {
  constexpr std::int32_t kSettled = -1;
  assigned_.clear();
  for (std::size_t i = 0; i < claims_.size(); ++i) {
    for (const AlignedCell& cell : candidates(i)) ++claimed_[static_cast<std::size_t>(cell.cell)];
  }
  for (std::size_t i = 0; i < claims_.size(); ++i) {
    for (const AlignedCell& cell : candidates(i)) {
      std::int32_t& claimed = claimed_[static_cast<std::size_t>(cell.cell)];
      if (claimed == kSettled) continue;
      assigned_.push_back(claimed == 1 ? Assigned{i, cell} : strongest(image, cell.cell));
      claimed = kSettled;
    }
  }
  for (const auto& [number, cell] : assigned_) {
    claimed_[static_cast<std::size_t>(cell.cell)] = 0;
    Claim& claim = claims_[number];
    claim.best_metric = kernels::at_least(cell.metric, claim.best_metric);
    claim.best_overlap = kernels::at_least(cell.overlap, claim.best_overlap);
  }
}

Aligner::Assigned Aligner::strongest(const AlignedImage& image, std::int32_t cell) const {
  const AlignedLevel& level = levels_[level_of(cell)];
  const std::int64_t place = cell - level.first_cell;
  const std::int64_t column = place % level.grid.width;
  const std::int64_t row = place / level.grid.width;
  const float* said = image.boxes + cell;
  const Box box{said[0], said[image.cells], said[2 * image.cells], said[3 * image.cells]};
  Assigned best{.claim = 0, .cell = {.cell = cell, .metric = 0.0F, .overlap = -1.0F}};
  for (std::size_t i = 0; i < claims_.size(); ++i) {
    const Claim& claim = claims_[i];
    if (!kernels::holds_cell(claim.box, column, row, level.stride)) continue;
    const float logit =
        image.output[level.offset + (kernels::kBoxChannels + claim.category) * level.grid.cells() +
                     place];
    const kernels::Alignment alignment = kernels::Alignment::of(logit, claim.box, box);
    if (alignment.overlap > best.cell.overlap) {
      best.claim = i;
      best.cell.metric = alignment.metric;
      best.cell.overlap = alignment.overlap;
    }
  }
  return best;
}

std::size_t Aligner::level_of(std::int32_t cell) const {
  std::size_t level = 0;
  while (level + 1 < levels_.size() && levels_[level + 1].first_cell <= cell) ++level;
  return level;
}

}  // namespace ps::nn
