// Boxes are taken a chunk at a time, best first, in two launches each for all images. The first
// compares, all at once, the chunk's boxes with each other, into bits, and with what was kept
// before the chunk. The second, a block an image, goes through the bits in order and appends what
// stays. Nothing comes to the host: chunks of an image that has no more boxes, or no more room for
// kept ones, find that out and return.
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

  __device__ __forceinline__ static Known of(const ScoredBox& from) {
    return {CornerBox::of(from.at.x1, from.at.y1, from.at.x2, from.at.y2), from.category};
  }
};

// An image's part of each.
struct Workspace {
  Word* overlaps;  // [kChunk, kChunkWords]: of each box with those after it; no bit before it
  Word* gone;      // [kChunkWords]: who overlaps what was kept before the chunk; zero between
  Known* kept;     // [kept.room]
};

PS_HOST_DEVICE std::int64_t smaller(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}

// One image for all blocks of a blockIdx.z.
struct Run {
  SortedBoxes boxes;
  SortedBoxes kept;
  Workspace workspace;  // the first image's
  float threshold;
  std::int32_t agnostic;

  [[nodiscard]] __device__ __forceinline__ std::int64_t count() const {
    return boxes.counts[blockIdx.z];
  }
  [[nodiscard]] __device__ __forceinline__ ScoredBox box(std::int64_t i) const {
    return boxes.boxes[blockIdx.z * boxes.room + i];
  }
  [[nodiscard]] __device__ __forceinline__ Workspace own_workspace() const {
    const std::int64_t image = blockIdx.z;
    return {workspace.overlaps + image * kChunk * kChunkWords, workspace.gone + image * kChunkWords,
            workspace.kept + image * kept.room};
  }
  [[nodiscard]] __device__ __forceinline__ bool meet(const Known& better,
                                                     const Known& worse) const {
    return (agnostic != 0 || better.category == worse.category) &&
           better.box.overlap(worse.box) > threshold;
  }
};

// One thread a box of the chunk's word blockIdx.x, with the chunk's boxes of word blockIdx.y, which
// are better; or, for blockIdx.y beyond the chunk's words, with a slice of what was kept.
__global__ void __launch_bounds__(kWord) compare(Run run, std::int64_t start) {
  __shared__ Known others[kSlice];
  const int words = static_cast<int>(gridDim.x);
  const auto row = static_cast<int>(blockIdx.y);
  const auto thread = static_cast<int>(threadIdx.x);
  const std::int64_t count = run.count();
  const std::int64_t kept = run.kept.counts[blockIdx.z];
  if (start >= count || kept >= run.kept.room) return;
  const Workspace workspace = run.own_workspace();
  const bool within = row < words;
  if (within && row > static_cast<int>(blockIdx.x)) return;
  // Within: the word's boxes are the worse ones, a bit each; a thread is a better one.
  const std::int64_t from =
      within ? start + std::int64_t{kWord} * blockIdx.x : std::int64_t{kSlice} * (row - words);
  const std::int64_t end = within ? smaller(from + kWord, count) : smaller(from + kSlice, kept);
  for (std::int64_t i = from + thread; i < end; i += kWord) {
    others[i - from] = within ? Known::of(run.box(i)) : workspace.kept[i];
  }
  __syncthreads();
  const auto others_here = static_cast<int>(end - from);  // may be negative
  const std::int64_t place = std::int64_t{kWord} * (within ? row : static_cast<int>(blockIdx.x));
  const std::int64_t own = place + thread;
  if (start + own >= count) return;
  const Known mine = Known::of(run.box(start + own));
  if (within) {
    Word bits = 0;
    const std::int64_t first = from - start;
    for (int i = 0; i < others_here; ++i) {
      if (first + i > own && run.meet(mine, others[i])) bits |= Word{1} << i;
    }
    workspace.overlaps[own * kChunkWords + blockIdx.x] = bits;
    return;
  }
  bool gone = false;
  for (int i = 0; i < others_here && !gone; ++i) gone = run.meet(others[i], mine);
  if (gone) atomicOr(workspace.gone + blockIdx.x, Word{1} << thread);
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
  const Workspace workspace = run.own_workspace();
  const std::int64_t most = run.kept.room;
  std::int64_t kept = run.kept.counts[blockIdx.z];
  if (start >= run.count() || kept >= most) return;
  const auto size = static_cast<int>(smaller(run.count() - start, kChunk));
  const int words = (size + kWord - 1) / kWord;
  if (thread < words) {
    gone[thread] = workspace.gone[thread];
    workspace.gone[thread] = 0;
  }
  for (int word = 0; word < words && kept < most; ++word) {
    const auto count = static_cast<int>(smaller(size - word * kWord, kWord));
    __syncthreads();
    for (int i = thread; i < count * kChunkWords; i += kBlock) {
      const int column = i % kChunkWords;
      if (column < word || column >= words) continue;
      const Word bits = workspace.overlaps[std::int64_t{word} * kWord * kChunkWords + i];
      rows[i / kChunkWords][column] = bits;
      if (column == word) own[i / kChunkWords] = bits;
    }
    __syncthreads();
    if (thread == 0) stays = staying(gone[word], own, count, most - kept);
    __syncthreads();
    if (thread < kWord && ((stays >> thread) & 1U) != 0) {
      const std::int64_t i = start + word * kWord + thread;
      const std::int64_t at = kept + __popcll(stays & ((Word{1} << thread) - 1));
      const ScoredBox box = run.box(i);
      run.kept.boxes[blockIdx.z * most + at] = box;
      workspace.kept[at] = Known::of(box);
    }
    if (thread > word && thread < words) {
      Word more = 0;
      for (int i = 0; i < count; ++i) more |= ((stays >> i) & 1U) != 0 ? rows[i][thread] : Word{0};
      gone[thread] |= more;
    }
    kept += __popcll(stays);
  }
  if (thread == 0) run.kept.counts[blockIdx.z] = static_cast<std::int32_t>(kept);
}

}  // namespace

std::int64_t nms_cuda_workspace(std::int64_t images, std::int64_t kept_room) {
  const std::int64_t words = std::int64_t{kChunkWords} * (kChunk + 1);
  const std::int64_t bytes = images * (words * static_cast<std::int64_t>(sizeof(Word)) +
                                       kept_room * static_cast<std::int64_t>(sizeof(Known)));
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

void nms_cuda(const Suppression& suppression,
              std::int64_t images,
              std::int64_t most_boxes,
              StreamView stream) {
  if (images == 0) return;
  const DeviceGuard guard(stream.device());
  Workspace workspace{static_cast<Word*>(suppression.workspace), nullptr, nullptr};
  workspace.gone = workspace.overlaps + images * kChunk * kChunkWords;
  workspace.kept = reinterpret_cast<Known*>(workspace.gone + images * kChunkWords);
  const SortedBoxes& kept = suppression.kept;
  const Run run{.boxes = suppression.boxes,
                .kept = kept,
                .workspace = workspace,
                .threshold = suppression.threshold,
                .agnostic = suppression.agnostic};
  const auto count = static_cast<std::size_t>(images);
  fill_zero(kept.counts, count * sizeof(std::int32_t), stream);
  fill_zero(workspace.gone, count * kChunkWords * sizeof(Word), stream);
  const auto each = static_cast<unsigned>(images);
  for (std::int64_t start = 0; start < most_boxes && kept.room > 0; start += kChunk) {
    const std::int64_t size = smaller(most_boxes - start, kChunk);
    const auto words = static_cast<unsigned>((size + kWord - 1) / kWord);
    const auto slices = static_cast<unsigned>((smaller(start, kept.room) + kSlice - 1) / kSlice);
    launch(stream, {.blocks = dim3(words, words + slices, each), .threads = dim3(kWord)}, compare,
           run, start);
    launch(stream, {.blocks = dim3(1, 1, each)}, reduce, run, start);
  }
}

}  // namespace ps::kernels
