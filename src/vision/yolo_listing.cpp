// data.yaml: which pictures a split has and what the classes are called; and darknet's obj.data,
// which says the same in other words. Files may be hostile: sizes are limited before they are
// multiplied, as a reference in YAML lets a small file say much.
#include <algorithm>
#include <map>
#include <optional>
#include <yaml-cpp/yaml.h>

#include <ps/error.h>

#include "vision/bytes.h"
#include "vision/listing.h"
#include "vision/paths.h"

namespace ps::vision {
namespace {

constexpr std::uint64_t kMaxYamlBytes = std::uint64_t{1} << 20;
constexpr std::size_t kMaxClasses = 65536;
constexpr std::size_t kMaxNameBytes = 256;
constexpr std::size_t kMaxPlaces = 4096;

[[noreturn]] void refuse(const std::string& file, const std::string& text) {
  throw Error(ErrorCode::kInvalidArgument, file + ": " + text);
}

std::string scalar(const YAML::Node& node, const std::string& file, const std::string& field) {
  if (!node.IsScalar()) refuse(file, "expected a text in the field \"" + field + "\"");
  if (node.Scalar().size() > kMaxNameBytes * 16) refuse(file, "\"" + field + "\" is too long");
  return node.Scalar();
}

YAML::Node read_yaml(const std::string& file) {
  const std::vector<std::uint8_t> bytes = read_file(file, kMaxYamlBytes);
  try {
    YAML::Node node = YAML::Load(std::string(bytes.begin(), bytes.end()));
    if (node.IsMap()) return node;
  } catch (const YAML::Exception& error) {
    throw Error(ErrorCode::kCorrupt, file + ": no YAML: " + error.what());
  }
  throw Error(ErrorCode::kCorrupt, file + ": expected fields (path, train, val, names)");
}

std::optional<std::int64_t> whole_number(const std::string& text) {
  try {
    std::size_t used = 0;
    const std::int64_t value = std::stoll(text, &used);
    if (used == text.size()) return value;
  } catch (const std::exception&) {  // not a number, or none that fits
  }
  return std::nullopt;
}

std::vector<std::string> read_names(const YAML::Node& names, const std::string& file) {
  if (!names.IsDefined() || !(names.IsSequence() || names.IsMap()) || names.size() == 0) {
    refuse(file, "expected the classes' names in the field \"names\"");
  }
  if (names.size() > kMaxClasses) refuse(file, "\"names\" has more than 65536 classes");
  std::map<std::int64_t, std::string> by_number;
  std::int64_t next = 0;
  for (const auto& item : names) {
    const bool is_map = names.IsMap();
    const auto number = is_map ? whole_number(scalar(item.first, file, "names")) : next++;
    std::string name = scalar(is_map ? item.second : YAML::Node(item), file, "names");
    if (name.size() > kMaxNameBytes) refuse(file, "a name in \"names\" is longer than 256 bytes");
    if (!number || !by_number.emplace(*number, std::move(name)).second) {
      refuse(file, "expected each number from 0 on once in \"names\"");
    }
  }
  if (by_number.begin()->first != 0 ||
      by_number.rbegin()->first + 1 != std::int64_t(by_number.size())) {
    refuse(file,
           "expected the numbers 0 to " + std::to_string(by_number.size() - 1) + " in \"names\"");
  }
  std::vector<std::string> result;
  result.reserve(by_number.size());
  for (auto& [number, name] : by_number) result.push_back(std::move(name));
  return result;
}

std::vector<std::string> read_places(const YAML::Node& yaml,
                                     const std::string& file,
                                     const std::string& field) {
  const YAML::Node places = yaml[field];
  if (!places.IsDefined() || places.IsNull()) {
    refuse(file, "expected the field \"" + field +
                     "\": a folder of pictures, a .txt list of them, " + "or several of these");
  }
  if (!places.IsSequence()) return {scalar(places, file, field)};
  if (places.size() == 0 || places.size() > kMaxPlaces) {
    refuse(file, "expected 1 to 4096 entries in \"" + field + "\"");
  }
  std::vector<std::string> result;
  for (const auto& place : places) result.push_back(scalar(place, file, field));
  return result;
}

// The folder that the others are below.
std::string root_of(const YAML::Node& yaml, const std::string& file) {
  std::string own = folder_of(file);
  const YAML::Node path = yaml["path"];
  if (!path.IsDefined() || path.IsNull()) return own;
  const std::string text = scalar(path, file, "path");
  std::string below = joined(own, text);
  if (is_folder(below)) return below;
  std::string here = absolute_path(text);
  if (is_folder(here)) return here;
  refuse(file, "the folder in the field \"path\" is not there: " + below);
}

void add_pictures(Listing& listing, std::vector<std::string> pictures) {
  for (std::string& picture : pictures) {
    Entry entry;
    entry.label_file = label_path(picture);
    entry.image = std::move(picture);
    listing.entries.push_back(std::move(entry));
  }
}

struct ObjData {
  std::map<std::string, std::string> fields;
  std::vector<std::string> folders;  // that relative paths may be below
};

ObjData read_obj_data(const std::string& file) {
  ObjData data;
  for (const std::string& line : read_lines(file)) {
    if (line.front() == '#' || line.front() == ';') continue;
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos) refuse(file, "expected key = value, got \"" + line + "\"");
    data.fields[std::string(trimmed(line.substr(0, equals)))] = trimmed(line.substr(equals + 1));
  }
  // darknet itself means the folder that it is started in, most often the one above.
  data.folders = {folder_of(file), folder_of(folder_of(file)), absolute_path(".")};
  return data;
}

std::string file_in(const ObjData& data, const std::string& file, const std::string& key) {
  const auto field = data.fields.find(key);
  if (field == data.fields.end() || field->second.empty()) {
    refuse(file, "expected the field \"" + key + "\"");
  }
  for (const std::string& folder : data.folders) {
    if (std::string path = joined(folder, field->second); exists(path)) return path;
  }
  refuse(file, "the file in the field \"" + key + "\" is not there: " + field->second);
}

}  // namespace

Listing list_yolo(const std::string& yaml_path, Split split) {
  const std::string file = absolute_path(yaml_path);
  const YAML::Node yaml = read_yaml(file);
  Listing listing;
  try {
    listing.names = read_names(yaml["names"], file);
    (void)read_places(yaml, file, "train");
    (void)read_places(yaml, file, "val");
    if (const YAML::Node nc = yaml["nc"]; nc.IsDefined()) {
      const std::string text = scalar(nc, file, "nc");
      if (whole_number(text) != std::int64_t(listing.names.size())) {
        refuse(file, "\"nc\" is " + text + ", but \"names\" has " +
                         std::to_string(listing.names.size()) + " classes");
      }
    }
    const std::string root = root_of(yaml, file);
    for (const std::string& place : read_places(yaml, file, to_string(split))) {
      const std::string path = joined(root, place);
      if (listing.path.empty()) listing.path = path;
      if (is_folder(path)) {
        add_pictures(listing, pictures_below(path));
      } else if (exists(path)) {
        if (listing.cache.empty()) listing.cache = with_ending(path, ".cache");
        add_pictures(listing, listed_pictures(path, {root}));
      } else {
        refuse(file, "what the field \"" + std::string(to_string(split)) +
                         "\" names is not there: " + path);
      }
    }
  } catch (const YAML::Exception& error) {
    throw Error(ErrorCode::kCorrupt, file + ": " + error.what());
  }
  if (listing.cache.empty() && !listing.entries.empty()) {
    listing.cache = folder_of(listing.entries.front().label_file) + ".cache";
  }
  find_lost_labels(listing);
  return listing;
}

Listing list_darknet(const std::string& obj_data, Split split) {
  const std::string file = absolute_path(obj_data);
  const ObjData data = read_obj_data(file);
  Listing listing;
  listing.names = read_lines(file_in(data, file, "names"));
  const auto classes = data.fields.find("classes");
  if (listing.names.empty() || listing.names.size() > kMaxClasses) {
    refuse(file, "expected 1 to 65536 classes in the file of the field \"names\"");
  }
  if (classes != data.fields.end() &&
      whole_number(classes->second) != std::int64_t(listing.names.size())) {
    refuse(file, "\"classes\" is " + classes->second + ", but the file of \"names\" has " +
                     std::to_string(listing.names.size()) + " lines");
  }
  listing.path = file_in(data, file, split == Split::kVal ? "valid" : to_string(split));
  listing.cache = with_ending(listing.path, ".cache");
  add_pictures(listing, listed_pictures(listing.path, data.folders));
  for (Entry& entry : listing.entries) {
    const std::string beside = with_ending(entry.image, ".txt");
    if (exists(beside)) entry.label_file = beside;
  }
  find_lost_labels(listing);
  return listing;
}

}  // namespace ps::vision
