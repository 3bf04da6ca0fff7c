#include "kernels/aligned_loss.h"
#include "kernels/bce_math.h"
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

struct Range {
  Index first;
  Index last;  // not in it
};

// The cells whose centers lie inside, in one dimension.
Range inside(Index cells, Index stride, float center, float size) {
  const float low = center - size / 2.0F;
  const float high = center + size / 2.0F;
  Range range{0, cells};
  while (range.first < cells && !center_inside(range.first, stride, low, high)) ++range.first;
  while (range.last > range.first && !center_inside(range.last - 1, stride, low, high)) {
    --range.last;
  }
  return range;
}

Index align(const AlignedImage& image, const Box& box, Index category, AlignedCell* found) {
  Best best{found};
  for (Index number = 0; number < image.level_count; ++number) {
    const AlignedLevel& level = image.levels[number];
    const Range columns = inside(level.grid.width, level.stride, box.x, box.width);
    const Range rows = inside(level.grid.height, level.stride, box.y, box.height);
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

// softplus(x), the cross-entropy against 0, and its derivative.
double against_zero(const float* logits, Index count, float scale, float* gradient) {
  float losses[kBlock];
  float unwanted[kBlock];
  double total = 0.0;
  for (Index start = 0; start < count; start += kBlock) {
    const Index size = count - start < kBlock ? count - start : kBlock;
    float* slopes = gradient == nullptr ? unwanted : gradient + start;
    PS_INDEPENDENT_LOOP
    for (Index i = 0; i < size; ++i) {
      const float x = logits[start + i];
      const Sigmoid s = Sigmoid::of(x);
      losses[i] = (x > 0.0F ? x : 0.0F) + s.tail;
      slopes[i] = s.yes * scale;
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
    total += against_zero(output + first, grid.classes * grid.cells(), scale,
                          gradient == nullptr ? nullptr : gradient + first);
  }
  return total;
}

// One side's logits: the distribution focal loss against a distance in cells, and what the
// gradient consists of.
struct SideTerms {
  Distribution said;
  Index near;   // the bins below and above the distance share it
  float share;  // of the bin above
  double loss;

  static SideTerms of(const float* logits, Index plane, float distance) {
    // The last bin is the longest distance.
    constexpr float kLongest = static_cast<float>(kBins - 1) - 0.01F;
    const float wanted = distance < 0.0F ? 0.0F : (distance > kLongest ? kLongest : distance);
    SideTerms terms{.said = Distribution::of(logits, plane),
                    .near = static_cast<Index>(wanted),
                    .share = 0.0F,
                    .loss = 0.0};
    terms.share = wanted - static_cast<float>(terms.near);
    const float* low = logits + terms.near * plane;
    const float expected = low[0] * (1.0F - terms.share) + low[plane] * terms.share;
    terms.loss = double{terms.said.top + logarithm(terms.said.total) - expected};
    return terms;
  }

  // by_mean: the rest of the loss's derivative by the distribution's mean. dfl: what this loss is
  // multiplied by.
  void write_gradient(
      const float* logits, Index plane, float by_mean, float dfl, float* gradient) const {
    for (Index bin = 0; bin < kBins; ++bin) {
      const float p = said.probability(logits[bin * plane]);
      const float wanted = bin == near ? 1.0F - share : (bin == near + 1 ? share : 0.0F);
      gradient[bin * plane] =
          by_mean * p * (static_cast<float>(bin) - said.mean) + dfl * (p - wanted);
    }
  }
};

// The box of one cell.
void add_box(const AlignedLevel& level,
             const AlignedScales& scales,
             const Foreground& f,
             const float* logits,
             float* gradient,
             AlignedLoss& loss) {
  const Index plane = level.grid.cells();
  const float size = 1.0F / static_cast<float>(level.stride);
  // In cells, relative to the cell's center.
  const Index column = f.cell % level.grid.width;
  const Index row = f.cell / level.grid.width;
  const Box wanted{.x = f.box.x * size - (static_cast<float>(column) + 0.5F),
                   .y = f.box.y * size - (static_cast<float>(row) + 0.5F),
                   .width = f.box.width * size,
                   .height = f.box.height * size};
  const float distances[kSides] = {0.5F * wanted.width - wanted.x, 0.5F * wanted.height - wanted.y,
                                   0.5F * wanted.width + wanted.x, 0.5F * wanted.height + wanted.y};
  SideTerms sides[kSides];
  double dfl = 0.0;
  for (Index side = 0; side < kSides; ++side) {
    sides[side] = SideTerms::of(logits + side * kBins * plane, plane, distances[side]);
    dfl += sides[side].loss;
  }
  const Box said =
      Sides{sides[0].said.mean, sides[1].said.mean, sides[2].said.mean, sides[3].said.mean}.box();
  const CompleteIou overlap = CompleteIou::of(said, wanted);
  loss.box += double{f.score} * (1.0 - double{overlap.value()});
  loss.dfl += double{f.score} * dfl / double{kSides};
  if (gradient == nullptr) return;
  const Box by_box = overlap.gradient(said, wanted);
  const float box_scale = -scales.box * f.score;
  const float by_mean[kSides] = {
      box_scale * (by_box.width - 0.5F * by_box.x), box_scale * (by_box.height - 0.5F * by_box.y),
      box_scale * (by_box.width + 0.5F * by_box.x), box_scale * (by_box.height + 0.5F * by_box.y)};
  const float dfl_scale = scales.dfl * f.score / static_cast<float>(kSides);
  for (Index side = 0; side < kSides; ++side) {
    const Index first = side * kBins * plane;
    sides[side].write_gradient(logits + first, plane, by_mean[side], dfl_scale, gradient + first);
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
