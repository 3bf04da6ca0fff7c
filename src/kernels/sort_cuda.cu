// Batcher's bitonic sort (1968) of each image's keys: distances within a chunk in shared memory,
// longer ones a launch each. How many keys an image has is known on the device; blocks beyond them
// return at once.
#include "kernels/detection_cuda.h"
#include "kernels/launch.cuh"

namespace ps::kernels {
namespace {

constexpr auto kChunk = static_cast<int>(kSortedKeys);

struct Keys {
  std::int64_t room;
  std::uint64_t* keys;
  const std::int32_t* counts;

  [[nodiscard]] __device__ __forceinline__ std::uint64_t* own() const {
    return keys + blockIdx.y * room;
  }
  // The block's image's.
  [[nodiscard]] __device__ __forceinline__ std::int64_t count() const {
    const std::int64_t found = counts[blockIdx.y];
    return found > room ? 0 : found;
  }
  // What is sorted: a power of two. Keys after the last one are the greatest.
  [[nodiscard]] __device__ __forceinline__ std::int64_t sorted() const {
    std::int64_t size = kChunk;
    while (size < count()) size *= 2;
    return count() == 0 ? 0 : size;
  }
};

__device__ __forceinline__ void order(std::uint64_t& first, std::uint64_t& second, bool up) {
  const std::uint64_t a = first;
  const std::uint64_t b = second;
  if ((a > b) != up) return;
  first = b;
  second = a;
}

// The less place of a pair of that distance, a power of two.
__device__ __forceinline__ std::int64_t place_of(std::int64_t pair, std::int64_t distance) {
  return 2 * pair - (pair & (distance - 1));
}

// The steps of runs of `size`, from that distance on, of a chunk that begins with key `start`.
__device__ __forceinline__ void merge(std::uint64_t* chunk,
                                      std::int64_t start,
                                      std::int64_t size,
                                      int distance) {
  for (; distance > 0; distance /= 2) {
    for (int pair = static_cast<int>(threadIdx.x); pair < kChunk / 2; pair += kBlock) {
      const std::int64_t at = place_of(pair, distance);
      order(chunk[at], chunk[at + distance], ((start + at) & size) == 0);
    }
    __syncthreads();
  }
}

// Runs of a chunk, and what lies behind the last key.
__global__ void __launch_bounds__(kBlock) sort_chunks(Keys keys) {
  __shared__ std::uint64_t chunk[kChunk];
  const std::int64_t start = static_cast<std::int64_t>(blockIdx.x) * kChunk;
  if (start >= keys.sorted()) return;
  const std::int64_t count = keys.count();
  for (int i = static_cast<int>(threadIdx.x); i < kChunk; i += kBlock) {
    chunk[i] = start + i < count ? keys.own()[start + i] : ~std::uint64_t{0};
  }
  __syncthreads();
  for (int size = 2; size <= kChunk; size *= 2) merge(chunk, start, size, size / 2);
  for (int i = static_cast<int>(threadIdx.x); i < kChunk; i += kBlock) {
    keys.own()[start + i] = chunk[i];
  }
}

// One step between chunks, of runs of `size`.
__global__ void __launch_bounds__(kBlock)
    merge_far(Keys keys, std::int64_t size, std::int64_t distance) {
  const std::int64_t at = place_of(thread_index(), distance);
  if (size > keys.sorted() || at >= keys.sorted()) return;
  std::uint64_t* own = keys.own() + at;
  order(own[0], own[distance], (at & size) == 0);
}

// The steps within chunks, of runs of `size`.
__global__ void __launch_bounds__(kBlock) merge_chunks(Keys keys, std::int64_t size) {
  __shared__ std::uint64_t chunk[kChunk];
  const std::int64_t start = static_cast<std::int64_t>(blockIdx.x) * kChunk;
  if (size > keys.sorted() || start >= keys.sorted()) return;
  for (int i = static_cast<int>(threadIdx.x); i < kChunk; i += kBlock) {
    chunk[i] = keys.own()[start + i];
  }
  __syncthreads();
  merge(chunk, start, size, kChunk / 2);
  for (int i = static_cast<int>(threadIdx.x); i < kChunk; i += kBlock) {
    keys.own()[start + i] = chunk[i];
  }
}

}  // namespace

void sort_cuda(const Candidates& candidates,
               std::int64_t images,
               std::int64_t most_found,
               StreamView stream) {
  if (images == 0 || most_found == 0) return;
  const DeviceGuard guard(stream.device());
  const Keys keys{candidates.room, candidates.keys, candidates.counts};
  std::int64_t sorted = kChunk;
  while (sorted < most_found) sorted *= 2;
  const auto of_keys = [images, sorted](std::int64_t each) {
    return Grid{.blocks =
                    dim3(static_cast<unsigned>(sorted / each), static_cast<unsigned>(images))};
  };
  launch(stream, of_keys(kChunk), sort_chunks, keys);
  for (std::int64_t size = 2 * kChunk; size <= sorted; size *= 2) {
    for (std::int64_t distance = size / 2; distance >= kChunk; distance /= 2) {
      launch(stream, of_keys(2 * kBlock), merge_far, keys, size, distance);
    }
    launch(stream, of_keys(kChunk), merge_chunks, keys, size);
  }
}

}  // namespace ps::kernels
