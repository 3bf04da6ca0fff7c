// Comparing what two workers registered: both go through the same JSON value, so a new option needs
// no code here.
#include <array>
#include <charconv>
#include <string>
#include <xxhash.h>

#include "wire/fields_json.h"

namespace ps::wire {
namespace {

using nlohmann::json;

std::string text_of(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array()) {
    std::string list;
    for (const json& element : value) list += (list.empty() ? "" : ", ") + text_of(element);
    return '[' + list + ']';
  }
  if (!value.is_number_float()) return value.dump();
  std::array<char, 32>
      text{};  // every real number of the options is a float: 0.1, not 0.10000000149
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value.get<float>());
  return {text.data(), end.ptr};
}

// Bit for bit, as the fingerprint is: 0 and -0 differ.
bool same(const json& there, const json& here) {
  return there.dump() == here.dump();
}

std::string joined(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + '.' + key;
}

std::string json_difference(const std::string& path, const json& there, const json& here);

std::string object_difference(const std::string& path, const json& there, const json& here) {
  // Objects of different kinds have different fields: the kind is what to tell.
  if (there.contains("kind") && !same(there["kind"], here["kind"])) {
    return path + ' ' + text_of(there["kind"]) + " / " + text_of(here["kind"]);
  }
  for (const auto& [key, value] : there.items()) {
    if (!same(value, here[key])) return json_difference(joined(path, key), value, here[key]);
  }
  return {};
}

std::string json_difference(const std::string& path, const json& there, const json& here) {
  if (there.is_object()) return object_difference(path, there, here);
  if (!there.is_array()) return path + ' ' + text_of(there) + " / " + text_of(here);
  for (std::size_t i = 0; i < std::min(there.size(), here.size()); ++i) {
    if (!same(there[i], here[i])) {
      return json_difference(path + '[' + std::to_string(i) + ']', there[i], here[i]);
    }
  }
  return path + ' ' + std::to_string(there.size()) + " / " + std::to_string(here.size()) +
         " entries";
}

std::string parameter_difference(const ParameterInfo& there, const ParameterInfo& here) {
  if (there.name != here.name) return "'" + there.name + "' there and '" + here.name + "' here";
  const auto differs = [&](const char* what, const json& first, const json& second) {
    return "'" + there.name + "' has " + what + ' ' + text_of(first) + " there and " +
           text_of(second) + " here";
  };
  if (there.shape != here.shape) return differs("shape", there.shape, here.shape);
  return differs("kind", enum_name(there.kind), enum_name(here.kind));
}

}  // namespace

std::uint64_t fingerprint(const Register& registration) {
  const auto bytes = json::to_msgpack(to_json_value(registration));
  return XXH64(bytes.data(), bytes.size(), 0);
}

std::string difference(const Register& first, const Register& second) {
  if (first.name != second.name) return "name " + first.name + " / " + second.name;
  const json there = to_json_value(first.options);
  const json here = to_json_value(second.options);
  if (!same(there, here)) return object_difference("", there, here);
  const std::size_t common = std::min(first.parameters.size(), second.parameters.size());
  for (std::size_t i = 0; i < common; ++i) {
    if (first.parameters[i] != second.parameters[i]) {
      return "parameter " + std::to_string(i) + ": " +
             parameter_difference(first.parameters[i], second.parameters[i]);
    }
  }
  if (first.parameters.size() == second.parameters.size()) {
    if (first.checkpoint == second.checkpoint) return {};
    if (first.checkpoint == 0) return "a checkpoint is restored only here";
    if (second.checkpoint == 0) return "a checkpoint is restored only there";
    return "another checkpoint is restored there than here";
  }
  const bool more_there = first.parameters.size() > common;
  const ParameterInfo& extra = (more_there ? first : second).parameters[common];
  return "parameter " + std::to_string(common) + " '" + extra.name + "' only " +
         (more_there ? "there" : "here");
}

}  // namespace ps::wire
