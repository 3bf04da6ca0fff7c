// Top-k on the CPU: what codec.cpp and the files compiled per instruction set share.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/codec.h"
#include "kernels/host_device.h"

namespace ps::kernels {

// Where what lies in the workspace, in 32-bit words.
struct TopWorkspace {
  std::size_t counters = 0;  // offsets
  std::size_t sample = 0;
  std::size_t found = 0;       // indices that passed the sample's threshold
  std::size_t found_bits = 0;  // and the values there
  std::size_t samples = 0;     // sizes
  std::size_t most_found = 0;
  std::size_t bytes = 0;
};

constexpr std::size_t kTopCounters = 2048;

// About one value in 256 is looked at, 16 Ki at least. Twice k and a little hold what a threshold
// from such a sample lets through, all but surely.
PS_HOST_DEVICE TopWorkspace top_workspace(std::size_t count, std::size_t k) {
  constexpr std::size_t kLeastSamples = 16384;
  TopWorkspace space;
  space.samples = count / 256 > kLeastSamples ? count / 256 : kLeastSamples;
  space.samples = space.samples < count ? space.samples : count;
  space.most_found = 2 * k + 8192 < count ? 2 * k + 8192 : count;
  space.sample = space.counters + kTopCounters;
  space.found = space.sample + space.samples;
  space.found_bits = space.found + space.most_found;
  space.bytes = sizeof(std::uint32_t) * (space.found_bits + space.most_found);
  return space;
}

}  // namespace ps::kernels
