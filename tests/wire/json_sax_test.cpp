// The parser for JSON and MessagePack from strangers: what it takes, and what it refuses before it
// costs memory or stack.
#include "wire/json_sax.h"

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "support/catch.h"
#include "wire/samples.h"

namespace ps::wire {
namespace {

using nlohmann::json;
using samples::Bytes;
using samples::from_hex;

std::optional<json> parse_text(std::string_view text,
                               const Limits& limits = {},
                               std::string* why = nullptr) {
  return parse_limited(std::as_bytes(std::span(text)), Format::kJson, limits, why);
}

std::optional<json> parse_pack(std::span<const std::byte> bytes,
                               const Limits& limits = {},
                               std::string* why = nullptr) {
  return parse_limited(bytes, Format::kMsgPack, limits, why);
}

std::string why_not(std::string_view text, const Limits& limits = {}) {
  std::string why;
  CHECK_FALSE(parse_text(text, limits, &why));
  return why;
}

std::string why_not(std::span<const std::byte> bytes, const Limits& limits = {}) {
  std::string why;
  CHECK_FALSE(parse_pack(bytes, limits, &why));
  return why;
}

Bytes repeated(const char* hex, std::size_t times) {
  const Bytes once = from_hex(hex);
  Bytes bytes(once.size() * times);
  std::copy(once.begin(), once.end(), bytes.begin());
  for (std::size_t done = once.size(); done < bytes.size(); done *= 2) {
    std::memcpy(&bytes[done], bytes.data(), std::min(done, bytes.size() - done));
  }
  return bytes;
}

TEST_CASE("json: builds what the document says, in either format", "[unit]") {
  const json value = json::parse(
      R"({"a": [1, -2, 2.5, true, false, null, "x", [], {}], "b": {"c": {"d": [[1], [2, 3]]}},
          "big": 18446744073709551615, "small": -9223372036854775808, "text": "\u00e9\ud83d\ude00"})");
  CHECK(parse_text(value.dump()) == value);
  CHECK(parse_text("  " + value.dump(2) + "\n") == value);
  const std::vector<std::uint8_t> packed = json::to_msgpack(value);
  CHECK(parse_pack(std::as_bytes(std::span(packed))) == value);
  for (const json& scalar : {json(nullptr), json(true), json(7), json(-7), json(0.1), json("")}) {
    CHECK(parse_text(scalar.dump()) == scalar);
  }
}

TEST_CASE("json: numbers keep their bits through MessagePack", "[unit]") {
  for (const double number : {0.1, -0.0, 1e308, 5e-324, HUGE_VAL, std::nan("")}) {
    const std::vector<std::uint8_t> packed = json::to_msgpack(json(number));
    const auto value = parse_pack(std::as_bytes(std::span(packed)));
    REQUIRE(value);
    CAPTURE(number);
    const auto back = value->get<double>();
    CHECK((std::isnan(number) ? std::isnan(back)
                              : back == number && std::signbit(back) == std::signbit(number)));
  }
}

TEST_CASE("json: documents that are not complete, or not alone, are refused", "[unit]") {
  for (const char* text : {"", " ", "{", "[1,", R"({"a"})", R"({"a":})", "[1,]", "1 2", "nul",
                           "NaN", "1e999", "'a'", "// c\n1", R"({"a":1}})", R"("\ud800")"}) {
    CAPTURE(text);
    CHECK_FALSE(why_not(text).empty());
  }
  const std::vector<std::uint8_t> packed =
      json::to_msgpack(json::parse(R"({"a": [1, "xy", 2.5]})"));
  const std::span<const std::byte> bytes = std::as_bytes(std::span(packed));
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    CAPTURE(length);
    CHECK_FALSE(why_not(bytes.first(length)).empty());
  }
  CHECK_FALSE(why_not(from_hex("01 02")).empty());     // something behind the value
  CHECK_FALSE(why_not(from_hex("c1")).empty());        // never used
  CHECK_FALSE(why_not(from_hex("81 01 02")).empty());  // a key that is not a string
}

TEST_CASE("json: ten million nested arrays are refused at the limit", "[unit]") {
  constexpr std::size_t kLevels = 10'000'000;
  CHECK(why_not(repeated("91", kLevels)) == "nested deeper than 8");
  CHECK(why_not(repeated("81 a1 61", kLevels)) == "nested deeper than 8");
  CHECK(why_not(repeated("dd 00 00 00 01", kLevels / 5)) == "nested deeper than 8");
  CHECK(why_not(std::string(kLevels, '[')) == "nested deeper than 8");
}

TEST_CASE("json: as deep as the limit is allowed", "[unit]") {
  const Limits limits{.depth = 3};
  CHECK(parse_text("[[[1]]]", limits));
  CHECK(parse_text(R"({"a": [{"b": 1}], "c": [[2]]})", limits));
  CHECK(why_not("[[[[]]]]", limits) == "nested deeper than 3");
  CHECK(why_not(R"([[{"a": {}}]])", limits) == "nested deeper than 3");
  CHECK(why_not("[]", Limits{.depth = 0}) == "nested deeper than 0");
  CHECK(parse_text("1", Limits{.depth = 0}));
}

TEST_CASE("json: more values than the limit are refused, as soon as they are declared", "[unit]") {
  const Limits limits{.values = 4};
  CHECK(parse_text("[1, 2, 3]", limits));
  CHECK(parse_text(R"({"a": 1, "b": [2]})", limits));
  CHECK(why_not("[1, 2, 3, 4]", limits) == "more than 4 values");
  CHECK(why_not(R"({"a": 1, "b": [2, 3]})", limits) == "more than 4 values");
  // The elements are not even there.
  CHECK(why_not(from_hex("dd ff ff ff ff"), limits) == "more than 4 values");
  CHECK(why_not(from_hex("df ff ff ff ff")) == "more than 1048576 values");
  CHECK(why_not(repeated("c0", 1), Limits{.values = 0}) == "more than 0 values");
}

TEST_CASE("json: strings are limited, however long they claim to be", "[unit]") {
  const Limits limits{.string_bytes = 4};
  CHECK(parse_text(R"({"abcd": "wxyz"})", limits));
  CHECK(why_not(R"(["abcde"])", limits) == "a string of 5 bytes, at most 4 are allowed");
  CHECK(why_not(R"({"abcde": 1})", limits) == "a key of 5 bytes, at most 4 are allowed");
  CHECK_FALSE(why_not(from_hex("db ff ff ff ff 61 62")).empty());  // 4 GiB declared, two there
  CHECK_FALSE(why_not(from_hex("c6 ff ff ff ff 61 62")).empty());
}

TEST_CASE("json: what has no place in a message is refused", "[unit]") {
  CHECK(why_not(from_hex("c4 02 61 62")) == "a binary value");
  CHECK(why_not(from_hex("d4 01 61")) == "a binary value");  // an extension
  CHECK(why_not(from_hex("82 a1 61 01 a1 61 02")) == "the key 'a' twice");
  CHECK(why_not(R"({"a": 1, "a": 2})") == "the key 'a' twice");
  CHECK(parse_text(R"([{"a": 1}, {"a": 2}])"));
  CHECK(why_not(from_hex("a2 c3 28")) == "a string that is not UTF-8");
  CHECK(why_not(from_hex("81 a1 ff 01")) == "a key that is not UTF-8");
}

TEST_CASE("json: reasons are short and printable, whatever was sent", "[unit]") {
  const std::string long_token = "\"" + std::string(100'000, 'x') + "\n\xFF";
  const std::string why = why_not(long_token);
  CHECK(why.size() <= 300);
  CHECK(is_utf8(why));
}

TEST_CASE("json: nobody has to ask why", "[unit]") {
  CHECK_FALSE(parse_text("["));
  CHECK_FALSE(parse_pack(from_hex("91")));
}

TEST_CASE("utf8: exactly the well-formed sequences are valid", "[unit]") {
  for (const char* hex : {"", "00", "7f", "c2 80", "df bf", "e0 a0 80", "ed 9f bf", "ee 80 80",
                          "ef bf bf", "f0 90 80 80", "f4 8f bf bf"}) {
    CHECK(is_utf8(
        std::string(reinterpret_cast<const char*>(from_hex(hex).data()), from_hex(hex).size())));
  }
  for (const char* hex : {"80", "bf", "c0 80", "c1 bf", "c2", "c2 41", "e0 9f bf", "e1 80",
                          "ed a0 80", "f0 8f bf bf", "f4 90 80 80", "f5 80 80 80", "ff"}) {
    CAPTURE(hex);
    const Bytes bytes = from_hex(hex);
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    CHECK_FALSE(is_utf8(text));
    CHECK(valid_utf8_bytes("ok" + text + "ok") == 2);
  }
}

TEST_CASE("utf8: texts are cleaned and cut between characters", "[unit]") {
  CHECK(clean_text("caf\xC3\xA9", 100) == "caf\xC3\xA9");
  CHECK(clean_text("caf\xC3\xA9", 4) == "caf");
  CHECK(clean_text("a\xFF\xC3", 100) == "a??");
  CHECK(clean_text("", 0).empty());
  CHECK(clean_text("abc", 0).empty());
}

}  // namespace
}  // namespace ps::wire
