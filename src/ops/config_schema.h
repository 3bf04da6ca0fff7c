// The table of configuration keys: it drives reading, checking, printing and help, so that a key is
// described in one place. Private to ops/config*.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "ops/config.h"

namespace ps::ops {

// An enumeration's member, its type forgotten: value i has the i-th name of the key's Names.
struct Choice {
  void* value;
  std::size_t (*get)(const void* value);
  void (*set)(void* value, std::size_t index);
};

// Where a key's value lives.
using Slot = std::variant<bool*,
                          int*,
                          std::uint64_t*,
                          float*,
                          std::string*,
                          std::optional<bool>*,
                          std::optional<std::uint64_t>*,
                          std::optional<float>*,
                          Choice>;

template <class T>
Slot slot_of(T& member) {
  if constexpr (std::is_enum_v<T>) {
    return Choice{
        &member,
        [](const void* value) { return static_cast<std::size_t>(*static_cast<const T*>(value)); },
        [](void* value, std::size_t index) { *static_cast<T*>(value) = static_cast<T>(index); }};
  } else {
    return &member;
  }
}

// What a value must be, besides its type.
struct Anything {};
struct Whole {  // low <= value <= high
  std::int64_t low;
  std::int64_t high;
};
struct Real {  // low <= value <= high, without the ends that are open; always finite
  double low;
  double high;
  bool low_open = false;
  bool high_open = false;
};
struct Names {  // separated by '|'; an empty one stands for "the program's" or "none"
  std::string_view list;
};
using Rule = std::variant<Anything, Whole, Real, Names>;

template <class Owner>
struct Key {
  std::string_view name;  // "section.key"
  Slot (*slot)(Owner& owner);
  Rule rule;
  std::string_view help;
};

// In the order in which they are printed; the keys of a section stand together.
std::span<const Key<Config>> config_keys();
// The keys of one [[optimizer.group]].
std::span<const Key<ParameterGroup>> group_keys();
// The sections, in order.
std::vector<std::string_view> config_sections();

inline std::string_view section_of(std::string_view key) {
  return key.substr(0, key.find('.'));
}
inline std::string_view name_in_section(std::string_view key) {
  return key.substr(key.find('.') + 1);
}
// Null when there is no such key.
const Key<Config>* find_key(std::string_view name);
// "PS_CLUSTER_JOB_ID" for "cluster.job_id".
std::string variable_of(std::string_view key);

// The names of a Names rule.
std::vector<std::string_view> names_of(const Names& names);

// A value as a file gives it. A variable or a flag gives text: text_value() makes of it what the
// slot wants, or leaves it a string, which assign() then refuses.
using Value = std::variant<bool, std::int64_t, double, std::string>;
Value text_value(const Slot& slot, const std::string& text);

// Stores the value; false, and nothing stored, when its type or the rule does not allow it.
[[nodiscard]] bool assign(const Slot& slot, const Rule& rule, const Value& value);

// "a whole number from 1 to 64", "one of sync, async, ssp", ...
std::string expected(const Slot& slot, const Rule& rule);

// The value as TOML; nothing when it is optional and not set.
std::optional<std::string> to_toml(const Slot& slot, const Rule& rule);
std::string quote_toml(std::string_view text);

// The candidate with the fewest edits to `name`; empty when even that one is nothing like it.
std::string_view nearest(std::string_view name, std::span<const std::string_view> candidates);

}  // namespace ps::ops
