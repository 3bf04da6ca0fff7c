// --print-config and --help-config.
#include <algorithm>

#include "ops/config_schema.h"
#include "wire/json_sax.h"

namespace ps::ops {
namespace {

// Where the comments begin, if the value is not longer.
constexpr std::size_t kCommentColumn = 40;

std::string with_comment(std::string line, std::string comment) {
  line.resize(std::max(line.size() + 2, kCommentColumn), ' ');
  comment = wire::clean_text(comment, comment.size());  // a file may be called anything
  std::replace_if(
      comment.begin(), comment.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }, '?');
  return line + "# " + comment + '\n';
}

std::string print_groups(const Config& config) {
  std::string text;
  auto groups = config.optimizer.group;  // slots are writable
  for (ParameterGroup& group : groups) {
    const auto origin = config.origins.find("optimizer.group");
    const bool known = origin != config.origins.end();
    text += '\n' + with_comment("[[optimizer.group]]", known ? origin->second : "default");
    for (const auto& key : group_keys()) {
      const std::string name(key.name.substr(key.name.rfind('.') + 1));
      text += name + " = " + to_toml(key.slot(group), key.rule).value_or("") + '\n';
    }
  }
  return text;
}

std::string choices(const Slot& slot, const Rule& rule) {
  if (const auto* names = std::get_if<Names>(&rule)) {
    const std::string_view list = names->list;
    return std::string(list.starts_with('|') ? list.substr(1) : list);
  }
  return expected(slot, rule);
}

}  // namespace

std::string print_config(const Config& config) {
  Config copy = config;  // slots are writable
  std::string text;
  std::string_view section;
  for (const auto& key : config_keys()) {
    if (section != section_of(key.name)) {
      if (section == "optimizer") text += print_groups(config);
      section = section_of(key.name);
      text += (text.empty() ? "[" : "\n[") + std::string(section) + "]\n";
    }
    const std::string name(name_in_section(key.name));
    const auto value = to_toml(key.slot(copy), key.rule);
    const auto origin = config.origins.find(key.name);
    if (!value) {
      text += with_comment("# " + name + " =", "the program's");
    } else {
      text += with_comment(name + " = " + *value,
                           origin == config.origins.end() ? "default" : origin->second);
    }
  }
  return text;
}

std::string help_config() {
  Config defaults;
  std::string text =
      "Each key is a line of a TOML file (--config FILE, or the variable PS_CONFIG), a variable\n"
      "(PS_CLUSTER_WORKERS=4) and a flag (--cluster.workers=4); a flag wins over a variable, a\n"
      "variable over the file. --print-config shows what is in force and where it came from.\n";
  std::string_view section;
  for (const auto& key : config_keys()) {
    if (section != section_of(key.name)) {
      section = section_of(key.name);
      text += "\n[" + std::string(section) + "]\n";
    }
    const Slot slot = key.slot(defaults);
    const auto value = to_toml(slot, key.rule);
    text += "  --" + std::string(key.name) + "  (" + choices(slot, key.rule) +
            "; default: " + value.value_or("the program's") + ")\n      " + std::string(key.help) +
            '\n';
  }
  text += "\n[[optimizer.group]], any number of times, in the file only\n";
  ParameterGroup group;
  for (const auto& key : group_keys()) {
    const Slot slot = key.slot(group);
    text += "  " + std::string(key.name.substr(key.name.rfind('.') + 1)) + "  (" +
            choices(slot, key.rule) + "; default: " + to_toml(slot, key.rule).value_or("") +
            ")\n      " + std::string(key.help) + '\n';
  }
  return text;
}

}  // namespace ps::ops
