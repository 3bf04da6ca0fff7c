#include <nlohmann/json.hpp>

#include "base/assert.h"
#include "fuzz/targets.h"
#include "wire/json_sax.h"

namespace ps::fuzz {
namespace {

constexpr wire::Limits kLimits{.depth = 16, .values = 4096, .string_bytes = 4096};

// MessagePack of the value: unlike operator== it tells a NaN equal to itself.
std::vector<std::uint8_t> packed(const nlohmann::json& value) {
  return nlohmann::json::to_msgpack(value);
}

void check_value(const nlohmann::json& value) {
  const std::vector<std::uint8_t> once = packed(value);
  const auto again =
      wire::parse_limited(std::as_bytes(std::span(once)), wire::Format::kMsgPack, kLimits, nullptr);
  PS_ASSERT(again && packed(*again) == once, "changed by a round trip through MessagePack");
  const std::string text = value.dump();  // throws on strings that are not UTF-8
  const auto from_text =
      wire::parse_limited(std::as_bytes(std::span(text)), wire::Format::kJson, kLimits, nullptr);
  PS_ASSERT(from_text && from_text->dump() == text, "changed by a round trip through text");
}

}  // namespace

void json(std::span<const std::byte> input) {
  if (input.empty()) return;
  const bool text = (input[0] & std::byte{1}) != std::byte{0};
  const std::vector<std::byte> document(input.begin() + 1, input.end());
  std::string why;
  const auto value = wire::parse_limited(
      document, text ? wire::Format::kJson : wire::Format::kMsgPack, kLimits, &why);
  if (value) return check_value(*value);
  PS_ASSERT(!why.empty(), "refused without a reason");
  PS_ASSERT(wire::is_utf8(why) && why.size() <= 300, "a reason that cannot be printed");
}

}  // namespace ps::fuzz
