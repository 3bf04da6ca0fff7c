// Structs <-> JSON values, driven by the tables of fields.h. Reading checks types and ranges of
// types only; what values mean is checked in control_check.cpp.
#pragma once

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "wire/fields.h"
#include "wire/json_sax.h"

namespace ps::wire {

template <class T>
inline constexpr bool kIsVector = false;
template <class T>
inline constexpr bool kIsVector<std::vector<T>> = true;
template <class T>
inline constexpr bool kIsVariant = false;
template <class... T>
inline constexpr bool kIsVariant<std::variant<T...>> = true;

template <class E>
const char* enum_name(E value) {
  for (const auto& [known, name] : kNames<E>) {
    if (known == value) return name;
  }
  return "?";
}

// Keys come out sorted, so equal values have equal encodings. Texts are made valid (clean_text), so
// that no message is lost to a path or a system error that is not UTF-8.
template <class T>
nlohmann::json to_json_value(const T& value) {
  if constexpr (std::is_enum_v<T>) {
    return enum_name(value);
  } else if constexpr (std::is_arithmetic_v<T>) {
    return value;
  } else if constexpr (std::is_same_v<T, std::string>) {
    return clean_text(value, ControlLimits::kStringBytes);
  } else if constexpr (kIsVector<T>) {
    auto array = nlohmann::json::array();
    for (const auto& element : value) array.push_back(to_json_value(element));
    return array;
  } else if constexpr (kIsVariant<T>) {
    auto object = std::visit([](const auto& chosen) { return to_json_value(chosen); }, value);
    object["kind"] = kind_name(value);
    return object;
  } else {
    auto object = nlohmann::json::object();
    std::apply(
        [&](const auto&... field) {
          ((object[field.name] = to_json_value(value.*field.member)), ...);
        },
        kFields<T>);
    return object;
  }
}

// Reads one value; where it fails, path() and what() tell the place and the reason.
class JsonReader {
 public:
  template <class T>
  bool read(const nlohmann::json& value, T& out) {
    if constexpr (std::is_enum_v<T>) {
      return read_enum(value, out);
    } else if constexpr (std::is_same_v<T, bool>) {
      return value.is_boolean() ? assign(value, out) : unexpected(value, "true or false");
    } else if constexpr (std::is_integral_v<T>) {
      return read_integer(value, out);
    } else if constexpr (std::is_floating_point_v<T>) {
      return read_float(value, out);
    } else if constexpr (std::is_same_v<T, std::string>) {
      return value.is_string() ? assign(value, out) : unexpected(value, "a string");
    } else if constexpr (kIsVector<T>) {
      return read_vector(value, out);
    } else if constexpr (kIsVariant<T>) {
      return read_variant(value, out);
    } else {
      return read_object(value, out);
    }
  }

  // "parameters[3].shape: an array expected, a string came"
  [[nodiscard]] std::string why() const {
    const bool dot = path_.starts_with('.');
    return path_.empty() ? what_ : path_.substr(dot ? 1 : 0) + ": " + what_;
  }

 private:
  bool fail(std::string what) {
    what_ = std::move(what);
    return false;
  }
  static std::string quoted(const std::string& text) { return "'" + clean_text(text, 100) + "'"; }
  bool within(const std::string& step) {
    path_.insert(0, step);
    return false;
  }
  bool unexpected(const nlohmann::json& value, const std::string& expected) {
    return fail(expected + " expected, a value of type " + value.type_name() + " came");
  }

  template <class T>
  bool assign(const nlohmann::json& value, T& out) {
    out = value.get<T>();
    return true;
  }

  template <class T>
  bool read_integer(const nlohmann::json& value, T& out) {
    if (!value.is_number_integer()) return unexpected(value, "an integer");
    const bool fits = value.is_number_unsigned() ? std::in_range<T>(value.get<std::uint64_t>())
                                                 : std::in_range<T>(value.get<std::int64_t>());
    if (!fits) return fail(value.dump() + " is out of range");
    return assign(value, out);
  }

  template <class T>
  bool read_float(const nlohmann::json& value, T& out) {
    if (!value.is_number()) return unexpected(value, "a number");
    const auto wide = value.get<double>();
    if (std::isfinite(wide) &&
        std::abs(wide) > static_cast<double>(std::numeric_limits<T>::max())) {
      return fail(value.dump() + " is out of range");
    }
    return assign(value, out);
  }

  template <class E>
  bool read_enum(const nlohmann::json& value, E& out) {
    if (!value.is_string()) return unexpected(value, "a name");
    const auto& name = value.get_ref<const std::string&>();
    for (const auto& [known, known_name] : kNames<E>) {
      if (name != known_name) continue;
      out = known;
      return true;
    }
    return fail(quoted(name) + " is not known");
  }

  template <class T>
  bool read_vector(const nlohmann::json& value, std::vector<T>& out) {
    if (!value.is_array()) return unexpected(value, "an array");
    out.clear();
    out.reserve(value.size());
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (!read(value[i], out.emplace_back())) return within('[' + std::to_string(i) + ']');
    }
    return true;
  }

  template <class T>
  bool read_object(const nlohmann::json& value, T& out) {
    if (!value.is_object()) return unexpected(value, "an object");
    return std::apply(
        [&](const auto&... field) {
          return (read_field(value, field.name, out.*field.member) && ...);
        },
        kFields<T>);
  }

  template <class T>
  bool read_field(const nlohmann::json& object, const char* name, T& out) {
    const auto entry = object.find(name);
    if (entry == object.end()) fail("missing");
    if (entry == object.end() || !read(*entry, out)) return within('.' + std::string(name));
    return true;
  }

  template <class... T>
  bool read_variant(const nlohmann::json& value, std::variant<T...>& out) {
    if (!value.is_object()) return unexpected(value, "an object");
    std::string kind;
    if (!read_field(value, "kind", kind)) return false;
    bool ok = false;
    const auto try_one = [&](std::variant<T...> candidate) {
      if (kind != kind_name(candidate)) return false;
      ok = std::visit([&](auto& chosen) { return read_object(value, chosen); }, candidate);
      out = std::move(candidate);
      return true;
    };
    if ((try_one(T{}) || ...)) return ok;
    return fail("kind " + quoted(kind) + " is not known");
  }

  std::string path_;
  std::string what_;
};

}  // namespace ps::wire
