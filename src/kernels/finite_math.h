// How kernels notice infinities and NaNs without a branch: every number leaves a mark, marks are
// or-ed together, and one look at the result tells.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace ps::kernels {

// The top bit is set exactly for an infinity or a NaN: there, and only there, the exponent is all
// ones and one more carries out of it.
PS_HOST_DEVICE std::uint32_t finite_mark(float x) {
  return (__builtin_bit_cast(std::uint32_t, x) & 0x7FFFFFFFU) + 0x00800000U;
}

// Whether only finite numbers left their marks in `marks`.
PS_HOST_DEVICE bool is_finite_mark(std::uint32_t marks) {
  return (marks & 0x80000000U) == 0;
}

}  // namespace ps::kernels
