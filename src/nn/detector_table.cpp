// Tables of detectors, read from YAML.
#include <algorithm>
#include <fstream>
#include <iterator>
#include <yaml-cpp/yaml.h>

#include <ps/error.h>
#include <ps/nn/detector.h>

#include "nn/detector_tables.h"
#include "nn/text_value.h"

namespace ps::nn {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxRows = 1000;
constexpr std::size_t kMaxValues = 100;

class TableReader {
 public:
  explicit TableReader(const std::string& name) { table_.name = name; }

  DetectorTable read(const std::string& text) {
    if (text.size() > kMaxBytes) fail(0, "expected at most 1 MiB");
    const YAML::Node root = YAML::Load(text);
    if (!root.IsMap()) fail(0, "expected a map with backbone and head");
    for (const auto& entry : root) read_entry(scalar(entry.first, "a key"), entry.second);
    if (table_.rows.empty()) fail(0, "expected rows under backbone and head");
    return std::move(table_);
  }

  [[noreturn]] void fail(int line, const std::string& text) const {
    const std::string place = line > 0 ? ":" + std::to_string(line) : "";
    throw Error(ErrorCode::kCorrupt, table_.name + place + ": " + text);
  }

 private:
  static int line(const YAML::Node& node) { return node.Mark().line + 1; }

  std::string scalar(const YAML::Node& node, const char* what) const {
    if (node.IsNull()) return "None";
    if (!node.IsScalar()) fail(line(node), std::string("expected ") + what + ", got a list or map");
    return node.Scalar();
  }

  double number(const YAML::Node& node, const std::string& what, double most) const {
    const std::string text = scalar(node, "a number");
    const auto value = parse_number<double>(text);
    if (!value || *value <= 0.0 || *value > most) {
      fail(line(node),
           what + ": expected a number above 0, at most " + short_text(most) + ", got " + text);
    }
    return *value;
  }
  std::int64_t count(const YAML::Node& node, const std::string& what, std::int64_t most) const {
    const std::string text = scalar(node, "a number");
    const auto value = parse_number<std::int64_t>(text);
    if (!value || *value < 1 || *value > most) {
      fail(line(node),
           what + ": expected a number of 1 to " + std::to_string(most) + ", got " + text);
    }
    return *value;
  }
  static std::string short_text(double value) {
    return std::to_string(static_cast<std::int64_t>(value));
  }

  void read_entry(const std::string& key, const YAML::Node& value) {
    if (key == "nc") {
      table_.classes = count(value, key, 65536);
    } else if (key == "depth_multiple") {
      table_.depth_multiple = number(value, key, 100.0);
    } else if (key == "width_multiple") {
      table_.width_multiple = number(value, key, 100.0);
    } else if (key == "scales") {
      read_scales(value);
    } else if (key == "activation") {
      read_activation(value);
    } else if (key == "anchors") {
      read_anchors(value);
    } else if (key == "backbone" || key == "head") {
      read_rows(key, value);
    } else {
      fail(line(value), "unknown key " + key +
                            "; known are nc, depth_multiple, width_multiple, scales, activation, "
                            "anchors, backbone, head");
    }
  }

  void read_scales(const YAML::Node& scales) {
    if (!scales.IsMap() || scales.size() == 0) {
      fail(line(scales), "scales: expected letter: [depth, width, most channels]");
    }
    const std::string wanted =
        table_.name.empty() ? "" : table_.name.substr(table_.name.size() - 1);
    YAML::Node chosen = scales.begin()->second;
    for (const auto& entry : scales) {
      if (scalar(entry.first, "a letter") == wanted) chosen.reset(entry.second);
    }
    if (!chosen.IsSequence() || chosen.size() != 3) {
      fail(line(chosen), "scales: expected [depth, width, most channels]");
    }
    table_.depth_multiple = number(chosen[0], "depth", 100.0);
    table_.width_multiple = number(chosen[1], "width", 100.0);
    table_.max_channels = count(chosen[2], "most channels", 65536);
  }

  void read_activation(const YAML::Node& node) {
    std::string text = scalar(node, "an activation");
    if (text.ends_with("()")) text.resize(text.size() - 2);
    const std::string_view leaky = "nn.LeakyReLU(";
    if (text == "nn.SiLU") {
      table_.activation = ActivationFunction::kSilu;
    } else if (text == "nn.ReLU") {
      table_.activation = ActivationFunction::kRelu;
    } else if (text.starts_with(leaky) && text.ends_with(")")) {
      const auto slope = parse_number<float>(
          std::string_view(text).substr(leaky.size(), text.size() - leaky.size() - 1));
      if (!slope || *slope <= 0.0F) fail(line(node), "activation: expected a slope above 0");
      table_.activation = ActivationFunction::kLeakyRelu;
      table_.slope = *slope;
    } else {
      fail(line(node),
           "activation: expected nn.SiLU(), nn.ReLU() or nn.LeakyReLU(0.1), got " + text);
    }
  }

  void read_anchors(const YAML::Node& node) {
    if (!node.IsSequence()) {
      fail(line(node), "anchors: expected a list of widths and heights for each level");
    }
    for (const auto& level : node) {
      if (!level.IsSequence() || level.size() == 0 || level.size() % 2 != 0 || level.size() > 64) {
        fail(line(level), "anchors: expected 1 to 32 pairs of width and height");
      }
      std::vector<Anchor>& anchors = table_.anchors.emplace_back();
      for (std::size_t i = 0; i < level.size(); i += 2) {
        anchors.push_back({.width = static_cast<float>(number(level[i], "anchors", 65536.0)),
                           .height = static_cast<float>(number(level[i + 1], "anchors", 65536.0))});
      }
    }
  }

  void read_rows(const std::string& part, const YAML::Node& rows) {
    // A head before its backbone would number the rows another way than its `from` means.
    if (part == "backbone" && !table_.rows.empty()) fail(line(rows), "expected backbone first");
    if (!rows.IsSequence()) fail(line(rows), part + ": expected rows");
    for (const auto& row : rows) read_row(row);
  }

  void read_row(const YAML::Node& node) {
    const std::string name = "row " + std::to_string(table_.rows.size());
    if (!node.IsSequence() || node.size() != 4) {
      fail(line(node), name + ": expected [from, number, module, args]");
    }
    if (table_.rows.size() == kMaxRows) fail(line(node), "expected at most 1000 rows");
    DetectorRow row{.from = {},
                    .number = count(node[1], name + ", number", 1000),
                    .module = scalar(node[2], "a module's name"),
                    .arguments = {},
                    .line = line(node)};
    std::vector<std::string> from;
    flatten(node[0], name, 0, from);
    for (const std::string& text : from) {
      const auto number = parse_number<int>(text);
      if (!number) fail(line(node), name + ", from: expected rows' numbers, got " + text);
      row.from.push_back(*number);
    }
    if (row.from.empty()) fail(line(node), name + ": expected from to name a row");
    if (!node[3].IsSequence()) fail(line(node), name + ": expected args in brackets");
    flatten(node[3], name, 0, row.arguments);
    table_.rows.push_back(std::move(row));
  }

  // A list that repeats others by alias could make a small file large.
  void flatten(const YAML::Node& node,
               const std::string& name,
               int depth,
               std::vector<std::string>& values) const {
    if (depth > 3 || values.size() == kMaxValues) {
      fail(line(node), name + ": expected at most 100 values, in lists nested at most twice");
    }
    if (!node.IsSequence()) {
      values.push_back(scalar(node, "a value"));
      return;
    }
    for (const auto& item : node) flatten(item, name, depth + 1, values);
  }

  DetectorTable table_;
};

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text;
  // One byte more than is allowed, so that the reader sees that it is too long.
  text.resize(kMaxBytes + 1);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  if (file.bad() || (text.empty() && !file.eof())) {
    throw Error(ErrorCode::kIo, path + ": cannot be read");
  }
  return text;
}

std::string stem(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  for (const char* suffix : {".yaml", ".yml"}) {
    if (name.ends_with(suffix)) name.resize(name.rfind(suffix));
  }
  return name;
}

}  // namespace

DetectorTable parse_detector_table(const std::string& yaml, const std::string& name) {
  TableReader reader(name);
  try {
    return reader.read(yaml);
  } catch (const YAML::Exception& error) {
    reader.fail(error.mark.is_null() ? 0 : error.mark.line + 1, error.msg);
  }
}

DetectorTable detector_table(const std::string& name_or_file) {
  if (std::ifstream(name_or_file).good()) {
    return parse_detector_table(read_file(name_or_file), stem(name_or_file));
  }
  const std::string name = stem(name_or_file);
  const auto text =
      name_or_file.find('/') == std::string::npos ? builtin_table(name) : std::nullopt;
  if (!text) {
    throw Error(ErrorCode::kInvalidArgument, name_or_file +
                                                 ": expected a model table's file or one of " +
                                                 joined(detector_table_names()));
  }
  return parse_detector_table(*text, name);
}

std::vector<std::string> detector_table_names() {
  return builtin_table_names();
}

}  // namespace ps::nn
