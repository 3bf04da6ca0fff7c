// Bytes behind an allocation that nobody may write. AddressSanitizer's own are better: with it
// there are none.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace cuda_host {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr std::size_t kGuardBytes = 0;
#else
inline constexpr std::size_t kGuardBytes = 64;
#endif
inline constexpr unsigned char kGuard = 0xA7;

inline void set_guard(std::byte* end) {
  std::memset(end, kGuard, kGuardBytes);
}
inline bool guard_holds(const std::byte* end) {
  return std::all_of(end, end + kGuardBytes, [](std::byte b) { return b == std::byte{kGuard}; });
}

}  // namespace cuda_host
