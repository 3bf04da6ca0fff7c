#include "ops/config_file.h"

#include <array>
#include <charconv>
#include <optional>
#include <span>
#include <sstream>
#include <toml++/toml.h>

#include <ps/error.h>

#include "ops/file.h"

namespace ps::ops {
namespace {

std::string place(const std::string& path, const toml::source_region& source) {
  return path + ":" + std::to_string(source.begin.line);
}

// Nothing for what no key can be: an array, a table, a date.
std::optional<Value> value_of(const toml::node& node) {
  if (const auto* flag = node.as_boolean()) return flag->get();
  if (const auto* number = node.as_integer()) return number->get();
  if (const auto* number = node.as_floating_point()) return number->get();
  if (const auto* text = node.as_string()) return text->get();
  return std::nullopt;
}

std::string shown(const toml::node& node) {
  if (const auto* text = node.as_string()) return quote_toml(text->get());
  if (node.is_table()) return "a table";
  if (node.is_array()) return "an array";
  if (const auto* number = node.as_floating_point()) {
    std::array<char, 64> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number->get()).ptr;
    const std::string shortest(digits.data(), end);
    return shortest.find_first_of(".en") == std::string::npos ? shortest + ".0" : shortest;
  }
  std::ostringstream text;
  node.visit([&](const auto& value) { text << value; });
  return text.str();
}

template <class Owner>
void set_from(const std::string& path,
              const Key<Owner>& key,
              const toml::node& node,
              Owner& owner) {
  const Slot slot = key.slot(owner);
  const auto value = value_of(node);
  if (!value || !assign(slot, key.rule, *value)) {
    refuse_value(place(path, node.source()), key.name, shown(node), expected(slot, key.rule));
  }
}

void read_group(const std::string& path, const toml::table& table, ParameterGroup& group) {
  for (const auto& [name, node] : table) {
    const Key<ParameterGroup>* found = nullptr;
    std::vector<std::string_view> names;
    for (const auto& key : group_keys()) {
      names.push_back(key.name);
      if (key.name == "optimizer.group." + std::string(name.str())) found = &key;
    }
    if (found == nullptr) {
      const std::string full = "optimizer.group." + std::string(name.str());
      const auto close = nearest(full, names);
      throw Error(ErrorCode::kInvalidArgument,
                  place(path, name.source()) + ": unknown key " + full + "; did you mean " +
                      std::string(close.empty() ? names.front() : close) + "?");
    }
    set_from(path, *found, node, group);
  }
}

void read_groups(const std::string& path, const toml::node& node, Config& config) {
  const std::string where = place(path, node.source());
  const auto* list = node.as_array();
  if (list == nullptr || !list->is_homogeneous(toml::node_type::table)) {
    refuse_value(where, "optimizer.group", shown(node),
                 "tables, each begun by [[optimizer.group]]");
  }
  for (const auto& entry : *list) {
    read_group(path, *entry.as_table(), config.optimizer.group.emplace_back());
  }
  config.origins["optimizer.group"] = "file " + where;
}

void read_section(const std::string& path,
                  std::string_view section,
                  const toml::table& table,
                  Config& config) {
  for (const auto& [name, node] : table) {
    const std::string full = std::string(section) + "." + std::string(name.str());
    if (full == "optimizer.group") {
      read_groups(path, node, config);
      continue;
    }
    const auto* key = find_key(full);
    if (key == nullptr) refuse_key(place(path, name.source()), full);
    set_from(path, *key, node, config);
    config.origins[full] = "file " + place(path, node.source());
  }
}

[[noreturn]] void refuse_section(const std::string& where, std::string_view name) {
  const auto sections = config_sections();
  std::string text = where + ": unknown section [" + std::string(name) + "]; ";
  if (const auto close = nearest(name, sections); !close.empty()) {
    text += "did you mean [" + std::string(close) + "]?";
  } else {
    text += "expected";
    for (const auto section : sections) text += " [" + std::string(section) + "]";
  }
  throw Error(ErrorCode::kInvalidArgument, text);
}

std::string read_text(const std::string& path) {
  try {
    InputFile file(path);
    std::string text(file.size(), '\0');
    file.read(std::as_writable_bytes(std::span(text)));
    return text;
  } catch (const Error& error) {
    throw Error(error.code(), std::string("the configuration file: ") + error.what());
  }
}

toml::table parse_file(const std::string& path) {
  const std::string text = read_text(path);
  try {
    return toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    throw Error(ErrorCode::kInvalidArgument, place(path, error.source()) + ": not valid TOML: " +
                                                 std::string(error.description()));
  }
}

}  // namespace

void read_config_file(const std::string& path, Config& config) {
  const toml::table document = parse_file(path);
  for (const auto& [name, node] : document) {
    bool known = false;
    for (const auto section : config_sections()) known = known || section == name.str();
    const std::string where = place(path, name.source());
    const auto* table = node.as_table();
    if (!known && table == nullptr) refuse_key(where, name.str());
    if (!known) refuse_section(where, name.str());
    if (table == nullptr) refuse_value(where, name.str(), shown(node), "a section of keys");
    read_section(path, name.str(), *table, config);
  }
}

void refuse_value(const std::string& where,
                  std::string_view key,
                  const std::string& value,
                  const std::string& wanted) {
  throw Error(ErrorCode::kInvalidArgument,
              where + ": " + std::string(key) + " = " + value + ": expected " + wanted);
}

void refuse_key(const std::string& where, std::string_view key) {
  std::vector<std::string_view> names;
  std::string_view close;
  for (const auto& known : config_keys()) {
    names.push_back(known.name);
    // The right name in the wrong section.
    if (name_in_section(known.name) == name_in_section(key)) close = known.name;
  }
  if (close.empty()) close = nearest(key, names);
  std::string text = where + ": unknown key " + std::string(key) + "; ";
  if (key == "optimizer.group") {
    text += "groups are given in the configuration file, as [[optimizer.group]]";
  } else if (!close.empty()) {
    text += "did you mean " + std::string(close) + "?";
  } else {
    text += "--help-config lists all keys";
  }
  throw Error(ErrorCode::kInvalidArgument, text);
}

}  // namespace ps::ops
