// Loading a configuration from texts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <ps/error.h>

#include "ops/config.h"
#include "ops/temporary_directory.h"

namespace ps::test {

struct ConfigSources {
  std::string file = {};  // TOML; empty: none
  std::map<std::string, std::string, std::less<>> environment = {};
  std::vector<std::string> arguments = {};  // after argv[0]
};

struct LoadedConfig {
  ops::Config config;
  std::vector<std::string> rest;
};

inline LoadedConfig load(const ConfigSources& sources) {
  const TemporaryDirectory directory;
  std::vector<std::string> arguments{"train"};
  if (!sources.file.empty()) {
    arguments.push_back("--config");
    arguments.push_back(directory.write("job.toml", sources.file));
  }
  arguments.insert(arguments.end(), sources.arguments.begin(), sources.arguments.end());
  std::vector<const char*> pointers;
  for (const auto& argument : arguments) pointers.push_back(argument.c_str());
  LoadedConfig loaded;
  loaded.config = ops::load_config(static_cast<int>(pointers.size()), pointers.data(), loaded.rest,
                                   ops::Environment{sources.environment});
  return loaded;
}

// The text of the error that loading throws, with the file's directory left out; "none" without an
// error, and the code's name before a code that is not kInvalidArgument.
inline std::string load_error(const ConfigSources& sources) {
  try {
    load(sources);
  } catch (const Error& error) {
    std::string text = error.what();
    const std::size_t name = text.find("job.toml");
    const std::size_t begin = name == std::string::npos ? name : text.rfind(' ', name);
    if (name != std::string::npos) {
      const std::size_t from = begin == std::string::npos ? 0 : begin + 1;
      text.erase(from, name - from);
    }
    if (error.code() != ErrorCode::kInvalidArgument) {
      text = std::string(to_string(error.code())) + ": " + text;
    }
    return text;
  }
  return "none";
}

}  // namespace ps::test
