#include "wire/json_sax.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

namespace ps::wire {
namespace {

using nlohmann::json;

constexpr std::size_t kWhyBytes = 300;

// Builds the value from the parser's events. Every event returns false to stop the parser, which is
// what keeps its recursion as shallow as the limit.
class Builder final : public nlohmann::json_sax<json> {
 public:
  explicit Builder(const Limits& limits) : limits_(limits) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t& /*token*/) override { return add(value); }
  bool string(string_t& value) override {
    return check_string(value, "a string") && add(std::move(value));
  }
  bool binary(binary_t& /*value*/) override { return refuse("a binary value"); }

  bool start_array(std::size_t elements) override { return open(json::array(), elements); }
  bool end_array() override { return close(); }
  bool start_object(std::size_t elements) override { return open(json::object(), elements); }
  bool end_object() override { return close(); }

  bool key(string_t& value) override {
    if (!check_string(value, "a key")) return false;
    auto& object = open_.back()->get_ref<json::object_t&>();
    const auto [entry, inserted] = object.emplace(std::move(value), nullptr);
    if (!inserted) return refuse("the key '" + entry->first + "' twice");
    slot_ = &entry->second;
    return true;
  }

  bool parse_error(std::size_t /*position*/,
                   const std::string& /*token*/,
                   const nlohmann::detail::exception& error) override {
    return refuse(error.what());
  }

  json take() { return std::move(root_); }
  [[nodiscard]] const std::string& why() const { return why_; }

 private:
  bool refuse(std::string_view why) {
    if (why_.empty()) why_ = clean_text(why, kWhyBytes);  // it may quote the input
    return false;
  }

  bool check_string(const std::string& text, const char* what) {
    if (text.size() > limits_.string_bytes) {
      return refuse(what + (" of " + std::to_string(text.size())) + " bytes, at most " +
                    std::to_string(limits_.string_bytes) + " are allowed");
    }
    if (!is_utf8(text)) return refuse(what + std::string(" that is not UTF-8"));
    return true;
  }

  // Puts a value where it belongs; slot_ then points to it.
  bool add(json value) {
    if (values_ == limits_.values) return refuse_count();
    ++values_;
    if (open_.empty()) {
      slot_ = &root_;
      root_ = std::move(value);
    } else if (open_.back()->is_array()) {
      slot_ = &open_.back()->get_ref<json::array_t&>().emplace_back(std::move(value));
    } else {
      *slot_ = std::move(value);
    }
    return true;
  }

  // `elements` is what a binary format declares and npos where the format does not say. Pointers to
  // open containers stay valid: only the innermost one grows.
  bool open(json container, std::size_t elements) {
    if (open_.size() == limits_.depth) {
      return refuse("nested deeper than " + std::to_string(limits_.depth));
    }
    if (elements != static_cast<std::size_t>(-1) && elements > limits_.values - values_) {
      return refuse_count();
    }
    if (!add(std::move(container))) return false;
    open_.push_back(slot_);
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  bool refuse_count() { return refuse("more than " + std::to_string(limits_.values) + " values"); }

  const Limits limits_;
  json root_;
  std::vector<json*> open_;  // innermost last
  json* slot_ = nullptr;     // where the value after a key goes
  std::size_t values_ = 0;
  std::string why_;
};

// The bytes of the sequence that begins `text`, 0 if it is none (table 3-7 of the Unicode
// standard).
std::size_t sequence_bytes(std::string_view text) noexcept {
  const auto byte = [text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return 0;
  const std::size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const std::uint8_t second = byte(1);
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool surrogate = first == 0xED && second > 0x9F;
  const bool too_large = first == 0xF4 && second > 0x8F;
  return overlong || surrogate || too_large ? 0 : length;
}

}  // namespace

std::optional<json> parse_limited(std::span<const std::byte> bytes,
                                  Format format,
                                  const Limits& limits,
                                  std::string* why) {
  const auto* begin = reinterpret_cast<const char*>(bytes.data());
  Builder builder(limits);
  const bool complete = json::sax_parse(
      begin, begin + bytes.size(), &builder,
      format == Format::kMsgPack ? json::input_format_t::msgpack : json::input_format_t::json);
  if (complete && builder.why().empty()) return builder.take();
  if (why != nullptr) *why = builder.why().empty() ? "malformed" : builder.why();
  return std::nullopt;
}

std::size_t valid_utf8_bytes(std::string_view text) noexcept {
  std::size_t valid = 0;
  while (valid < text.size()) {
    const bool ascii = static_cast<std::uint8_t>(text[valid]) < 0x80;  // nearly always
    const std::size_t bytes = ascii ? 1 : sequence_bytes(text.substr(valid));
    if (bytes == 0) break;
    valid += bytes;
  }
  return valid;
}

std::string clean_text(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes && is_utf8(text)) return std::string(text);
  std::string clean;
  while (!text.empty()) {
    const std::size_t bytes = sequence_bytes(text);
    const std::string_view next = bytes == 0 ? "?" : text.substr(0, bytes);
    if (clean.size() + next.size() > max_bytes) break;
    clean += next;
    text.remove_prefix(std::max<std::size_t>(bytes, 1));
  }
  return clean;
}

}  // namespace ps::wire
