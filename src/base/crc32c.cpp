#include "base/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace ps {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) {
      value = (value & 1) != 0 ? value >> 1 ^ 0x82F63B78U : value >> 1;
    }
    table[i] = value;
  }
  return table;
}

constexpr auto kTable = make_table();

std::uint32_t crc_bytewise(std::span<const std::byte> bytes, std::uint32_t state) noexcept {
  for (const std::byte byte : bytes) {
    state = kTable[(state ^ static_cast<std::uint32_t>(byte)) & 0xFF] ^ state >> 8;
  }
  return state;
}

#if defined(__x86_64__)
// The instruction has a latency of three cycles and a throughput of one: about 8 bytes per 3 cycles
// in one chain, which is 6-8 GB/s.
__attribute__((target("sse4.2"))) std::uint32_t crc_sse42(std::span<const std::byte> bytes,
                                                          std::uint32_t state) noexcept {
  std::uint64_t wide = state;
  while (bytes.size() >= sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    wide = _mm_crc32_u64(wide, word);
    bytes = bytes.subspan(sizeof word);
  }
  state = static_cast<std::uint32_t>(wide);
  for (const std::byte byte : bytes) state = _mm_crc32_u8(state, static_cast<std::uint8_t>(byte));
  return state;
}
#endif

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc) noexcept {
  const std::uint32_t state = ~crc;
#if defined(__x86_64__)
  static const bool has_sse42 = __builtin_cpu_supports("sse4.2") != 0;
  if (has_sse42) return ~crc_sse42(bytes, state);
#endif
  return ~crc_bytewise(bytes, state);
}

}  // namespace ps
