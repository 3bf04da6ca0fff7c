// The TOML side of reading a configuration, and the errors that all its sources share. Private to
// ops/config*.
#pragma once

#include <string>
#include <string_view>

#include "ops/config_schema.h"

namespace ps::ops {

// Sets what the file says. Throws as load_config().
void read_config_file(const std::string& path, Config& config);

// Throws ps::Error(kInvalidArgument): "<where>: <key> = <value>: expected ...".
[[noreturn]] void refuse_value(const std::string& where,
                               std::string_view key,
                               const std::string& value,
                               const std::string& wanted);

// Throws ps::Error(kInvalidArgument): "<where>: unknown key <key>; did you mean ...?".
[[noreturn]] void refuse_key(const std::string& where, std::string_view key);

}  // namespace ps::ops
