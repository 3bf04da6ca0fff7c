// Sums over the channels of [batch, channels, plane]: a channel's values, image after image, are
// cut into slices, a block each. How many there are depends on the shape alone, so the sums have
// the same bits on every device.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/device_math.cuh"

namespace ps::kernels {

// One channel's packs of kWidth floats, numbered image after image.
template <int kWidth>
class Planes {
 public:
  // REQUIRES: batch, channels and plane > 0, and kWidth divides plane.
  Planes(std::int64_t batch, std::int64_t channels, std::int64_t plane)
      : packs_(batch * plane / kWidth), jump_((channels - 1) * plane), by_plane_(plane / kWidth) {}

  // Of one channel.
  [[nodiscard]] PS_HOST_DEVICE std::int64_t packs() const { return packs_; }
  [[nodiscard]] PS_HOST_DEVICE std::int64_t floats() const { return packs_ * kWidth; }
  // Where a pack begins in the array.
  [[nodiscard]] PS_HOST_DEVICE std::int64_t offset(std::int64_t channel, std::int64_t pack) const {
    return pack * kWidth + by_plane_.quotient(pack) * jump_ + channel * by_plane_.value() * kWidth;
  }

 private:
  std::int64_t packs_;
  std::int64_t jump_;  // from the end of a channel's plane to its next image's
  Divisor by_plane_;
};

// Of how many blocks the grids below are made where there is enough to do: several for each
// multiprocessor of the largest device.
inline constexpr std::int64_t kSliceBlocks = 1024;
// One for each lane of the warp that adds them.
inline constexpr std::int64_t kMostSlices = kWarp;
// Where several slices are made there are fewer channels than kSliceBlocks.
inline constexpr std::int64_t kMostPartials = 2 * kSliceBlocks;

// Into how many slices a channel's `packs` are cut, so that a thread has at least `least` of them.
inline int slices_of(std::int64_t channels, std::int64_t packs, std::int64_t least) {
  const std::int64_t wanted = (kSliceBlocks + channels - 1) / channels;
  const std::int64_t sensible = (packs + kBlock * least - 1) / (kBlock * least);
  return static_cast<int>(std::clamp<std::int64_t>(std::min(wanted, sensible), 1, kMostSlices));
}

#if defined(__CUDACC__) || defined(PS_CUDA_EMULATED)

// The block's channel, and its part of the channel's packs.
struct Slice {
  std::int64_t channel;
  std::int64_t number;
  std::int64_t begin;
  std::int64_t end;
};

__device__ __forceinline__ Slice slice_of_block(std::int64_t packs, int slices) {
  const auto block = static_cast<int>(blockIdx.x);
  const int channel = block / slices;
  const int number = block - channel * slices;
  const std::int64_t share = (packs + slices - 1) / slices;
  const std::int64_t begin = number * share;
  return {channel, number, begin < packs ? begin : packs,
          begin + share < packs ? begin + share : packs};
}

#endif

}  // namespace ps::kernels
