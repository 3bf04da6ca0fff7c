// docs/protocol.md says what the encoders do: its bytes and its names are theirs.
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "support/catch.h"
#include "wire/samples.h"

namespace ps::wire {
namespace {

using nlohmann::json;

std::string page() {
  std::ifstream file(PS_PROTOCOL_PAGE);
  return {std::istreambuf_iterator<char>(file), {}};
}

// "  0  50 53 57 31 ..." for each 16 bytes, as the page prints them.
std::vector<std::string> dump(std::span<const std::byte> bytes) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < bytes.size(); at += 16) {
    std::string line = std::string(at < 10 ? 2 : at < 100 ? 1 : 0, ' ') + std::to_string(at) + ' ';
    for (std::size_t i = at; i < std::min(at + 16, bytes.size()); ++i) {
      line += ' ' + samples::to_hex(bytes.subspan(i, 1));
    }
    lines.push_back(line);
  }
  return lines;
}

void check_names(const std::string& text, const json& value) {
  for (const auto& [key, field] : value.items()) {
    if (value.is_object()) CHECK_THAT(text, Catch::Contains('`' + key + '`'));
    if (field.is_structured()) check_names(text, field);
    if (key == "kind") CHECK_THAT(text, Catch::Contains(field.get<std::string>()));
  }
}

TEST_CASE("protocol page: shows the bytes of the worked example", "[unit]") {
  const std::string text = page();
  std::size_t found = 0;  // in the page's order
  const auto check = [&](std::span<const std::byte> bytes) {
    for (const std::string& line : dump(bytes)) {
      CAPTURE(line);
      found = text.find(line, found);
      REQUIRE(found != std::string::npos);
    }
  };
  check(encode_header(samples::push(), true));
  check(samples::push().payload.bytes());
  check(encode_header(samples::reply(), false));
  check(samples::reply().payload.bytes());
  check(encode_header(samples::heartbeat(), false));
  check(samples::heartbeat().payload.bytes());
}

TEST_CASE("protocol page: names every control message and field", "[unit]") {
  const std::string text = page();
  for (const auto& sample : samples::control_samples()) {
    CAPTURE(control_name(sample.control));
    CHECK_THAT(text, Catch::Contains("| `" + std::string(control_name(sample.control)) + "` |"));
    check_names(text, json::parse(sample.json));
  }
}

TEST_CASE("protocol page: lists every type and status by number", "[unit]") {
  const std::string text = page();
  for (const Type type : {Type::kPush, Type::kPull, Type::kPushPull, Type::kAssign, Type::kQuery,
                          Type::kReply, Type::kControl}) {
    CHECK_THAT(text, Catch::Contains("| " + std::to_string(static_cast<int>(type)) + " | " +
                                     to_string(type) + " |"));
  }
  for (int status = 0; status <= static_cast<int>(Status::kSkipped); ++status) {
    CHECK_THAT(text, Catch::Contains("| " + std::to_string(status) + " | " +
                                     to_string(static_cast<Status>(status)) + " |"));
  }
}

}  // namespace
}  // namespace ps::wire
