// CRC32C (Castagnoli, reflected polynomial 0x82F63B78; RFC 3720 appendix B.4 has check values).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ps {

// The checksum of `bytes`; pass an earlier result as `crc` to go on from there.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc = 0) noexcept;

}  // namespace ps
