// One block's share of a matrix product in float32: a tile of c = a * b, whose factors' elements
// are fetched by functors (so they need not lie in memory as matrices). Per step of kDepth the
// block puts a slice of both factors into shared memory, while it multiplies the one before; each
// thread keeps kThreadRows x 8 sums in registers. Every sum runs in the order of the depth: its
// bits do not depend on the tile.
#pragma once

#include <cstdint>

#include "kernels/device_math.cuh"

namespace ps::kernels {

// kBlocksOfTile: how many blocks a multiprocessor shall hold at once. It limits a thread's
// registers, to 128 where its 512 threads have them all.
template <int kRowsOfTile, int kColumnsOfTile, int kRowsOfThread, int kBlocksOfTile>
struct Tile {
  static constexpr int kRows = kRowsOfTile;
  static constexpr int kColumns = kColumnsOfTile;
  static constexpr int kDepth = 8;
  static constexpr int kThreadRows = kRowsOfThread;
  static constexpr int kThreadColumns = 8;
  static constexpr int kThreads = kRows * kColumns / (kThreadRows * kThreadColumns);
  static constexpr int kBlocks = kBlocksOfTile;

  // Two slices of each factor. Rows are longer by a pack: where neighbouring threads write along
  // the depth they would meet in one bank.
  struct alignas(16) Shared {
    float left[2][kDepth][kRows + 4];
    float right[2][kDepth][kColumns + 4];
  };
};

using SmallTile = Tile<32, 128, 4, 4>;
using MiddleTile = Tile<64, 128, 8, 3>;
using LargeTile = Tile<128, 128, 8, 2>;

#if defined(__CUDACC__) || defined(PS_CUDA_EMULATED)

// Which elements of a factor's slice a thread fetches, if neighbouring threads' follow each other
// along the depth ...
template <class T, int kSide>
struct AlongDepth {
  static constexpr int kItems = kSide * T::kDepth / T::kThreads;
  __device__ static int depth(int /*item*/) { return static_cast<int>(threadIdx.x) % T::kDepth; }
  __device__ static int side(int item) {
    return static_cast<int>(threadIdx.x) / T::kDepth + item * (T::kThreads / T::kDepth);
  }
};

// ... or along the other side.
template <class T, int kSide>
struct AlongSide {
  static_assert(T::kThreads % kSide == 0);
  static constexpr int kItems = kSide * T::kDepth / T::kThreads;
  __device__ static int depth(int item) {
    return static_cast<int>(threadIdx.x) / kSide + item * (T::kThreads / kSide);
  }
  __device__ static int side(int /*item*/) { return static_cast<int>(threadIdx.x) % kSide; }
};

// On the GPU one operation, which the file's flags would make two.
__device__ __forceinline__ float multiply_add(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(a, b, c);
#else
  return a * b + c;
#endif
}

// A thread's rows are 4 neighbours of each of kThreadRows / 4 parts of the tile, its columns of
// each of 2: so a warp reads shared memory without conflicts, and writes c in packs.
template <class T>
__device__ __forceinline__ int tile_row(int i) {
  const int thread = static_cast<int>(threadIdx.x) / (T::kColumns / T::kThreadColumns);
  return i / 4 * (T::kRows * 4 / T::kThreadRows) + thread * 4 + i % 4;
}
template <class T>
__device__ __forceinline__ int tile_column(int j) {
  const int thread = static_cast<int>(threadIdx.x) % (T::kColumns / T::kThreadColumns);
  return j / 4 * (T::kColumns / 2) + thread * 4 + j % 4;
}

template <class T>
using TileSums = float[T::kThreadRows][T::kThreadColumns];

template <class T>
__device__ __forceinline__ void multiply_slice(const float (&left)[T::kDepth][T::kRows + 4],
                                               const float (&right)[T::kDepth][T::kColumns + 4],
                                               TileSums<T>& sums) {
  PS_UNROLL
  for (int k = 0; k < T::kDepth; ++k) {
    Pack<4> a[T::kThreadRows / 4];
    Pack<4> b[T::kThreadColumns / 4];
    PS_UNROLL
    for (int i = 0; i < T::kThreadRows / 4; ++i) a[i] = load<4>(&left[k][tile_row<T>(4 * i)]);
    PS_UNROLL
    for (int j = 0; j < T::kThreadColumns / 4; ++j)
      b[j] = load<4>(&right[k][tile_column<T>(4 * j)]);
    PS_UNROLL
    for (int i = 0; i < T::kThreadRows; ++i) {
      PS_UNROLL
      for (int j = 0; j < T::kThreadColumns; ++j) {
        sums[i][j] = multiply_add(a[i / 4].at[i % 4], b[j / 4].at[j % 4], sums[i][j]);
      }
    }
  }
}

template <class Fetch, int kWidth>
__device__ __forceinline__ void keep(const float (&values)[Fetch::kItems], float (*slice)[kWidth]) {
  PS_UNROLL
  for (int i = 0; i < Fetch::kItems; ++i) slice[Fetch::depth(i)][Fetch::side(i)] = values[i];
}

// sums += the tile's products over depths [begin, end). Left and Right are AlongDepth or AlongSide,
// and fetch(depth, end, values) gives the thread's items of the slice that begins at that depth,
// zero from `end` on and outside of the matrix. All threads of the block call it, once.
template <class T, class Left, class Right>
__device__ __forceinline__ void multiply_tile(const Left& left,
                                              const Right& right,
                                              int begin,
                                              int end,
                                              typename T::Shared* shared,
                                              TileSums<T>& sums) {
  float next_left[Left::kItems];
  float next_right[Right::kItems];
  left.fetch(begin, end, next_left);
  right.fetch(begin, end, next_right);
  keep<Left>(next_left, shared->left[0]);
  keep<Right>(next_right, shared->right[0]);
  __syncthreads();
  int stage = 0;
  for (int k = begin; k < end; k += T::kDepth) {
    const bool more = end - k > T::kDepth;
    if (more) {
      left.fetch(k + T::kDepth, end, next_left);
      right.fetch(k + T::kDepth, end, next_right);
    }
    multiply_slice<T>(shared->left[stage], shared->right[stage], sums);
    if (!more) return;
    stage ^= 1;
    keep<Left>(next_left, shared->left[stage]);
    keep<Right>(next_right, shared->right[stage]);
    __syncthreads();
  }
}

#endif

}  // namespace ps::kernels
