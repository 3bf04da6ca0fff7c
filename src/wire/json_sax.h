// Reads JSON text or MessagePack from strangers into a nlohmann::json value. The library's own DOM
// parser recurses on nested MessagePack until the stack ends; this one stops at a depth, and at
// counts and lengths, before anything is allocated for what lies beyond them.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ps::wire {

enum class Format { kMsgPack, kJson };

struct Limits {
  std::size_t depth = 8;               // arrays and objects within each other
  std::size_t values = 1 << 20;        // all together; keys do not count
  std::size_t string_bytes = 1 << 16;  // each string and each key
};

// The one value that `bytes` hold, or nothing; then `*why` (may be null) says what is wrong.
// Refused besides what breaks the format: bytes after the value, a key twice in one object, strings
// and keys that are not UTF-8, MessagePack's binary and extension types. Memory used: at most in
// proportion to `bytes`. Never throws but std::bad_alloc.
std::optional<nlohmann::json> parse_limited(std::span<const std::byte> bytes,
                                            Format format,
                                            const Limits& limits,
                                            std::string* why);

// Length of the longest start of `text` that is valid UTF-8 (RFC 3629: shortest forms only, no
// surrogates, nothing above U+10FFFF).
std::size_t valid_utf8_bytes(std::string_view text) noexcept;
inline bool is_utf8(std::string_view text) noexcept {
  return valid_utf8_bytes(text) == text.size();
}
// `text` as it may stand in a message or a log: each byte that is not UTF-8 becomes '?', and what
// is longer than `max_bytes` is cut between characters.
std::string clean_text(std::string_view text, std::size_t max_bytes);

}  // namespace ps::wire
