// A slot is what one true box may have at one level: an offset, an anchor and a box, numbered in
// the order of the CPU's loops. A positive is a slot that is_positive() takes.
//
// 1. Positives that meet in a cell of an anchor form a list: cells[] names its head and next[]
//    links it, in whatever order the threads came.
// 2. One warp a positive computes its loss. The list's tail, which there is once, adds the
//    gradients of all, sorted by their slots; so they have the bits of the CPU's one after the
//    other. It puts the cell's wanted objectness into cells[], in place of the head.
// 3. One thread a cell: objectness, of all; cells[] is left zero.
// 4. One block adds up what the blocks' trees have left, level by level.
#include <vector>

#include "base/assert.h"
#include "kernels/anchor_loss_cuda.h"
#include "kernels/anchor_loss_math.h"
#include "kernels/detection.cuh"
#include "kernels/launch.cuh"

namespace ps::kernels {
namespace {

constexpr std::int32_t kNoPositive = -1;
constexpr std::int32_t kTail = 0;  // others: the next slot + 1
constexpr std::int32_t kNoSlot = INT32_MAX;

struct DeviceLevel {
  AnchorLevel level;
  std::int64_t first_cell;  // of the run's cells
  std::int64_t first_slot;  // of next
};

struct Run {
  const DeviceLevel* levels;
  AnchorGains gains;
  const float* output;
  std::int64_t batch;
  const TrueBox* boxes;
  std::int64_t box_count;
  float* gradient;
  std::int32_t* cells;
  std::int32_t* next;
  std::int32_t* counts;

  [[nodiscard]] __device__ __forceinline__ std::int64_t slots(const GridLevel& grid) const {
    return kPositivesPerAnchor * grid.anchors * box_count;
  }
  [[nodiscard]] __device__ __forceinline__ bool takes(const GridLevel& grid,
                                                      std::int64_t slot) const {
    const std::int64_t row = slot / box_count;
    return is_positive(grid, gains.threshold, static_cast<int>(row / grid.anchors),
                       row % grid.anchors, boxes[slot % box_count]);
  }
  [[nodiscard]] __device__ __forceinline__ Positive positive(const GridLevel& grid,
                                                             std::int64_t slot) const {
    const std::int64_t row = slot / box_count;
    return positive_of(grid, static_cast<int>(row / grid.anchors), row % grid.anchors,
                       boxes[slot % box_count]);
  }
};

// Sums of blocks: [levels, blocks] each.
struct Sums {
  double* box;
  double* category;
  std::int64_t positive_blocks;
  double* objectness;
  std::int64_t objectness_blocks;
};

__global__ void __launch_bounds__(kBlock) find_positives(Run run) {
  const DeviceLevel& of = run.levels[blockIdx.y];
  const std::int64_t slots = run.slots(of.level.grid);
  double found = 0.0;  // exact
  for (std::int64_t slot = thread_index(); slot < slots; slot += thread_count()) {
    std::int32_t next = kNoPositive;
    if (run.takes(of.level.grid, slot)) {
      const Positive p = run.positive(of.level.grid, slot);
      std::int32_t* cell = run.cells + of.first_cell + objectness_index(of.level.grid, p);
      next = atomicExch(cell, static_cast<std::int32_t>(slot) + 1);
      found += 1.0;
    }
    run.next[of.first_slot + slot] = next;
  }
  found = block_sum<kBlock>(found);
  if (threadIdx.x == 0 && found > 0.0) atomicAdd(run.counts + blockIdx.y, static_cast<int>(found));
}

// What a warp needs to add positives of one level.
template <class Loss>
struct Adder {
  const GridLevel& grid;
  const AnchorTerms& terms;
  Loss loss;
  int lane;

  // The loss of one positive: box in lane 0, category spread over the lanes. Adds to the gradient,
  // if there is one, or overwrites it if this is the first. `overlap` is set in all lanes.
  __device__ __forceinline__ PositiveLoss
  add(const Positive& p, const float* logits, float* gradient, bool first, float& overlap) const {
    const std::int64_t plane = grid.cells();
    const AnchorOverlap box = AnchorOverlap::of(grid, p, logits);
    overlap = box.overlap.value();
    if (gradient != nullptr && lane == 0) {
      const Box slope = box.slope(terms.box_scale);
      gradient[0] = (first ? 0.0F : gradient[0]) - slope.x;
      gradient[plane] = (first ? 0.0F : gradient[plane]) - slope.y;
      gradient[2 * plane] = (first ? 0.0F : gradient[2 * plane]) - slope.width;
      gradient[3 * plane] = (first ? 0.0F : gradient[3 * plane]) - slope.height;
    }
    PositiveLoss result{.box = lane == 0 ? 1.0 - double{overlap} : 0.0, .category = 0.0};
    if (grid.classes == 1) return result;
    for (std::int64_t i = lane; i < grid.classes; i += kWarp) {
      const std::int64_t at = (5 + i) * plane;
      const LossTerm term =
          loss(logits[at], i == p.category ? terms.positive_label : terms.negative_label);
      result.category += double{term.loss};
      if (gradient != nullptr) {
        gradient[at] = (first ? 0.0F : gradient[at]) + term.gradient * terms.category_scale;
      }
    }
    return result;
  }
};

// The smallest slots above `above` of a list, one a lane in their order, kNoSlot where it ends.
__device__ __forceinline__ std::int32_t sorted_slots(const std::int32_t* next,
                                                     std::int32_t head,
                                                     std::int32_t above,
                                                     int lane) {
  std::int32_t mine = kNoSlot;
  for (std::int32_t at = head; at != kTail; at = next[at - 1]) {
    const std::int32_t slot = at - 1;
    if (slot <= above) continue;
    const int place = __popc(__ballot_sync(kAllLanes, mine < slot));
    const std::int32_t before = __shfl_up_sync(kAllLanes, mine, 1);
    mine = lane < place ? mine : (lane == place ? slot : before);
  }
  return mine;
}

// All positives of a cell. Returns the last one's overlap.
template <class Loss>
__device__ __forceinline__ float add_list(const Run& run,
                                          const DeviceLevel& of,
                                          const Adder<Loss>& adder,
                                          std::int32_t head,
                                          const float* logits,
                                          float* gradient) {
  float overlap = 0.0F;
  bool first = true;
  for (std::int32_t above = -1;;) {
    const std::int32_t mine = sorted_slots(run.next + of.first_slot, head, above, adder.lane);
    const int count = __popc(__ballot_sync(kAllLanes, mine != kNoSlot));
    for (int i = 0; i < count; ++i, first = false) {
      above = __shfl_sync(kAllLanes, mine, i);
      adder.add(run.positive(of.level.grid, above), logits, gradient, first, overlap);
    }
    if (count < kWarp) return overlap;
  }
}

template <class Loss>
__global__ void __launch_bounds__(kBlock, 1) add_positives(Run run, Loss loss, Sums sums) {
  const DeviceLevel& of = run.levels[blockIdx.y];
  const GridLevel& grid = of.level.grid;
  const AnchorTerms terms =
      AnchorShares::of(of.level, run.counts[blockIdx.y]).terms(run.gains, run.batch);
  const Adder<Loss> adder{grid, terms, loss, static_cast<int>(threadIdx.x) % kWarp};
  const std::int64_t slots = run.slots(grid);
  PositiveLoss sum;
  for (std::int64_t slot = thread_index() / kWarp; slot < slots; slot += thread_count() / kWarp) {
    const std::int32_t next = run.next[of.first_slot + slot];
    if (next == kNoPositive) continue;
    const Positive p = run.positive(grid, slot);
    const std::int64_t first = of.level.offset + first_logit(grid, p);
    float* gradient = run.gradient == nullptr ? nullptr : run.gradient + first;
    std::int32_t* cell = run.cells + of.first_cell + objectness_index(grid, p);
    // Only the tail reads the head, as only the tail overwrites it.
    const std::int32_t head = next == kTail ? *cell : kTail;
    const bool alone = head == slot + 1;
    float overlap = 0.0F;
    const PositiveLoss part =
        adder.add(p, run.output + first, alone ? gradient : nullptr, true, overlap);
    sum.box += part.box;
    sum.category += part.category;
    if (next != kTail) continue;
    if (!alone) overlap = add_list(run, of, adder, head, run.output + first, gradient);
    __syncwarp();  // all lanes have the head
    if (adder.lane == 0) *cell = __float_as_int(at_least(overlap, 0.0F));
  }
  const std::int64_t at = blockIdx.y * sums.positive_blocks + blockIdx.x;
  sum.box = block_sum<kBlock>(sum.box);
  sum.category = block_sum<kBlock>(sum.category);
  if (threadIdx.x == 0) {
    sums.box[at] = sum.box;
    sums.category[at] = sum.category;
  }
}

template <class Loss>
__global__ void __launch_bounds__(kBlock) add_objectness(Run run, Loss loss, Sums sums) {
  const DeviceLevel& of = run.levels[blockIdx.y];
  const GridLevel& grid = of.level.grid;
  const float scale = AnchorShares::of(of.level, 0).terms(run.gains, run.batch).objectness_scale;
  const std::int64_t plane = grid.cells();
  const std::int64_t count = run.batch * grid.anchors * plane;
  double sum = 0.0;
  for (std::int64_t i = thread_index(); i < count; i += thread_count()) {
    const std::int64_t row = i / plane;
    const std::int64_t image = row / grid.anchors;
    const std::int64_t anchor = row - image * grid.anchors;
    const std::int64_t at = of.level.offset + image * grid.sample_floats +
                            (anchor * grid.anchor_channels() + 4) * plane + (i - row * plane);
    std::int32_t* cell = run.cells + of.first_cell + i;
    const std::int32_t wanted = *cell;
    if (wanted != 0) *cell = 0;
    const LossTerm term = loss(run.output[at], __int_as_float(wanted));
    sum += double{term.loss};
    if (run.gradient != nullptr) run.gradient[at] = term.gradient * scale;
  }
  sum = block_sum<kBlock>(sum);
  if (threadIdx.x == 0) sums.objectness[blockIdx.y * sums.objectness_blocks + blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kBlock)
    finish(Run run, std::int64_t levels, Sums sums, DetectionResult* result) {
  DetectionResult loss{};
  const auto batch = static_cast<double>(run.batch);
  for (std::int64_t i = 0; i < levels; ++i) {
    const std::int64_t first = i * sums.positive_blocks;
    const double box = block_sum_of<kBlock>(sums.box + first, sums.positive_blocks);
    const double category = block_sum_of<kBlock>(sums.category + first, sums.positive_blocks);
    const double objectness =
        block_sum_of<kBlock>(sums.objectness + i * sums.objectness_blocks, sums.objectness_blocks);
    if (threadIdx.x != 0) continue;
    const AnchorShares shares = AnchorShares::of(run.levels[i].level, run.counts[i]);
    loss.box += box * shares.box;
    loss.category += category * shares.category;
    loss.objectness += objectness * shares.cell / batch;
    loss.positives += run.counts[i];
    run.counts[i] = 0;
  }
  if (threadIdx.x != 0) return;
  loss.total =
      batch * (double{run.gains.box} * loss.box + double{run.gains.objectness} * loss.objectness +
               double{run.gains.category} * loss.category);
  *result = loss;
}

// Warps for that many slots: most slots are no positives and soon done with.
std::int64_t positive_threads(std::int64_t slots) {
  constexpr std::int64_t kOfWarp = 8;
  return (slots + kOfWarp - 1) / kOfWarp * kWarp;
}

// One level a row of blocks.
Grid rows_over(std::int64_t threads, std::int64_t levels) {
  Grid grid = grid_over(threads);
  grid.blocks.y = static_cast<unsigned>(levels);
  return grid;
}

template <class Act>
void with_loss(const CrossEntropy& kind, const Act& act) {
  if (kind.focal_gamma > 0.0F) {
    act(FocalCrossEntropy{kind.positive_weight, kind.focal_gamma});
  } else {
    act(BinaryCrossEntropy{kind.positive_weight});
  }
}

}  // namespace

AnchorLossCuda::AnchorLossCuda(std::span<const AnchorLevel> levels,
                               const AnchorGains& gains,
                               std::int64_t max_batch,
                               std::int64_t max_boxes,
                               StreamView stream)
    : DetectionLossCuda(
          {max_batch, max_boxes}, std::ssize(levels), levels.front().grid.sample_floats),
      gains_(gains) {
  std::vector<float> sizes;
  std::vector<DeviceLevel> known;
  std::int64_t cells = 0;
  std::int64_t slots = 0;
  for (const AnchorLevel& level : levels) {
    const std::int64_t level_cells = level.grid.anchors * level.grid.cells();
    const std::int64_t level_slots = level.grid.anchors * kPositivesPerAnchor;
    known.push_back({.level = level, .first_cell = cells, .first_slot = slots});
    cells += max_batch * level_cells;
    slots += max_boxes * level_slots;
    level_cells_ = std::max(level_cells_, level_cells);
    level_slots_ = std::max(level_slots_, level_slots);
    sizes.insert(sizes.end(), level.grid.anchor_sizes,
                 level.grid.anchor_sizes + 2 * level.grid.anchors);
  }
  PS_ASSERT(level_slots_ * max_boxes < kNoSlot, "slots are numbered in 32 bits");
  const int device = stream.device();
  const DeviceGuard guard(device);
  sizes_ = allocate(device, std::ssize(sizes), sizeof(float));
  levels_ = allocate(device, level_count_, sizeof(DeviceLevel));
  cells_ = allocate(device, cells, sizeof(std::int32_t));
  next_ = allocate(device, slots, sizeof(std::int32_t));
  counts_ = allocate(device, level_count_, sizeof(std::int32_t));
  const std::int64_t blocks =
      2 * std::int64_t{grid_over(positive_threads(level_slots_ * max_boxes)).blocks.x} +
      std::int64_t{grid_over(level_cells_ * max_batch).blocks.x};
  sums_ = allocate(device, level_count_ * blocks, sizeof(double));
  const float* size = sizes_.as<float>();
  for (DeviceLevel& level : known) {
    level.level.grid.anchor_sizes = size;
    size += 2 * level.level.grid.anchors;
  }
  copy_to_device(sizes_.data(), sizes.data(), sizes.size() * sizeof(float), stream);
  copy_to_device(levels_.data(), known.data(), known.size() * sizeof(DeviceLevel), stream);
  stream.synchronize();
}

void AnchorLossCuda::run(const float* output,
                         std::int64_t batch,
                         const TrueBox* boxes,
                         std::int64_t box_count,
                         float* gradient,
                         DetectionResult* result,
                         StreamView stream) {
  check(batch, box_count);
  const DeviceGuard guard(stream.device());
  const Run run{.levels = levels_.as<DeviceLevel>(),
                .gains = gains_,
                .output = output,
                .batch = batch,
                .boxes = boxes,
                .box_count = box_count,
                .gradient = gradient,
                .cells = cells_.as<std::int32_t>(),
                .next = next_.as<std::int32_t>(),
                .counts = counts_.as<std::int32_t>()};
  const std::int64_t slots = level_slots_ * box_count;
  const Grid of_positives = rows_over(positive_threads(slots), level_count_);
  const Grid of_cells = rows_over(level_cells_ * batch, level_count_);
  Sums sums{.box = sums_.as<double>(),
            .category = nullptr,
            .positive_blocks = box_count == 0 ? 0 : std::int64_t{of_positives.blocks.x},
            .objectness = nullptr,
            .objectness_blocks = of_cells.blocks.x};
  sums.category = sums.box + level_count_ * sums.positive_blocks;
  sums.objectness = sums.category + level_count_ * sums.positive_blocks;
  if (gradient != nullptr) {
    fill_zero(gradient, static_cast<std::size_t>(batch * sample_floats_) * sizeof(float), stream);
  }
  if (box_count > 0) {
    launch(stream, rows_over(slots, level_count_), find_positives, run);
    with_loss(gains_.category_loss, [&](auto loss) {
      launch(stream, of_positives, add_positives<decltype(loss)>, run, loss, sums);
    });
  }
  with_loss(gains_.objectness_loss, [&](auto loss) {
    launch(stream, of_cells, add_objectness<decltype(loss)>, run, loss, sums);
  });
  launch(stream, Grid{}, finish, run, level_count_, sums, result);
}

}  // namespace ps::kernels
