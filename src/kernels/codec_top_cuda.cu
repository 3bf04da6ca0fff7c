// Top-k on a GPU, in passes whose results do not depend on any order: histograms of the magnitudes'
// bits, 11, 10 and 10 from the top, find the k-th largest; tiles count what is above it and equal
// to it; a scan of the counts says where each tile writes. Counting is in integers, so atomics are
// exact.
#include "kernels/codec_cuda.cuh"
#include "kernels/codec_cuda.h"

namespace ps::kernels::gpu {
namespace {

constexpr std::uint32_t kMagnitude = 0x7FFFFFFFU;
constexpr int kDigits = 2048;  // of the first level; later ones have half as many
constexpr int kLevels = 3;
constexpr unsigned kTileValues = 4096;
constexpr unsigned kWarps = kBlock / kWarp;
constexpr unsigned kLaneValues = kTileValues / kBlock;

// What the levels have found of the k-th largest, and after the last one: all of it, and how many
// equal ones are sent.
struct Found {
  std::uint32_t bits;
  std::uint32_t left;
};

struct Tile {
  std::uint32_t above;  // counts, then (after the scan) those of the tiles before
  std::uint32_t equal;
};

struct Workspace {
  Found found[kLevels];
  std::uint32_t counters[kLevels][kDigits];
  Tile tiles[1];  // one for each kTileValues
};

struct Level {
  int number;
  std::uint32_t shift;  // bits below the digit
  std::uint32_t above;  // bits below what is known
};

__device__ __forceinline__ Level level(int number) {
  const std::uint32_t shift = 10U * static_cast<std::uint32_t>(kLevels - 1 - number);
  return {.number = number, .shift = shift, .above = number == 0 ? 31 : shift + 10};
}

// --- Histograms

__device__ __forceinline__ void count_digit(std::uint32_t* counters,
                                            const Level& at,
                                            std::uint32_t known,
                                            float p) {
  const std::uint32_t magnitude = magnitude_bits(p);
  if (magnitude >> at.above != known >> at.above) return;
  const std::uint32_t digits = at.number == 0 ? kDigits : kDigits / 2;
  atomicAdd(&counters[magnitude >> at.shift & (digits - 1)], 1U);
}

// Shared counters of one block, added to the grid's.
__device__ __forceinline__ void clear_counters(std::uint32_t* counters) {
  for (unsigned i = threadIdx.x; i < kDigits; i += blockDim.x) counters[i] = 0;
  __syncthreads();
}
__device__ __forceinline__ void add_counters(const std::uint32_t* counters, std::uint32_t* to) {
  __syncthreads();
  for (unsigned i = threadIdx.x; i < kDigits; i += blockDim.x) {
    if (counters[i] != 0) atomicAdd(&to[i], counters[i]);
  }
}

// p = values + residual, into the residual, and the first level's histogram of it.
template <unsigned kWidth>
__global__ void take_kernel(const Encoding pass, Workspace* space) {
  __shared__ std::uint32_t counters[kDigits];
  clear_counters(counters);
  for_each<kWidth>(pass.count, [&](auto width, std::size_t i) {
    constexpr unsigned kN = decltype(width)::kValue;
    Floats<kN> p = load_any<kN>(pass.values + i);
    if (pass.residual != nullptr) {
      const Floats<kN> residual = load_aligned<kN>(pass.residual + i);
#pragma unroll
      for (unsigned j = 0; j < kN; ++j) {
        p.at[j] += residual.at[j];
        if (pass.k == 0) p.at[j] = residual_of(p.at[j], 0.0F);  // nothing else will look at it
      }
      store_aligned<kN>(pass.residual + i, p);
    }
#pragma unroll
    for (const float x : p.at) count_digit(counters, level(0), 0, x);
  });
  add_counters(counters, space->counters[0]);
}

template <unsigned kWidth>
__global__ void histogram_kernel(const float* p, std::size_t count, int number, Workspace* space) {
  __shared__ std::uint32_t counters[kDigits];
  clear_counters(counters);
  const std::uint32_t known = space->found[number - 1].bits;
  for_each<kWidth>(count, [&](auto width, std::size_t i) {
    for (const float x : load_aligned<decltype(width)::kValue>(p + i).at) {
      count_digit(counters, level(number), known, x);
    }
  });
  add_counters(counters, space->counters[number]);
}

// The sum of all earlier threads' values; of one block of kBlock threads.
__device__ __forceinline__ std::uint32_t sum_before(std::uint32_t value, std::uint32_t* shared) {
  shared[threadIdx.x] = value;
  __syncthreads();
  for (unsigned reach = 1; reach < kBlock; reach *= 2) {
    const std::uint32_t earlier = threadIdx.x >= reach ? shared[threadIdx.x - reach] : 0;
    __syncthreads();
    shared[threadIdx.x] += earlier;
    __syncthreads();
  }
  return shared[threadIdx.x] - value;
}

// One block: the digit in which the wanted one lies, counted from the largest digit down.
__global__ void find_kernel(int number, std::uint32_t k, Workspace* space) {
  __shared__ std::uint32_t shared[kBlock];
  constexpr int kEach = kDigits / kBlock;
  const std::uint32_t* counters = space->counters[number];
  const std::uint32_t wanted = number == 0 ? k : space->found[number - 1].left;
  const std::uint32_t known = number == 0 ? 0 : space->found[number - 1].bits;
  const int top = kDigits - 1 - static_cast<int>(threadIdx.x) * kEach;
  std::uint32_t here = 0;
  for (int i = 0; i < kEach; ++i) here += counters[top - i];
  const std::uint32_t before = sum_before(here, shared);
  if (before >= wanted || wanted - before > here) return;
  std::uint32_t left = wanted - before;
  int digit = top;
  for (; counters[digit] < left; --digit) left -= counters[digit];
  space->found[number] = {.bits = known | static_cast<std::uint32_t>(digit) << level(number).shift,
                          .left = left};
}

// --- Compaction. A warp has kLaneValues * 32 neighbours of a tile, a lane every 32nd of them.

struct Counted {
  std::uint32_t above;
  std::uint32_t equal;
};

struct Piece {
  std::uint32_t bits[kLaneValues];
  std::size_t first;  // of this lane's values

  __device__ __forceinline__ Piece(const std::uint32_t* p, std::size_t count, std::size_t tile) {
    const std::size_t warp = threadIdx.x / kWarp;
    first = tile * kTileValues + warp * (kLaneValues * kWarp) + threadIdx.x % kWarp;
#pragma unroll
    for (unsigned i = 0; i < kLaneValues; ++i) {
      // Behind the end: 0, which is above nothing; that it equals nothing, the callers see to.
      bits[i] = at(i) < count ? p[at(i)] : 0;
    }
  }
  [[nodiscard]] __device__ __forceinline__ std::size_t at(unsigned i) const {
    return first + std::size_t{kWarp} * i;
  }
};

// The lanes of a warp whose values are above the threshold, and those equal to it.
__device__ __forceinline__ Counted vote(std::uint32_t bits, bool exists, std::uint32_t threshold) {
  const std::uint32_t magnitude = bits & kMagnitude;
  const bool above = exists && magnitude > threshold;
  const bool equal = exists && magnitude == threshold;
  return {.above = __ballot_sync(kAllLanes, static_cast<int>(above)),
          .equal = __ballot_sync(kAllLanes, static_cast<int>(equal))};
}

__device__ __forceinline__ Counted count_piece(const Piece& piece,
                                               std::size_t count,
                                               std::uint32_t threshold) {
  Counted sum{0, 0};
#pragma unroll
  for (unsigned i = 0; i < kLaneValues; ++i) {
    const Counted votes = vote(piece.bits[i], piece.at(i) < count, threshold);
    sum.above += static_cast<std::uint32_t>(__popc(votes.above));
    sum.equal += static_cast<std::uint32_t>(__popc(votes.equal));
  }
  return sum;
}

__global__ void count_kernel(const std::uint32_t* p,
                             std::size_t count,
                             std::size_t tiles,
                             Workspace* space) {
  __shared__ std::uint32_t above;
  __shared__ std::uint32_t equal;
  const std::uint32_t threshold = space->found[kLevels - 1].bits;
  for (std::size_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    if (threadIdx.x == 0) above = equal = 0;
    __syncthreads();
    const Counted sum = count_piece(Piece(p, count, tile), count, threshold);
    if (threadIdx.x % kWarp == 0) {
      atomicAdd(&above, sum.above);
      atomicAdd(&equal, sum.equal);
    }
    __syncthreads();
    if (threadIdx.x == 0) space->tiles[tile] = {.above = above, .equal = equal};
  }
}

// One block: each tile's counts become those of the tiles before it.
__global__ void scan_kernel(std::size_t tiles, Workspace* space) {
  __shared__ std::uint32_t shared[kBlock];
  __shared__ std::uint32_t total[2];
  if (threadIdx.x == 0) total[0] = total[1] = 0;
  __syncthreads();
  for (std::size_t begin = 0; begin < tiles; begin += kBlock) {
    const std::size_t tile = begin + threadIdx.x;
    const Tile counts = tile < tiles ? space->tiles[tile] : Tile{0, 0};
    const std::uint32_t above = total[0] + sum_before(counts.above, shared);
    const std::uint32_t equal = total[1] + sum_before(counts.equal, shared);
    if (tile < tiles) space->tiles[tile] = {.above = above, .equal = equal};
    __syncthreads();
    if (threadIdx.x == kBlock - 1) {
      total[0] = above + counts.above;
      total[1] = equal + counts.equal;
    }
    __syncthreads();
  }
}

// Writes what of a warp's piece is sent, in order; `before` is what all earlier values counted.
__device__ __forceinline__ void emit_piece(const Encoding& pass,
                                           const Piece& piece,
                                           const Found& found,
                                           Counted before) {
  auto* words = reinterpret_cast<std::uint32_t*>(pass.encoded);
  const std::uint32_t earlier = (1U << threadIdx.x % kWarp) - 1;
#pragma unroll
  for (unsigned i = 0; i < kLaneValues; ++i) {
    const std::size_t at = piece.at(i);
    const std::uint32_t bits = piece.bits[i];
    const Counted votes = vote(bits, at < pass.count, found.bits);
    const auto above = before.above + static_cast<std::uint32_t>(__popc(votes.above & earlier));
    const auto equal = before.equal + static_cast<std::uint32_t>(__popc(votes.equal & earlier));
    before.above += static_cast<std::uint32_t>(__popc(votes.above));
    before.equal += static_cast<std::uint32_t>(__popc(votes.equal));
    if (at >= pass.count) continue;
    const std::uint32_t magnitude = bits & kMagnitude;
    const bool sent = magnitude > found.bits || (magnitude == found.bits && equal < found.left);
    if (sent) {
      const std::size_t slot = above + (equal < found.left ? equal : found.left);
      words[slot] = static_cast<std::uint32_t>(at);
      words[pass.k + slot] = bits;
    }
    if (pass.residual != nullptr && (sent || magnitude >= kInfinityBits)) pass.residual[at] = 0.0F;
  }
}

__global__ void emit_kernel(const Encoding pass, std::size_t tiles, const Workspace* space) {
  __shared__ Counted warps[kWarps];
  const Found found = space->found[kLevels - 1];
  const auto* p = reinterpret_cast<const std::uint32_t*>(pass.residual != nullptr ? pass.residual
                                                                                  : pass.values);
  const unsigned warp = threadIdx.x / kWarp;
  for (std::size_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const Piece piece(p, pass.count, tile);
    const Counted sum = count_piece(piece, pass.count, found.bits);
    if (threadIdx.x % kWarp == 0) warps[warp] = sum;
    __syncthreads();
    Counted before{.above = space->tiles[tile].above, .equal = space->tiles[tile].equal};
    for (unsigned other = 0; other < warp; ++other) {
      before.above += warps[other].above;
      before.equal += warps[other].equal;
    }
    __syncthreads();
    if (sum.above + sum.equal > 0) emit_piece(pass, piece, found, before);
  }
}

// --- Decoding

__device__ __forceinline__ std::size_t first_item() {
  return static_cast<std::size_t>(thread_index());
}
__device__ __forceinline__ std::size_t item_step() {
  return static_cast<std::size_t>(thread_count());
}

__global__ void check_indices_kernel(const std::uint32_t* indices,
                                     std::size_t k,
                                     std::size_t count,
                                     std::uint32_t* error) {
  for (std::size_t i = first_item(); i < k; i += item_step()) {
    const bool rises = i == 0 || indices[i - 1] < indices[i];
    if (indices[i] >= count || !rises) report(error, CodecError::kIndex);
  }
}

template <unsigned kWidth>
__global__ void zero_kernel(float* values, std::size_t count, const std::uint32_t* error) {
  if (*error != 0) return;
  for_each<kWidth>(count, [&](auto width, std::size_t i) {
    constexpr unsigned kN = decltype(width)::kValue;
    store_aligned<kN>(values + i, Floats<kN>{});
  });
}

__global__ void scatter_kernel(const Decoding pass,
                               const std::uint32_t* indices,
                               std::size_t k,
                               const std::uint32_t* error) {
  if (*error != 0) return;
  for (std::size_t i = first_item(); i < k; i += item_step()) {
    float& value = pass.values[indices[i]];
    value = put(pass, value, float_of(indices[k + i]));
  }
}

void find(int number, const EncodePass& pass, Workspace* space, StreamView stream) {
  launch(stream, Grid{}, find_kernel, number, static_cast<std::uint32_t>(pass.k), space);
}

// Every block adds up to kDigits counters to the grid's, so no more blocks than fill a device.
Grid grid_for(std::int64_t threads) {
  constexpr unsigned kMostBlocks = 1024;
  Grid grid = grid_over(threads);
  grid.blocks.x = std::min(grid.blocks.x, kMostBlocks);
  return grid;
}

std::size_t tiles_of(std::size_t count) {
  return (count + kTileValues - 1) / kTileValues;
}

}  // namespace

std::size_t top_workspace_cuda(std::size_t count) noexcept {
  return sizeof(Workspace) + sizeof(Tile) * tiles_of(count);
}

void encode_top(const EncodePass& pass, StreamView stream) {
  auto* space = reinterpret_cast<Workspace*>(pass.workspace);
  const auto count = static_cast<std::int64_t>(pass.count);
  fill_zero(space->counters, sizeof space->counters, stream);
  const bool aligned = aligned16(pass.residual);
  launch(stream, grid_for(aligned ? (count + 3) / 4 : count),
         aligned ? take_kernel<4> : take_kernel<1>, Encoding(pass), space);
  if (pass.k == 0) return;
  find(0, pass, space, stream);
  const float* p = pass.residual != nullptr ? pass.residual : pass.values;
  const bool wide = aligned16(p);
  for (int number = 1; number < kLevels; ++number) {
    launch(stream, grid_for(wide ? (count + 3) / 4 : count),
           wide ? histogram_kernel<4> : histogram_kernel<1>, p, pass.count, number, space);
    find(number, pass, space, stream);
  }
  const std::size_t tiles = tiles_of(pass.count);
  const Grid grid = grid_for(static_cast<std::int64_t>(tiles) * kBlock);
  launch(stream, grid, count_kernel, reinterpret_cast<const std::uint32_t*>(p), pass.count, tiles,
         space);
  launch(stream, Grid{}, scan_kernel, tiles, space);
  launch(stream, grid, emit_kernel, Encoding(pass), tiles, space);
}

void decode_top(const DecodePass& pass, std::uint32_t* error, StreamView stream) {
  const std::size_t k = pass.bytes / 8;
  const auto count = static_cast<std::int64_t>(pass.count);
  const auto* indices = reinterpret_cast<const std::uint32_t*>(pass.encoded);
  if (k > 0) {
    launch(stream, grid_over(static_cast<std::int64_t>(k)), check_indices_kernel, indices, k,
           pass.count, error);
  }
  if (pass.into == DecodeInto::kValues) {
    const bool aligned = aligned16(pass.values);
    launch(stream, grid_over(aligned ? (count + 3) / 4 : count),
           aligned ? zero_kernel<4> : zero_kernel<1>, pass.values, pass.count, error);
  }
  if (k > 0) {
    launch(stream, grid_over(static_cast<std::int64_t>(k)), scatter_kernel, Decoding(pass), indices,
           k, error);
  }
}

}  // namespace ps::kernels::gpu
