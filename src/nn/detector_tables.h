// The tables that ps knows by name.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ps::nn {

// Its YAML; none: no such name.
std::optional<std::string> builtin_table(std::string_view name);

std::vector<std::string> builtin_table_names();

}  // namespace ps::nn
