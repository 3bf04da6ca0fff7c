// Pascal VOC: Annotations/NAME.xml for JPEGImages/NAME.jpg, and the NAMEs of a split in
// ImageSets/Main/SPLIT.txt. Classes are those of classes.txt, or else all names that any annotation
// has, sorted, so that all splits count them alike; objects marked difficult are left out.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>
#include <pugixml.hpp>
#include <set>
#include <string_view>

#include <ps/error.h>

#include "vision/bytes.h"
#include "vision/listing.h"
#include "vision/parallel.h"
#include "vision/paths.h"

namespace ps::vision {
namespace {

constexpr std::uint64_t kMaxXmlBytes = std::uint64_t{1} << 24;
constexpr std::size_t kMaxClasses = 65536;

struct VocObject {
  std::string name;
  PixelBox box;
};

struct VocFile {
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::string file_name;
  std::vector<VocObject> objects;
  Faults faults;
  std::string wrong;  // why nothing of it is known; empty: it is
};

std::optional<double> number(const pugi::xml_node& parent, const char* name) {
  const std::string_view text = trimmed(parent.child_value(name));
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return {};
  return value;
}

std::int64_t size_of(const pugi::xml_node& annotation, const char* side) {
  const double value = number(annotation.child("size"), side).value_or(0);
  return value >= 1 && value <= 1e9 ? static_cast<std::int64_t>(value) : 0;
}

VocFile read_voc(const std::string& path) {
  VocFile file;
  std::vector<std::uint8_t> bytes;
  try {
    bytes = read_file(path, kMaxXmlBytes);
  } catch (const Error& error) {
    file.wrong = error.what();
    return file;
  }
  pugi::xml_document document;
  const pugi::xml_parse_result result =
      document.load_buffer(bytes.data(), bytes.size(), pugi::parse_minimal | pugi::parse_escapes);
  const pugi::xml_node annotation = document.child("annotation");
  if (!result || !annotation) {
    file.wrong = path + ": no VOC annotation: " +
                 (result ? "expected an element <annotation>" : result.description());
    return file;
  }
  file.height = size_of(annotation, "height");
  file.width = size_of(annotation, "width");
  file.file_name = trimmed(annotation.child_value("filename"));
  for (const pugi::xml_node& object : annotation.children("object")) {
    if (number(object, "difficult").value_or(0) != 0) continue;
    const pugi::xml_node box = object.child("bndbox");
    const auto left = number(box, "xmin");
    const auto top = number(box, "ymin");
    const auto right = number(box, "xmax");
    const auto bottom = number(box, "ymax");
    std::string name(trimmed(object.child_value("name")));
    if (name.empty() || !left || !top || !right || !bottom) {
      file.faults.add(path + ": an object without a name or a number in its bndbox");
      continue;
    }
    file.objects.push_back({std::move(name), {0, *left, *top, *right - *left, *bottom - *top, {}}});
  }
  return file;
}

// The picture of an annotation: by its own name, or else by the file name in it.
std::string find_picture(const std::string& folder, const std::string& name, const VocFile& file) {
  const std::string path = joined(folder, "JPEGImages/" + name);
  for (const char* ending : {".jpg", ".png", ".jpeg", ".bmp", ".JPG"}) {
    if (exists(path + ending)) return path + ending;
  }
  if (!file.file_name.empty()) {
    if (std::string other = joined(folder, "JPEGImages/" + file.file_name); exists(other)) {
      return other;
    }
  }
  return path + ".jpg";  // the scan says that it is not there
}

std::vector<std::string> annotation_names(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() == ".xml") names.push_back(it->path().stem().string());
  }
  if (error) {
    throw Error(ErrorCode::kIo, "cannot read the folder " + folder + ": " + error.message());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> class_names(const std::string& folder, const std::vector<VocFile>& files) {
  if (const std::string list = joined(folder, "classes.txt"); exists(list)) return read_lines(list);
  std::set<std::string> names;
  for (const VocFile& file : files) {
    for (const VocObject& object : file.objects) names.insert(object.name);
  }
  return {names.begin(), names.end()};
}

}  // namespace

Listing list_voc(const std::string& data, Split split, std::size_t threads) {
  const std::string folder = absolute_path(data);
  Listing listing;
  listing.path = joined(folder, "ImageSets/Main/" + std::string(to_string(split)) + ".txt");
  listing.cache = with_ending(listing.path, ".cache");
  const std::vector<std::string> members = read_lines(listing.path);

  const std::vector<std::string> annotated = annotation_names(joined(folder, "Annotations"));
  std::vector<VocFile> files(annotated.size());
  const auto path_of = [&](const std::string& name) {
    return joined(folder, "Annotations/" + name + ".xml");
  };
  const auto read_one = [&](std::size_t i) { files[i] = read_voc(path_of(annotated[i])); };
  for_each_index(files.size(), threads, read_one, {});

  listing.names = class_names(folder, files);
  if (listing.names.empty() || listing.names.size() > kMaxClasses) {
    throw Error(ErrorCode::kInvalidArgument, folder + ": expected objects of 1 to 65536 classes");
  }
  std::map<std::string, std::int32_t> classes;
  for (const std::string& name : listing.names) {
    classes.emplace(name, static_cast<std::int32_t>(classes.size()));
  }
  for (const std::string& member : members) {
    Entry entry;
    entry.annotation = path_of(member);
    const auto at = std::lower_bound(annotated.begin(), annotated.end(), member);
    const bool known = at != annotated.end() && *at == member;
    VocFile file = known ? files[static_cast<std::size_t>(at - annotated.begin())] : VocFile{};
    entry.image = find_picture(folder, member, file);
    entry.declared_height = file.height;
    entry.declared_width = file.width;
    for (std::string& fault : file.faults.texts) listing.faults.add(std::move(fault));
    entry.wrong = std::move(file.wrong);
    for (VocObject& object : file.objects) {
      const auto category = classes.find(object.name);
      if (category == classes.end()) {
        listing.faults.add(entry.annotation + ": the class \"" + object.name +
                           "\" is not in classes.txt");
        continue;
      }
      object.box.category = category->second;
      entry.boxes.push_back(std::move(object.box));
    }
    listing.entries.push_back(std::move(entry));
  }
  return listing;
}

}  // namespace ps::vision
