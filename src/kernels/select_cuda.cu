// A warp for each decoded row looks at its classes and appends the row's candidates in whatever
// order warps come: their keys say the order.
#include "kernels/detection.cuh"
#include "kernels/detection_cuda.h"
#include "kernels/finite_math.h"
#include "kernels/launch.cuh"

namespace ps::kernels {
namespace {

struct Key {
  std::uint64_t bits;

  PS_HOST_DEVICE static Key of(float score, std::int64_t place) {
    const std::uint64_t worse = ~__builtin_bit_cast(std::uint32_t, score);
    return {worse << 32U | static_cast<std::uint64_t>(place)};
  }
  [[nodiscard]] PS_HOST_DEVICE float score() const {
    return __builtin_bit_cast(float, ~static_cast<std::uint32_t>(bits >> 32U));
  }
  [[nodiscard]] PS_HOST_DEVICE std::int64_t place() const {
    return static_cast<std::int64_t>(bits & 0xFFFFFFFFU);
  }
};

__device__ __forceinline__ int lane_of_warp() {
  return static_cast<int>(threadIdx.x) % kWarp;
}

__device__ __forceinline__ bool is_finite(float x) {
  return is_finite_mark(finite_mark(x));
}

// All lanes of a warp call it; those that have a candidate append it.
__device__ __forceinline__ void append(const Candidates& to,
                                       bool has,
                                       float score,
                                       std::int64_t at) {
  const unsigned votes = __ballot_sync(kAllLanes, static_cast<int>(has));
  if (votes == 0) return;
  const std::int64_t image = blockIdx.y;
  std::int32_t first = 0;
  if (lane_of_warp() == 0) first = atomicAdd(to.counts + image, __popc(votes));
  first = __shfl_sync(kAllLanes, first, 0);
  const std::int64_t slot = first + __popc(votes & ((1U << lane_of_warp()) - 1U));
  if (has && slot < to.room) to.keys[image * to.room + slot] = Key::of(score, at).bits;
}

// Every class above the confidence.
__device__ __forceinline__ void append_all(const Selection& s,
                                           const Candidates& to,
                                           const float* probabilities,
                                           float objectness,
                                           std::int64_t row) {
  for (std::int64_t first = 0; first < to.classes; first += kWarp) {
    const std::int64_t category = first + lane_of_warp();
    const bool exists = category < to.classes;
    const float score = exists ? objectness * probabilities[category] : 0.0F;
    const bool has = exists && score > s.confidence && is_finite(score) && s.wanted[category] != 0;
    append(to, has, score, row * to.classes + category);
  }
}

// The best class, the first of equals, if it is wanted.
__device__ __forceinline__ void append_best(const Selection& s,
                                            const Candidates& to,
                                            const float* probabilities,
                                            float objectness,
                                            std::int64_t row) {
  unsigned long long best = 0;  // the score's bits, then the class upside down
  for (std::int64_t category = lane_of_warp(); category < to.classes; category += kWarp) {
    const float score = objectness * probabilities[category];
    if (!(score > s.confidence)) continue;
    const auto own = (static_cast<unsigned long long>(__float_as_uint(score)) << 32U) |
                     ~static_cast<std::uint32_t>(category);
    best = Larger{}(best, own);
  }
  best = warp_join(best, Larger{});
  if (best == 0) return;
  const auto category = static_cast<std::int64_t>(~static_cast<std::uint32_t>(best));
  const float score = __uint_as_float(static_cast<std::uint32_t>(best >> 32U));
  const bool has = lane_of_warp() == 0 && is_finite(score) && s.wanted[category] != 0;
  append(to, has, score, row * to.classes + category);
}

__global__ void __launch_bounds__(kBlock) select_kernel(Selection s, Candidates to) {
  const std::int64_t first_class = s.has_objectness != 0 ? 5 : 4;
  const std::int64_t floats = first_class + to.classes;
  const std::int64_t first_row = blockIdx.y * to.rows;
  for (std::int64_t i = thread_index() / kWarp; i < to.rows; i += thread_count() / kWarp) {
    const float* row = s.rows + (first_row + i) * floats;
    const float objectness = s.has_objectness != 0 ? row[4] : 1.0F;
    if (!(objectness > s.confidence)) continue;
    const float x = row[0];
    const float y = row[1];
    const float width = row[2];
    const float height = row[3];
    if (!is_finite(x) || !is_finite(y) || !is_finite(width) || !is_finite(height)) continue;
    if (lane_of_warp() == 0) {
      to.corners[first_row + i] = {x - width / 2.0F, y - height / 2.0F, x + width / 2.0F,
                                   y + height / 2.0F};
    }
    if (s.multi_label != 0) {
      append_all(s, to, row + first_class, objectness, i);
    } else {
      append_best(s, to, row + first_class, objectness, i);
    }
  }
}

__global__ void __launch_bounds__(kBlock) gather_kernel(Candidates from, SortedBoxes to) {
  const std::int64_t image = blockIdx.y;
  const std::int64_t found = from.counts[image];
  const std::int64_t here = found > from.room ? 0 : (found < to.room ? found : to.room);
  if (thread_index() == 0) to.counts[image] = static_cast<std::int32_t>(here);
  for (std::int64_t i = thread_index(); i < here; i += thread_count()) {
    const Key key{from.keys[image * from.room + i]};
    const std::int64_t row = key.place() / from.classes;
    to.boxes[image * to.room + i] = {from.corners[image * from.rows + row], key.score(),
                                     static_cast<std::int32_t>(key.place() - row * from.classes)};
  }
}

Grid one_row_an_image(std::int64_t threads, std::int64_t images) {
  Grid grid = grid_over(threads);
  grid.blocks.y = static_cast<unsigned>(images);
  return grid;
}

}  // namespace

void select_cuda(const Selection& selection,
                 std::int64_t images,
                 const Candidates& to,
                 StreamView stream) {
  if (images == 0 || to.rows == 0) return;
  const DeviceGuard guard(stream.device());
  launch(stream, one_row_an_image(to.rows * kWarp, images), select_kernel, selection, to);
}

void gather_cuda(const Candidates& candidates,
                 std::int64_t images,
                 const SortedBoxes& to,
                 StreamView stream) {
  if (images == 0) return;
  const DeviceGuard guard(stream.device());
  launch(stream, one_row_an_image(to.room, images), gather_kernel, candidates, to);
}

}  // namespace ps::kernels
