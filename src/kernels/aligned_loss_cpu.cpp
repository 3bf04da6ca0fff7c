#include "kernels/aligned_loss.h"
#include "kernels/aligned_loss_math.h"
#include "kernels/distance_lanes.h"
#include "kernels/lanes.h"

namespace ps::kernels::PS_ISA {
namespace {

using Index = std::int64_t;

// Values at a time that are kept on the stack.
constexpr Index kBlock = 256;

void locate(const AlignedImage& image) {
  for (Index number = 0; number < image.level_count; ++number) {
    const AlignedLevel& level = image.levels[number];
    const Index plane = level.grid.cells();
    float* boxes = image.boxes + level.first_cell;
    side_means(image.output + level.offset, plane, plane, image.cells, boxes);
    float* x = boxes;
    float* y = boxes + image.cells;
    float* width = boxes + 2 * image.cells;
    float* height = boxes + 3 * image.cells;
    for (Index i = 0; i < plane; ++i) {
      const Box box = box_in_pixels({x[i], y[i], width[i], height[i]}, i % level.grid.width,
                                    i / level.grid.width, level.stride);
      x[i] = box.x;
      y[i] = box.y;
      width[i] = box.width;
      height[i] = box.height;
    }
  }
}

// The best so far, in order.
struct Best {
  AlignedCell* cells = nullptr;
  Index count = 0;

  void offer(const AlignedCell& cell) {
    if (!(cell.metric > 0.0F)) return;
    if (count == kAlignedCells && !(cell.metric > cells[count - 1].metric)) return;
    if (count < kAlignedCells) ++count;
    Index at = count - 1;
    for (; at > 0 && cell.metric > cells[at - 1].metric; --at) cells[at] = cells[at - 1];
    cells[at] = cell;
  }
};

// Some neighbours of one row of cells.
void offer_cells(const AlignedImage& image,
                 Index first_cell,
                 Index count,
                 const float* logits,
                 const Box& wanted,
                 Best& best) {
  const float* x = image.boxes + first_cell;
  const float* y = x + image.cells;
  const float* width = y + image.cells;
  const float* height = width + image.cells;
  float metrics[kBlock];
  float overlaps[kBlock];
  PS_INDEPENDENT_LOOP
  for (Index i = 0; i < count; ++i) {
    const Alignment alignment = Alignment::of(logits[i], wanted, {x[i], y[i], width[i], height[i]});
    metrics[i] = alignment.metric;
    overlaps[i] = alignment.overlap;
  }
  for (Index i = 0; i < count; ++i) {
    best.offer({static_cast<std::int32_t>(first_cell + i), metrics[i], overlaps[i]});
  }
}

Index align(const AlignedImage& image, const Box& box, Index category, AlignedCell* found) {
  Best best{found};
  for (Index number = 0; number < image.level_count; ++number) {
    const AlignedLevel& level = image.levels[number];
    const CellRange columns = CellRange::inside(level.grid.width, level.stride, box.x, box.width);
    const CellRange rows = CellRange::inside(level.grid.height, level.stride, box.y, box.height);
    const float* logits =
        image.output + level.offset + (kBoxChannels + category) * level.grid.cells();
    for (Index row = rows.first; row < rows.last; ++row) {
      for (Index column = columns.first; column < columns.last; column += kBlock) {
        const Index left = columns.last - column;
        const Index cell = row * level.grid.width + column;
        offer_cells(image, level.first_cell + cell, left < kBlock ? left : kBlock, logits + cell,
                    box, best);
      }
    }
  }
  return best.count;
}

double all_against_zero(const float* logits, Index count, float scale, float* gradient) {
  float losses[kBlock];
  float unwanted[kBlock];
  double total = 0.0;
  for (Index start = 0; start < count; start += kBlock) {
    const Index size = count - start < kBlock ? count - start : kBlock;
    float* slopes = gradient == nullptr ? unwanted : gradient + start;
    PS_INDEPENDENT_LOOP
    for (Index i = 0; i < size; ++i) {
      const float x = logits[start + i];
      const LossTerm term = against_zero(x);
      losses[i] = term.loss;
      slopes[i] = term.gradient * scale;
    }
    total += sum(size, [&losses](Index i) { return losses[i]; });
  }
  return total;
}

double categories(const AlignedLevel& level, float scale, const float* output, float* gradient) {
  const GridLevel& grid = level.grid;
  double total = 0.0;
  for (Index n = 0; n < grid.batch; ++n) {
    const Index first = n * grid.sample_floats + level.offset + kBoxChannels * grid.cells();
    total += all_against_zero(output + first, grid.classes * grid.cells(), scale,
                              gradient == nullptr ? nullptr : gradient + first);
  }
  return total;
}

// The box of one cell.
void add_box(const AlignedLevel& level,
             const AlignedScales& scales,
             const Foreground& f,
             const float* logits,
             float* gradient,
             AlignedLoss& loss) {
  const Index plane = level.grid.cells();
  const Box wanted = wanted_of(level, f);
  SideTerms sides[kSides];
  double dfl = 0.0;
  for (Index side = 0; side < kSides; ++side) {
    sides[side] = SideTerms::of(logits + side * kBins * plane, plane, distance_to(wanted, side));
    dfl += sides[side].loss;
  }
  const Box said =
      Sides{sides[0].said.mean, sides[1].said.mean, sides[2].said.mean, sides[3].said.mean}.box();
  const CompleteIou overlap = CompleteIou::of(said, wanted);
  loss.box += double{f.score} * (1.0 - double{overlap.value()});
  loss.dfl += double{f.score} * dfl / double{kSides};
  if (gradient == nullptr) return;
  const Box by_box = overlap.gradient(said, wanted);
  for (Index side = 0; side < kSides; ++side) {
    const Index first = side * kBins * plane;
    sides[side].write_gradient(logits + first, plane, slope_by_mean(by_box, side, scales, f.score),
                               dfl_slope(scales, f.score), gradient + first);
  }
}

AlignedLoss foreground(const AlignedLevel* levels,
                       const AlignedScales& scales,
                       const Foreground* foreground,
                       Index count,
                       const float* output,
                       float* gradient) {
  AlignedLoss loss;
  for (Index i = 0; i < count; ++i) {
    const Foreground& f = foreground[i];
    const AlignedLevel& level = levels[f.level];
    const Index first = f.image * level.grid.sample_floats + level.offset + f.cell;
    float* slopes = gradient == nullptr ? nullptr : gradient + first;
    add_box(level, scales, f, output + first, slopes, loss);
    const Index category = (kBoxChannels + f.category) * level.grid.cells();
    loss.category -= double{f.score} * double{output[first + category]};
    if (slopes != nullptr) slopes[category] -= f.score * scales.category;
  }
  return loss;
}

}  // namespace

extern const AlignedLossOps aligned_loss_ops{
    .locate = locate, .align = align, .categories = categories, .foreground = foreground};

}  // namespace ps::kernels::PS_ISA
