// Values of configuration keys: text and TOML to a slot and back. The keys themselves:
// config_schema.cpp.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>

#include "ops/config_schema.h"
#include "wire/json_sax.h"

namespace ps::ops {
namespace {

template <class... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};
template <class... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

template <class Number>
std::string number_text(Number number) {
  std::array<char, 64> text{};
  const auto result = std::to_chars(text.data(), text.data() + text.size(), number);
  return {text.data(), result.ptr};
}

std::optional<std::int64_t> whole(const Rule& rule, const Value& value) {
  const auto* number = std::get_if<std::int64_t>(&value);
  const auto* range = std::get_if<Whole>(&rule);
  if (number == nullptr || range == nullptr) return std::nullopt;
  if (*number < range->low || *number > range->high) return std::nullopt;
  return *number;
}

std::optional<float> real(const Rule& rule, const Value& value) {
  const auto* range = std::get_if<Real>(&rule);
  if (range == nullptr) return std::nullopt;
  double number = std::numeric_limits<double>::quiet_NaN();
  if (const auto* floating = std::get_if<double>(&value)) number = *floating;
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    number = static_cast<double>(*integer);
  }
  const bool above = range->low_open ? number > range->low : number >= range->low;
  const bool below = range->high_open ? number < range->high : number <= range->high;
  if (!above || !below || std::abs(number) > std::numeric_limits<float>::max()) return std::nullopt;
  const auto narrowed = static_cast<float>(number);
  // 1e-60 is not a positive float, and 0.99999999999 not one below 1.
  if ((range->low_open && narrowed <= static_cast<float>(range->low)) ||
      (range->high_open && narrowed >= static_cast<float>(range->high))) {
    return std::nullopt;
  }
  return narrowed;
}

bool set(bool& member, const Rule& /*rule*/, const Value& value) {
  const auto* flag = std::get_if<bool>(&value);
  if (flag != nullptr) member = *flag;
  return flag != nullptr;
}

bool set(int& member, const Rule& rule, const Value& value) {
  const auto number = whole(rule, value);
  if (number) member = static_cast<int>(*number);
  return number.has_value();
}

bool set(std::uint64_t& member, const Rule& rule, const Value& value) {
  const auto number = whole(rule, value);
  if (number) member = static_cast<std::uint64_t>(*number);
  return number.has_value();
}

bool set(float& member, const Rule& rule, const Value& value) {
  const auto number = real(rule, value);
  if (number) member = *number;
  return number.has_value();
}

bool set(std::string& member, const Rule& /*rule*/, const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr || !wire::is_utf8(*text)) return false;  // TOML could not say it
  member = *text;
  return true;
}

template <class T>
bool set(std::optional<T>& member, const Rule& rule, const Value& value) {
  T inner{};
  if (!set(inner, rule, value)) return false;
  member = inner;
  return true;
}

bool set(const Choice& choice, const Rule& rule, const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  const auto* names = std::get_if<Names>(&rule);
  if (text == nullptr || names == nullptr) return false;
  const auto list = names_of(*names);
  const auto found = std::find(list.begin(), list.end(), *text);
  if (found == list.end()) return false;
  choice.set(choice.value, static_cast<std::size_t>(found - list.begin()));
  return true;
}

std::optional<std::string> toml_of(bool value) {
  return value ? "true" : "false";
}
std::optional<std::string> toml_of(int value) {
  return number_text(value);
}
std::optional<std::string> toml_of(std::uint64_t value) {
  return number_text(value);
}
std::optional<std::string> toml_of(const std::string& value) {
  return quote_toml(value);
}
std::optional<std::string> toml_of(float value) {
  std::string text = number_text(value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}
template <class T>
std::optional<std::string> toml_of(const std::optional<T>& value) {
  return value ? toml_of(*value) : std::nullopt;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::string real_text(const Real& rule) {
  std::string text = "a number";
  if (std::isfinite(rule.low)) text += (rule.low_open ? " > " : " >= ") + number_text(rule.low);
  if (std::isfinite(rule.high)) {
    text += (rule.high_open ? " and < " : " and <= ") + number_text(rule.high);
  }
  return text;
}

}  // namespace

std::vector<std::string_view> names_of(const Names& names) {
  std::vector<std::string_view> list;
  std::string_view left = names.list;
  for (std::size_t bar = left.find('|'); bar != std::string_view::npos; bar = left.find('|')) {
    list.push_back(left.substr(0, bar));
    left.remove_prefix(bar + 1);
  }
  list.push_back(left);
  return list;
}

Value text_value(const Slot& slot, const std::string& text) {
  const bool flag =
      std::holds_alternative<bool*>(slot) || std::holds_alternative<std::optional<bool>*>(slot);
  if (flag && (text == "true" || text == "1")) return true;
  if (flag && (text == "false" || text == "0")) return false;
  if (flag || std::holds_alternative<std::string*>(slot) || std::holds_alternative<Choice>(slot)) {
    return text;
  }
  if (const auto number = parse_number<std::int64_t>(text)) return *number;
  if (const auto number = parse_number<double>(text)) return *number;
  return text;
}

bool assign(const Slot& slot, const Rule& rule, const Value& value) {
  return std::visit(Overloaded{[&](const Choice& choice) { return set(choice, rule, value); },
                               [&](auto* member) { return set(*member, rule, value); }},
                    slot);
}

std::string expected(const Slot& slot, const Rule& rule) {
  if (const auto* range = std::get_if<Whole>(&rule)) {
    const std::string low = "a whole number from " + number_text(range->low);
    const bool bounded = range->high < std::numeric_limits<std::int64_t>::max();
    return bounded ? low + " to " + number_text(range->high) : low + " up";
  }
  if (const auto* range = std::get_if<Real>(&rule)) return real_text(*range);
  if (const auto* names = std::get_if<Names>(&rule)) {
    std::string text;
    for (const auto name : names_of(*names)) {
      if (!name.empty()) text += (text.empty() ? "one of " : ", ") + std::string(name);
    }
    return text;
  }
  return std::holds_alternative<std::string*>(slot) ? "text in UTF-8" : "true or false";
}

std::optional<std::string> to_toml(const Slot& slot, const Rule& rule) {
  return std::visit(Overloaded{[&](const Choice& choice) -> std::optional<std::string> {
                                 const auto list = names_of(std::get<Names>(rule));
                                 return quote_toml(list.at(choice.get(choice.value)));
                               },
                               [](const auto* member) { return toml_of(*member); }},
                    slot);
}

std::string quote_toml(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      quoted += "\\u00";
      quoted += kHex[byte >> 4U];
      quoted += kHex[byte & 15U];
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

std::string_view nearest(std::string_view name, std::span<const std::string_view> candidates) {
  std::string_view best;
  std::size_t fewest = std::max<std::size_t>(3, name.size() / 2);  // more is nothing like it
  for (const auto candidate : candidates) {
    const std::size_t edits = edit_distance(name, candidate);
    if (edits < fewest) {
      fewest = edits;
      best = candidate;
    }
  }
  return best;
}

}  // namespace ps::ops
