// After the assignment (aligned_assign_cuda.cu): every class of every cell against 0, by blocks
// that take a chunk of a level each; then what the cells with a box change, four threads a cell,
// one for each side; then one block adds up what the blocks' trees have left.
#include <vector>

#include "base/assert.h"
#include "kernels/aligned_loss_cuda.cuh"
#include "kernels/aligned_loss_cuda.h"

namespace ps::kernels {
namespace aligned {
namespace {

constexpr int kFinishers = 1024;
constexpr std::int64_t kQuad = 4;
constexpr std::int64_t kChunk = kBlock * kQuad * 4;  // floats of a level's output for one block

// Sums of blocks.
struct Sums {
  double* categories;
  std::int64_t chunks;
  double* box;  // [blocks], and so those below
  double* category;
  double* dfl;
  std::int64_t blocks;
};

// The class's logit against 0. Returns the loss.
__device__ __forceinline__ double take(float x, float scale, float& slope) {
  const LossTerm term = against_zero(x);
  slope = term.gradient * scale;
  return double{term.loss};
}

// Floats [first, first + kQuad) of a level, those below `boxes` of its box channels: their gradient
// is zero here.
__device__ __forceinline__ double take_quad(
    const float* output, float* gradient, std::int64_t first, std::int64_t boxes, float scale) {
  float4 slopes = make_float4(0.0F, 0.0F, 0.0F, 0.0F);
  double sum = 0.0;
  if (first >= boxes) {
    const float4 x = *reinterpret_cast<const float4*>(output + first);
    sum = take(x.x, scale, slopes.x);
    sum += take(x.y, scale, slopes.y);
    sum += take(x.z, scale, slopes.z);
    sum += take(x.w, scale, slopes.w);
  }
  if (gradient != nullptr) *reinterpret_cast<float4*>(gradient + first) = slopes;
  return sum;
}

// The same for floats that are not aligned, or at an end.
__device__ __forceinline__ double take_singly(const float* output,
                                              float* gradient,
                                              std::int64_t first,
                                              std::int64_t last,
                                              std::int64_t boxes,
                                              float scale) {
  double sum = 0.0;
  for (std::int64_t i = first; i < last; ++i) {
    float slope = 0.0F;
    if (i >= boxes) sum += take(output[i], scale, slope);
    if (gradient != nullptr) gradient[i] = slope;
  }
  return sum;
}

// How many floats lie beyond the last multiple of 16 bytes.
__device__ __forceinline__ std::int64_t beyond_quad(const float* at) {
  return static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(at) / sizeof(float) %
                                   static_cast<std::uintptr_t>(kQuad));
}

__global__ void __launch_bounds__(kBlock) add_categories(Run run, std::int64_t chunks, Sums sums) {
  const std::int64_t image = blockIdx.x / chunks;
  const std::int64_t chunk = blockIdx.x - image * chunks;
  std::int64_t number = 0;
  while (number + 1 < run.level_count && run.levels[number + 1].first_chunk <= chunk) ++number;
  const AlignedLevel& level = run.levels[number].level;
  const std::int64_t offset = image * run.sample_floats + level.offset;
  const float* output = run.output + offset;
  float* gradient = run.gradient == nullptr ? nullptr : run.gradient + offset;
  const std::int64_t boxes = kBoxChannels * level.grid.cells();
  const std::int64_t count = boxes + level.grid.classes * level.grid.cells();
  const float scale = run.shares->of.scales.category;
  // Quads begin where the output's address is a multiple of their size, be it before the level.
  const std::int64_t beyond = beyond_quad(output);
  const bool aligned = gradient == nullptr || beyond_quad(gradient) == beyond;
  double sum = 0.0;
  const std::int64_t start = (chunk - run.levels[number].first_chunk) * kChunk - beyond;
  for (std::int64_t i = kQuad * threadIdx.x; i < kChunk; i += kQuad * kBlock) {
    const std::int64_t first = start + i;
    const std::int64_t last = first + kQuad;
    if (gradient == nullptr && last <= boxes) continue;
    if (aligned && first >= 0 && last <= count && (first >= boxes || last <= boxes)) {
      sum += take_quad(output, gradient, first, boxes, scale);
    } else {
      sum += take_singly(output, gradient, first < 0 ? 0 : first, last < count ? last : count,
                         boxes, scale);
    }
  }
  sum = block_sum<kBlock>(sum);
  if (threadIdx.x == 0) sums.categories[blockIdx.x] = sum;
}

// What four neighbouring lanes know of their cell, a side each, shared by all lanes of the warp at
// once.
struct Shared {
  Box said;
  double dfl;

  __device__ __forceinline__ static Shared of(const SideTerms& own) {
    float means[kSides];
    double dfl = 0.0;
    for (int side = 0; side < kSides; ++side) {
      means[side] = __shfl_sync(kAllLanes, own.said.mean, side, kSides);
      dfl += __shfl_sync(kAllLanes, own.loss, side, kSides);
    }
    return {Sides{means[0], means[1], means[2], means[3]}.box(), dfl};
  }
};

// One side of a cell that answers for a box.
struct Side {
  const AlignedLevel& level;
  Foreground cell;
  std::int64_t side;
  std::int64_t first;  // of the cell's logits

  __device__ __forceinline__ static Side of(const Run& run,
                                            const Assigned& assigned,
                                            std::int64_t side) {
    const TrueBox box = run.boxes[assigned.box];
    const Place place = Place::of(run, assigned.cell);
    return {.level = place.level,
            .cell = {.image = box.image,
                     .level = 0,  // is known
                     .cell = place.cell,
                     .category = box.category,
                     .score = assigned.metric,
                     .box = in_pixels(box, run.input)},
            .side = side,
            .first = box.image * run.sample_floats + place.level.offset + place.cell};
  }

  [[nodiscard]] __device__ __forceinline__ std::int64_t own() const {
    return first + side * kBins * level.grid.cells();
  }
  [[nodiscard]] __device__ __forceinline__ SideTerms terms(const Run& run) const {
    return SideTerms::of(run.output + own(), level.grid.cells(),
                         distance_to(wanted_of(level, cell), side));
  }

  // Adds to the gradient. The sums are those of the first side.
  __device__ __forceinline__ AlignedLoss add(const Run& run,
                                             const SideTerms& terms,
                                             const Shared& all) const {
    const AlignedScales scales = run.shares->of.scales;
    const float score = cell.score;
    const std::int64_t plane = level.grid.cells();
    const Box wanted = wanted_of(level, cell);
    const CompleteIou overlap = CompleteIou::of(all.said, wanted);
    if (run.gradient != nullptr) {
      const Box by_box = overlap.gradient(all.said, wanted);
      terms.write_gradient(run.output + own(), plane, slope_by_mean(by_box, side, scales, score),
                           dfl_slope(scales, score), run.gradient + own());
    }
    if (side != 0) return {};
    const std::int64_t category = first + (kBoxChannels + cell.category) * plane;
    if (run.gradient != nullptr) run.gradient[category] -= score * scales.category;
    return {.box = double{score} * (1.0 - double{overlap.value()}),
            .category = -(double{score} * double{run.output[category]}),
            .dfl = double{score} * all.dfl / double{kSides}};
  }
};

__global__ void __launch_bounds__(kBlock, 1) add_foreground(Run run, Sums sums) {
  AlignedLoss sum;
  const std::int64_t count = run.box_count * kAlignedCells * kSides;
  const std::int64_t lane = threadIdx.x % kWarp;
  for (std::int64_t i = thread_index(); i - lane < count; i += thread_count()) {
    Assigned assigned{-1, 0, 0.0F, 0.0F};
    if (i < count) assigned = run.assigned[i / kSides];
    const bool answers = assigned.box >= 0;
    SideTerms terms{};
    if (answers) terms = Side::of(run, assigned, i % kSides).terms(run);
    const Shared all = Shared::of(terms);
    if (!answers) continue;
    const Side side = Side::of(run, assigned, i % kSides);
    const AlignedLoss part = side.add(run, terms, all);
    sum.box += part.box;
    sum.category += part.category;
    sum.dfl += part.dfl;
    if (side.side == 0) run.claims[side.cell.image * run.cells + assigned.cell] = {0, 0};
  }
  sum.box = block_sum<kBlock>(sum.box);
  sum.category = block_sum<kBlock>(sum.category);
  sum.dfl = block_sum<kBlock>(sum.dfl);
  if (threadIdx.x != 0) return;
  sums.box[blockIdx.x] = sum.box;
  sums.category[blockIdx.x] = sum.category;
  sums.dfl[blockIdx.x] = sum.dfl;
}

__global__ void __launch_bounds__(kFinishers) finish(Run run, Sums sums, DetectionResult* result) {
  const double all = block_sum_of<kFinishers>(sums.categories, sums.chunks);
  const double category = block_sum_of<kFinishers>(sums.category, sums.blocks);
  const double box = block_sum_of<kFinishers>(sums.box, sums.blocks);
  const double dfl = block_sum_of<kFinishers>(sums.dfl, sums.blocks);
  if (threadIdx.x != 0) return;
  const double share = run.shares->of.share;
  DetectionResult loss{};
  loss.box = box * share;
  loss.category = (all + category) * share;
  loss.dfl = dfl * share;
  loss.positives = static_cast<std::int64_t>(run.shares->positives);
  loss.total = static_cast<double>(run.batch) *
               (double{run.gains.box} * loss.box + double{run.gains.category} * loss.category +
                double{run.gains.dfl} * loss.dfl);
  *result = loss;
}

Grid foreground_grid(std::int64_t boxes) {
  return grid_over(boxes * kAlignedCells * kSides);
}

}  // namespace
}  // namespace aligned

AlignedLossCuda::AlignedLossCuda(std::span<const AlignedLevel> levels,
                                 const AlignedGains& gains,
                                 const Box& input,
                                 std::int64_t max_batch,
                                 std::int64_t max_boxes,
                                 StreamView stream)
    : DetectionLossCuda(
          {max_batch, max_boxes}, std::ssize(levels), levels.front().grid.sample_floats),
      gains_(gains),
      input_(input),
      image_cells_(levels.back().first_cell + levels.back().grid.cells()),
      image_chunks_(0) {
  PS_ASSERT(max_boxes * kAlignedCells < INT32_MAX, "slots are numbered in 32 bits");
  std::vector<aligned::Level> known;
  for (const AlignedLevel& level : levels) {
    known.push_back({level, image_chunks_});
    // The first quad may begin up to three floats before the level.
    const std::int64_t floats =
        (kBoxChannels + level.grid.classes) * level.grid.cells() + aligned::kQuad - 1;
    image_chunks_ += (floats + aligned::kChunk - 1) / aligned::kChunk;
  }
  const int device = stream.device();
  const DeviceGuard guard(device);
  const std::int64_t slots = max_boxes * kAlignedCells;
  levels_ = allocate(device, level_count_, sizeof(aligned::Level));
  said_ = allocate(device, max_batch * 4 * image_cells_, sizeof(float));
  claims_ = allocate(device, max_batch * image_cells_, sizeof(aligned::Claims));
  candidates_ = allocate(device, slots, sizeof(AlignedCell));
  bests_ = allocate(device, max_boxes, sizeof(aligned::Best));
  assigned_ = allocate(device, slots, sizeof(aligned::Assigned));
  shares_ = allocate(device, 1, sizeof(aligned::Shares));
  const std::int64_t blocks = 3 * std::int64_t{aligned::foreground_grid(max_boxes).blocks.x};
  sums_ = allocate(device, max_batch * image_chunks_ + blocks, sizeof(double));
  copy_to_device(levels_.data(), known.data(), known.size() * sizeof(aligned::Level), stream);
  stream.synchronize();
}

void AlignedLossCuda::run(const float* output,
                          std::int64_t batch,
                          const TrueBox* boxes,
                          std::int64_t box_count,
                          float* gradient,
                          DetectionResult* result,
                          StreamView stream) {
  check(batch, box_count);
  const DeviceGuard guard(stream.device());
  const aligned::Run run{.levels = levels_.as<aligned::Level>(),
                         .level_count = level_count_,
                         .cells = image_cells_,
                         .gains = gains_,
                         .input = input_,
                         .output = output,
                         .batch = batch,
                         .sample_floats = sample_floats_,
                         .boxes = boxes,
                         .box_count = box_count,
                         .gradient = gradient,
                         .said = said_.as<float>(),
                         .claims = claims_.as<aligned::Claims>(),
                         .candidates = candidates_.as<AlignedCell>(),
                         .bests = bests_.as<aligned::Best>(),
                         .assigned = assigned_.as<aligned::Assigned>(),
                         .shares = shares_.as<aligned::Shares>()};
  const Grid of_foreground = aligned::foreground_grid(box_count);
  const Grid of_chunks{.blocks = dim3(static_cast<unsigned>(batch * image_chunks_))};
  aligned::Sums sums{.categories = sums_.as<double>(),
                     .chunks = batch * image_chunks_,
                     .box = nullptr,
                     .category = nullptr,
                     .dfl = nullptr,
                     .blocks = box_count == 0 ? 0 : std::int64_t{of_foreground.blocks.x}};
  sums.box = sums.categories + sums.chunks;
  sums.category = sums.box + sums.blocks;
  sums.dfl = sums.category + sums.blocks;
  aligned::assign(run, stream);
  launch(stream, of_chunks, aligned::add_categories, run, image_chunks_, sums);
  if (box_count > 0) launch(stream, of_foreground, aligned::add_foreground, run, sums);
  launch(stream, Grid{.threads = dim3(aligned::kFinishers)}, aligned::finish, run, sums, result);
}

}  // namespace ps::kernels
