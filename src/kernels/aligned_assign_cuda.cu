// Which cells of an anchor-free head answer for which true boxes, and with which scores: what
// nn/aligner.h says, for all images at once.
//
// 1. One thread a cell: the box it says.
// 2. One block a true box: its candidates, the best ten cells of all that it holds. Each cell
//    counts the boxes that claim it, and remembers the first of them.
// 3. One warp a candidate; of those of one cell only the first goes on: a cell that several claim
//    goes to the box that it overlaps most, of all that hold it. Boxes note their largest metric
//    and overlap.
// 4. One block: scores, and what their sum makes of the gains.
#include "kernels/aligned_loss_cuda.cuh"

namespace ps::kernels::aligned {
namespace {

using Key = unsigned long long;

constexpr int kWeighers = 1024;

__global__ void __launch_bounds__(kBlock) locate(Run run) {
  const std::int64_t count = run.batch * run.cells;
  for (std::int64_t i = thread_index(); i < count; i += thread_count()) {
    const std::int64_t image = i / run.cells;
    const auto number = static_cast<std::int32_t>(i - image * run.cells);
    const Place place = Place::of(run, number);
    const std::int64_t plane = place.level.grid.cells();
    const float* logits = run.output + image * run.sample_floats + place.level.offset + place.cell;
    float means[kSides];
    for (std::int64_t side = 0; side < kSides; ++side) {
      means[side] = Distribution::of(logits + side * kBins * plane, plane).mean;
    }
    const Box box =
        box_in_pixels({means[0], means[1], means[2], means[3]}, place.cell % place.level.grid.width,
                      place.cell / place.level.grid.width, place.level.stride);
    float* to = run.said + image * 4 * run.cells + number;
    to[0] = box.x;
    to[run.cells] = box.y;
    to[2 * run.cells] = box.width;
    to[3 * run.cells] = box.height;
  }
}

// How well a cell answers for a true box.
__device__ __forceinline__ Alignment alignment(const Run& run,
                                               const TrueBox& box,
                                               const Box& wanted,
                                               const Place& place) {
  const float* said = run.said + box.image * 4 * run.cells + place.level.first_cell + place.cell;
  const float logit =
      run.output[box.image * run.sample_floats + place.level.offset +
                 (kBoxChannels + box.category) * place.level.grid.cells() + place.cell];
  return Alignment::of(logit, wanted,
                       {said[0], said[run.cells], said[2 * run.cells], said[3 * run.cells]});
}

// Larger for a larger metric, then for a smaller number.
__device__ __forceinline__ Key key_of(float metric, std::int32_t number) {
  return (static_cast<Key>(__float_as_uint(metric)) << 32U) |
         (0xFFFFFFFFU - static_cast<unsigned>(number));
}
__device__ __forceinline__ std::int32_t number_of(Key key) {
  return static_cast<std::int32_t>(0xFFFFFFFFU - static_cast<unsigned>(key));
}

// A thread's best, in order; 0: none. Indices are constants, so that all stay in registers.
struct BestKeys {
  Key keys[kAlignedCells] = {};

  __device__ __forceinline__ void offer(Key key) {
    if (key <= keys[kAlignedCells - 1]) return;
    keys[kAlignedCells - 1] = key;
#pragma unroll
    for (int i = kAlignedCells - 1; i > 0; --i) {
      const Key a = keys[i - 1];
      const Key b = keys[i];
      keys[i - 1] = a > b ? a : b;
      keys[i] = a > b ? b : a;
    }
  }
  __device__ __forceinline__ void drop_first() {
#pragma unroll
    for (int i = 1; i < kAlignedCells; ++i) keys[i - 1] = keys[i];
    keys[kAlignedCells - 1] = 0;
  }
};

// This thread's share of the cells that the box holds.
__device__ __forceinline__ BestKeys best_keys(const Run& run,
                                              const TrueBox& box,
                                              const Box& wanted) {
  BestKeys best;
  for (std::int64_t number = 0; number < run.level_count; ++number) {
    const AlignedLevel& level = run.levels[number].level;
    const CellRange columns =
        CellRange::inside(level.grid.width, level.stride, wanted.x, wanted.width);
    const CellRange rows =
        CellRange::inside(level.grid.height, level.stride, wanted.y, wanted.height);
    const auto width = static_cast<std::int32_t>(columns.last - columns.first);
    const auto count = width * static_cast<std::int32_t>(rows.last - rows.first);
    for (auto i = static_cast<std::int32_t>(threadIdx.x); i < count; i += kBlock) {
      const std::int64_t row = rows.first + i / width;
      const Place place{
          level, static_cast<std::int32_t>(row * level.grid.width + columns.first + i % width)};
      const float metric = alignment(run, box, wanted, place).metric;
      if (metric > 0.0F) {
        best.offer(key_of(metric, static_cast<std::int32_t>(level.first_cell) + place.cell));
      }
    }
  }
  return best;
}

__global__ void __launch_bounds__(kBlock) align(Run run) {
  const auto thread = static_cast<std::int32_t>(threadIdx.x);
  for (std::int64_t i = blockIdx.x; i < run.box_count; i += gridDim.x) {
    const TrueBox box = run.boxes[i];
    const Box wanted = in_pixels(box, run.input);
    BestKeys best = best_keys(run, box, wanted);
    Key mine = 0;
    for (std::int32_t rank = 0; rank < kAlignedCells; ++rank) {
      const Key first = block_max<kBlock>(best.keys[0]);
      if (first == 0) break;
      if (best.keys[0] == first) best.drop_first();
      if (thread == rank) mine = first;
    }
    if (thread == 0) run.bests[i] = {0, 0};
    if (thread >= kAlignedCells) continue;
    const auto slot = static_cast<std::int32_t>(i * kAlignedCells + thread);
    AlignedCell found{.cell = -1, .metric = 0.0F, .overlap = 0.0F};
    if (mine != 0) {
      found.cell = number_of(mine);
      const Alignment said = alignment(run, box, wanted, Place::of(run, found.cell));
      found.metric = said.metric;
      found.overlap = said.overlap;
      Claims& claims = run.claims[box.image * run.cells + found.cell];
      atomicAdd(&claims.count, 1);
      atomicMax(&claims.first, INT32_MAX - slot);
    }
    run.candidates[slot] = found;
  }
}

// What the cell goes to that several boxes claim; by one warp. Overlaps are not negative, so their
// bits are in their order.
__device__ __forceinline__ std::int32_t strongest(const Run& run,
                                                  std::int32_t image,
                                                  const Place& place) {
  const std::int64_t column = place.cell % place.level.grid.width;
  const std::int64_t row = place.cell / place.level.grid.width;
  Key best = 0;
  for (std::int64_t i = threadIdx.x % kWarp; i < run.box_count; i += kWarp) {
    const TrueBox box = run.boxes[i];
    const Box wanted = in_pixels(box, run.input);
    if (box.image != image || !holds_cell(wanted, column, row, place.level.stride)) continue;
    const float overlap = alignment(run, box, wanted, place).overlap;
    if (!(overlap >= 0.0F)) continue;
    const Key key = key_of(overlap + 0.0F, static_cast<std::int32_t>(i));  // no negative zero
    best = key > best ? key : best;
  }
  return number_of(warp_join(best, Larger{}));
}

__global__ void __launch_bounds__(kBlock) settle(Run run) {
  const std::int64_t slots = run.box_count * kAlignedCells;
  for (std::int64_t slot = thread_index() / kWarp; slot < slots; slot += thread_count() / kWarp) {
    const AlignedCell found = run.candidates[slot];
    auto number = static_cast<std::int32_t>(slot / kAlignedCells);
    const std::int32_t image = run.boxes[number].image;
    Assigned assigned{-1, found.cell, found.metric, 0.0F};
    float overlap = found.overlap;
    if (found.cell >= 0) {
      const Claims claims = run.claims[image * run.cells + found.cell];
      if (claims.first == INT32_MAX - slot) {
        if (claims.count > 1) {
          const Place place = Place::of(run, found.cell);
          number = strongest(run, image, place);
          const TrueBox box = run.boxes[number];
          const Alignment said = alignment(run, box, in_pixels(box, run.input), place);
          assigned.metric = said.metric;
          overlap = said.overlap;
        }
        assigned.box = number;
      }
    }
    if (threadIdx.x % kWarp != 0) continue;
    run.assigned[slot] = assigned;
    if (assigned.box < 0) continue;
    atomicMax(&run.bests[number].metric, __float_as_int(assigned.metric));
    atomicMax(&run.bests[number].overlap, __float_as_int(overlap));
  }
}

__global__ void __launch_bounds__(kWeighers) weigh(Run run) {
  double scores = 0.0;
  double positives = 0.0;  // exact
  const std::int64_t slots = run.box_count * kAlignedCells;
  for (std::int64_t slot = threadIdx.x; slot < slots; slot += kWeighers) {
    const Assigned assigned = run.assigned[slot];
    if (assigned.box < 0) continue;
    const Best best = run.bests[assigned.box];
    const float score =
        aligned_score(assigned.metric, __int_as_float(best.metric), __int_as_float(best.overlap));
    run.assigned[slot].metric = score;
    scores += double{score};
    positives += 1.0;
  }
  scores = block_sum<kWeighers>(scores);
  positives = block_sum<kWeighers>(positives);
  if (threadIdx.x == 0) {
    *run.shares = {AlignedShares::of(run.gains, scores, run.batch), positives};
  }
}

}  // namespace

void assign(const Run& run, StreamView stream) {
  if (run.box_count > 0) {
    launch(stream, grid_over(run.batch * run.cells), locate, run);
    launch(stream, grid_over(run.box_count * kBlock), align, run);
    // Few cells are claimed twice: a warp takes several.
    launch(stream, grid_over(run.box_count * (kAlignedCells / 2) * kWarp), settle, run);
  }
  launch(stream, Grid{.threads = dim3(kWeighers)}, weigh, run);
}

}  // namespace ps::kernels::aligned
