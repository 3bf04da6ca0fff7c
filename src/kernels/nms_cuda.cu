// Boxes are taken a chunk at a time, best first, in two launches each. The first compares, all at
// once, the chunk's boxes with each other, into bits, and with what was kept before the chunk. The
// second, one block, goes through the bits in order and appends what stays. Nothing comes to the
// host: chunks after `most` are kept find that out and return.
#include "kernels/detection_cuda.h"
#include "kernels/launch.cuh"
#include "kernels/nms_math.h"

namespace ps::kernels {
namespace {

using Word = unsigned long long;

constexpr int kWord = 64;                    // boxes of a word
constexpr int kChunkWords = 16;              // of a chunk
constexpr int kChunk = kWord * kChunkWords;  // boxes
constexpr int kSlice = 256;                  // kept boxes that a block compares a word with
constexpr std::int64_t kAlignment = 16;

struct Known {
  CornerBox box;
  std::int32_t category;
};

struct Workspace {
  Word* overlaps;  // [kChunk, kChunkWords]: of each box with those after it; no bit before it
  Word* gone;      // [kChunkWords]: who overlaps what was kept before the chunk; zero between
  Known* kept;     // [min(count, most)]

  static Workspace in(void* memory) {
    Word* words = static_cast<Word*>(memory);
    Word* gone = words + kChunk * kChunkWords;
    return {words, gone, reinterpret_cast<Known*>(gone + kChunkWords)};
  }
};

PS_HOST_DEVICE std::int64_t smaller(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}

struct Run {
  CornerBoxes boxes;
  float threshold;
  std::int64_t most;
  std::int32_t* kept;
  std::int64_t* kept_count;
  Workspace workspace;

  [[nodiscard]] __device__ __forceinline__ Known known(std::int64_t i) const {
    return {CornerBox::of(boxes.x1[i], boxes.y1[i], boxes.x2[i], boxes.y2[i]),
            boxes.categories == nullptr ? 0 : boxes.categories[i]};
  }
  [[nodiscard]] __device__ __forceinline__ bool meet(const Known& better,
                                                     const Known& worse) const {
    return better.category == worse.category && better.box.overlap(worse.box) > threshold;
  }
};

// One thread a box of the chunk's word blockIdx.x, with the chunk's boxes of word blockIdx.y, which
// are better; or, for blockIdx.y beyond the chunk's words, with a slice of what was kept.
__global__ void __launch_bounds__(kWord) compare(Run run, std::int64_t start) {
  __shared__ Known others[kSlice];
  const int words = static_cast<int>(gridDim.x);
  const auto row = static_cast<int>(blockIdx.y);
  const auto thread = static_cast<int>(threadIdx.x);
  const std::int64_t kept = *run.kept_count;
  if (kept >= run.most) return;
  const bool within = row < words;
  if (within && row > static_cast<int>(blockIdx.x)) return;
  // Within: the word's boxes are the worse ones, a bit each; a thread is a better one.
  const std::int64_t from =
      within ? start + std::int64_t{kWord} * blockIdx.x : std::int64_t{kSlice} * (row - words);
  const std::int64_t end =
      within ? smaller(from + kWord, run.boxes.count) : smaller(from + kSlice, kept);
  for (std::int64_t i = from + thread; i < end; i += kWord) {
    others[i - from] = within ? run.known(i) : run.workspace.kept[i];
  }
  __syncthreads();
  const auto count = static_cast<int>(end - from);  // may be negative
  const std::int64_t place = std::int64_t{kWord} * (within ? row : static_cast<int>(blockIdx.x));
  const std::int64_t own = place + thread;
  if (start + own >= run.boxes.count) return;
  const Known mine = run.known(start + own);
  if (within) {
    Word bits = 0;
    const std::int64_t first = from - start;
    for (int i = 0; i < count; ++i) {
      if (first + i > own && run.meet(mine, others[i])) bits |= Word{1} << i;
    }
    run.workspace.overlaps[own * kChunkWords + blockIdx.x] = bits;
    return;
  }
  bool gone = false;
  for (int i = 0; i < count && !gone; ++i) gone = run.meet(others[i], mine);
  if (gone) atomicOr(run.workspace.gone + blockIdx.x, Word{1} << thread);
}

// Goes through one word of the chunk: which of its boxes stay. `gone`: who overlaps a better one
// already. rows: its boxes' overlaps with each other.
__device__ __forceinline__ Word staying(Word gone, const Word* rows, int count, std::int64_t room) {
  Word stays = 0;
  for (int i = 0; i < count && room > 0; ++i) {
    if (((gone >> i) & 1U) != 0) continue;
    stays |= Word{1} << i;
    gone |= rows[i];
    --room;
  }
  return stays;
}

__global__ void __launch_bounds__(kBlock) reduce(Run run, std::int64_t start) {
  __shared__ Word rows[kWord][kChunkWords];
  __shared__ Word own[kWord];  // the column of `rows` that the word itself is
  __shared__ Word gone[kChunkWords];
  __shared__ Word stays;
  const auto thread = static_cast<int>(threadIdx.x);
  std::int64_t kept = *run.kept_count;
  if (kept >= run.most) return;
  const auto size = static_cast<int>(smaller(run.boxes.count - start, kChunk));
  const int words = (size + kWord - 1) / kWord;
  if (thread < words) {
    gone[thread] = run.workspace.gone[thread];
    run.workspace.gone[thread] = 0;
  }
  for (int word = 0; word < words && kept < run.most; ++word) {
    const auto count = static_cast<int>(smaller(size - word * kWord, kWord));
    __syncthreads();
    for (int i = thread; i < count * kChunkWords; i += kBlock) {
      const int column = i % kChunkWords;
      if (column < word || column >= words) continue;
      const Word bits = run.workspace.overlaps[std::int64_t{word} * kWord * kChunkWords + i];
      rows[i / kChunkWords][column] = bits;
      if (column == word) own[i / kChunkWords] = bits;
    }
    __syncthreads();
    if (thread == 0) stays = staying(gone[word], own, count, run.most - kept);
    __syncthreads();
    if (thread < kWord && ((stays >> thread) & 1U) != 0) {
      const std::int64_t i = start + word * kWord + thread;
      const std::int64_t at = kept + __popcll(stays & ((Word{1} << thread) - 1));
      run.kept[at] = static_cast<std::int32_t>(i);
      run.workspace.kept[at] = run.known(i);
    }
    if (thread > word && thread < words) {
      Word more = 0;
      for (int i = 0; i < count; ++i) more |= ((stays >> i) & 1U) != 0 ? rows[i][thread] : Word{0};
      gone[thread] |= more;
    }
    kept += __popcll(stays);
  }
  if (thread == 0) *run.kept_count = kept;
}

}  // namespace

std::int64_t nms_cuda_workspace(std::int64_t count, std::int64_t most) {
  const std::int64_t words = std::int64_t{kChunkWords} * (kChunk + 1);
  const auto known = static_cast<std::int64_t>(sizeof(Known));
  const std::int64_t bytes =
      words * static_cast<std::int64_t>(sizeof(Word)) + smaller(count, most) * known;
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

void nms_cuda(const CornerBoxes& boxes,
              float threshold,
              std::int64_t most,
              std::int32_t* kept,
              std::int64_t* kept_count,
              void* workspace,
              StreamView stream) {
  const DeviceGuard guard(stream.device());
  const Run run{.boxes = boxes,
                .threshold = threshold,
                .most = most,
                .kept = kept,
                .kept_count = kept_count,
                .workspace = Workspace::in(workspace)};
  fill_zero(kept_count, sizeof(*kept_count), stream);
  fill_zero(run.workspace.gone, kChunkWords * sizeof(Word), stream);
  for (std::int64_t start = 0; start < boxes.count && most > 0; start += kChunk) {
    const std::int64_t size = smaller(boxes.count - start, kChunk);
    const std::int64_t words = (size + kWord - 1) / kWord;
    const std::int64_t slices = (smaller(start, most) + kSlice - 1) / kSlice;
    const Grid grid{
        .blocks = dim3(static_cast<unsigned>(words), static_cast<unsigned>(words + slices)),
        .threads = dim3(kWord)};
    launch(stream, grid, compare, run, start);
    launch(stream, Grid{}, reduce, run, start);
  }
}

}  // namespace ps::kernels
