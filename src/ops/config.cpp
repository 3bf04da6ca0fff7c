#include "ops/config.h"

#include <algorithm>
#include <unistd.h>

#include <ps/error.h>

#include "ops/config_file.h"
#include "ops/config_schema.h"

namespace ps::ops {
namespace {

struct Flag {
  const Key<Config>* key;
  std::string text;
};

struct CommandLine {
  std::vector<Flag> flags;
  std::optional<std::string> file;
  Config::Request request = Config::Request::kRun;
};

bool is_section(std::string_view name) {
  const auto sections = config_sections();
  return std::find(sections.begin(), sections.end(), name) != sections.end();
}

bool is_boolean(const Key<Config>& key) {
  Config scratch;
  const Slot slot = key.slot(scratch);
  return std::holds_alternative<bool*>(slot) || std::holds_alternative<std::optional<bool>*>(slot);
}

// Reads arguments one after the other: the flags that are ours into a CommandLine, the others into
// `rest`.
class ArgumentReader {
 public:
  ArgumentReader(std::vector<std::string> arguments, std::vector<std::string>& rest)
      : arguments_(std::move(arguments)), rest_(rest) {}

  CommandLine read() {
    if (!arguments_.empty()) rest_.push_back(arguments_[0]);
    for (next_ = 1; next_ < arguments_.size();) {
      const std::string argument = arguments_[next_];
      if (argument == "--") break;
      ++next_;
      if (!take(argument)) rest_.push_back(argument);
    }
    for (; next_ < arguments_.size(); ++next_) rest_.push_back(arguments_[next_]);
    return std::move(line_);
  }

 private:
  // False when the argument is not ours.
  bool take(const std::string& argument) {
    if (!argument.starts_with("--")) return false;
    const std::size_t equals = argument.find('=');
    const std::string name = argument.substr(2, equals - std::min<std::size_t>(equals, 2));
    std::optional<std::string> text;
    if (equals != std::string::npos) text = argument.substr(equals + 1);
    if (name == "config") {
      line_.file = text ? *text : value_after("--config", "a TOML file");
    } else if (name == "print-config" && !text) {
      line_.request = Config::Request::kPrintConfig;
    } else if (name == "help-config" && !text) {
      line_.request = Config::Request::kHelpConfig;
    } else {
      return take_key(name, text);
    }
    return true;
  }

  bool take_key(const std::string& name, std::optional<std::string> text) {
    if (name.find('.') == std::string::npos || !is_section(section_of(name))) return false;
    const auto* key = find_key(name);
    if (key == nullptr) refuse_key("flag --" + name, name);
    if (!text && is_boolean(*key)) {
      const bool given = next_ < arguments_.size() &&
                         (arguments_[next_] == "true" || arguments_[next_] == "false");
      text = given ? arguments_[next_++] : "true";
    }
    if (!text) {
      Config scratch;
      text = value_after("--" + name, expected(key->slot(scratch), key->rule));
    }
    line_.flags.push_back({key, *text});
    return true;
  }

  std::string value_after(const std::string& flag, const std::string& wanted) {
    if (next_ < arguments_.size() && !arguments_[next_].starts_with("--")) {
      return arguments_[next_++];
    }
    throw Error(ErrorCode::kInvalidArgument,
                "flag " + flag + ": nothing follows it: expected " + wanted);
  }

  const std::vector<std::string> arguments_;
  std::vector<std::string>& rest_;
  std::size_t next_ = 0;
  CommandLine line_;
};

void set_from_text(const std::string& where,
                   const Key<Config>& key,
                   const std::string& text,
                   Config& config) {
  const Slot slot = key.slot(config);
  if (!assign(slot, key.rule, text_value(slot, text))) {
    refuse_value(where, key.name, quote_toml(text), expected(slot, key.rule));
  }
  config.origins[std::string(key.name)] = where;
}

void read_environment(const Environment& environment, Config& config) {
  std::map<std::string, const Key<Config>*, std::less<>> keys;
  std::vector<std::string> prefixes;
  for (const auto& key : config_keys()) keys[variable_of(key.name)] = &key;
  for (const auto section : config_sections()) prefixes.push_back(variable_of(section) + "_");

  for (const auto& entry : environment.variables) {
    const std::string& variable = entry.first;
    const std::string where = "environment " + variable;
    if (const auto found = keys.find(variable); found != keys.end()) {
      set_from_text(where, *found->second, entry.second, config);
      continue;
    }
    const auto ours = std::find_if(prefixes.begin(), prefixes.end(), [&](const auto& prefix) {
      return variable.starts_with(prefix);
    });
    if (ours == prefixes.end()) continue;
    std::vector<std::string_view> names;
    names.reserve(keys.size());
    for (const auto& [name, key] : keys) names.push_back(name);
    const std::string close(nearest(variable, names));
    throw Error(ErrorCode::kInvalidArgument,
                where + ": no key has this variable; " +
                    (close.empty()
                         ? "--help-config lists all keys"
                         : "did you mean " + close + " (" + std::string(keys[close]->name) + ")?"));
  }
}

// What no key can say alone.
void check_together(const Config& config) {
  const auto& cluster = config.cluster;
  const auto where = [&](std::string_view key) {
    const auto found = config.origins.find(key);
    return found == config.origins.end() ? std::string("default") : found->second;
  };
  const bool worker = cluster.role == ProcessRole::kWorker;
  const std::uint64_t members = worker ? cluster.workers : cluster.servers;
  if ((worker || cluster.role == ProcessRole::kServer) && cluster.index >= members) {
    refuse_value(where("cluster.index"), "cluster.index", std::to_string(cluster.index),
                 "less than " + std::string(worker ? "cluster.workers" : "cluster.servers") +
                     " = " + std::to_string(members));
  }
  if ((worker || cluster.role == ProcessRole::kServer) && cluster.scheduler.empty()) {
    refuse_value(where("cluster.scheduler"), "cluster.scheduler", "\"\"",
                 "the scheduler's endpoint, such as tcp://10.0.0.1:4000, in a server or worker");
  }
  const auto& id = cluster.job_id;
  const bool hexadecimal = id.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
  if (!id.empty() && (id.size() != 32 || !hexadecimal)) {
    refuse_value(where("cluster.job_id"), "cluster.job_id", quote_toml(id),
                 "32 hexadecimal digits");
  }
  if (cluster.role != ProcessRole::kAlone && config.transport.kind == TransportKind::kInproc) {
    refuse_value(where("transport.kind"), "transport.kind", "\"inproc\"",
                 "ipc, tcp or shm: this process is one of many (cluster.role)");
  }
  timing(cluster);
}

}  // namespace

Environment Environment::from_process() {
  Environment environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    environment.variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

std::optional<std::string> Environment::get(std::string_view name) const {
  const auto found = variables.find(name);
  if (found == variables.end()) return std::nullopt;
  return found->second;
}

Config load_config(int argc,
                   const char* const* argv,
                   std::vector<std::string>& rest,
                   const Environment& environment) {
  rest.clear();
  const CommandLine line = ArgumentReader(std::vector<std::string>(argv, argv + argc), rest).read();
  Config config;
  config.request = line.request;
  const auto file = line.file ? line.file : environment.get("PS_CONFIG");
  if (file) read_config_file(*file, config);
  read_environment(environment, config);
  for (const auto& [key, text] : line.flags) {
    set_from_text("flag --" + std::string(key->name), *key, text, config);
  }
  check_together(config);
  return config;
}

}  // namespace ps::ops
