// CRC32C against the check values of RFC 3720, appendix B.4.
#include "base/crc32c.h"

#include <array>
#include <string_view>
#include <vector>

#include "support/catch.h"

namespace {

using Block = std::array<std::byte, 32>;

Block filled(std::byte value) {
  Block block{};
  block.fill(value);
  return block;
}

Block counting(bool up) {
  Block block{};
  for (std::size_t i = 0; i < block.size(); ++i) {
    block[i] = static_cast<std::byte>(up ? i : block.size() - 1 - i);
  }
  return block;
}

}  // namespace

TEST_CASE("crc32c: agrees with RFC 3720", "[unit]") {
  CHECK(ps::crc32c(filled(std::byte{0x00})) == 0x8A9136AA);
  CHECK(ps::crc32c(filled(std::byte{0xFF})) == 0x62A8AB43);
  CHECK(ps::crc32c(counting(true)) == 0x46DD794E);
  CHECK(ps::crc32c(counting(false)) == 0x113FDB5C);
  const std::string_view digits = "123456789";
  CHECK(ps::crc32c(std::as_bytes(std::span(digits))) == 0xE3069283);
}

TEST_CASE("crc32c: of nothing leaves the state as it was", "[unit]") {
  CHECK(ps::crc32c({}) == 0);
  CHECK(ps::crc32c({}, 0x12345678) == 0x12345678);
}

TEST_CASE("crc32c: two parts give the whole's checksum, wherever it is cut", "[unit]") {
  std::vector<std::byte> bytes(67);  // not a multiple of the word the instruction takes
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 37 + 11);
  const std::span<const std::byte> all(bytes);
  const std::uint32_t whole = ps::crc32c(all);
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    CAPTURE(cut);
    CHECK(ps::crc32c(all.subspan(cut), ps::crc32c(all.first(cut))) == whole);
  }
}

TEST_CASE("crc32c: notices every flipped bit", "[unit]") {
  Block block = counting(true);
  const std::uint32_t whole = ps::crc32c(block);
  for (std::size_t bit = 0; bit < block.size() * 8; ++bit) {
    const auto mask = std::byte{1} << (bit % 8);
    block[bit / 8] ^= mask;
    CAPTURE(bit);
    CHECK(ps::crc32c(block) != whole);
    block[bit / 8] ^= mask;
  }
}
