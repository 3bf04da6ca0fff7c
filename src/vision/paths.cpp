// Errors of the file system become ps::Error where nothing goes on without the folder, and "not
// there" elsewhere.
#include "vision/paths.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

#include <ps/error.h>

#include "vision/bytes.h"
#include "vision/picture_file.h"

namespace ps::vision {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void throw_io(const std::string& folder, const std::error_code& error) {
  throw Error(ErrorCode::kIo, "cannot read the folder " + folder + ": " + error.message());
}

// Names of the files in a folder, sorted; none when it cannot be read.
std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Text files that lie with pictures and label none.
bool is_other_text(const std::string& name) {
  constexpr std::array<std::string_view, 9> kNames{"classes.txt", "labels.txt", "names.txt",
                                                   "notes.txt",   "readme.txt", "README.txt",
                                                   "train.txt",   "val.txt",    "valid.txt"};
  return name == "test.txt" || std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

}  // namespace

std::string absolute_path(const std::string& path) {
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error);
  return (error ? fs::path(path) : absolute).lexically_normal().string();
}

std::string folder_of(const std::string& path) {
  return fs::path(path).parent_path().string();
}

std::string joined(const std::string& folder, const std::string& path) {
  std::string result = (fs::path(folder) / path).lexically_normal().string();
  while (result.size() > 1 && result.back() == '/') result.pop_back();
  return result;
}

std::string with_ending(const std::string& path, std::string_view ending) {
  return fs::path(path).replace_extension(fs::path(ending)).string();
}

bool exists(const std::string& path) noexcept {
  std::error_code error;
  return fs::exists(path, error);
}

bool is_folder(const std::string& path) noexcept {
  std::error_code error;
  return fs::is_directory(path, error);
}

std::string_view trimmed(std::string_view text) noexcept {
  constexpr std::string_view kBlanks = " \t\r\n\v\f";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::vector<std::string> read_lines(const std::string& path) {
  const std::vector<std::uint8_t> bytes = read_file(path, kMaxTextBytes);
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::vector<std::string> lines;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (const std::string_view text = trimmed(line); !text.empty()) lines.emplace_back(text);
  }
  return lines;
}

std::vector<std::string> pictures_below(const std::string& folder) {
  std::vector<std::string> pictures;
  std::error_code error;
  fs::recursive_directory_iterator it(folder, error);
  for (const fs::recursive_directory_iterator end; !error && it != end; it.increment(error)) {
    if (std::string path = it->path().string(); is_picture_name(path)) {
      pictures.push_back(std::move(path));
    }
  }
  if (error) throw_io(folder, error);
  std::sort(pictures.begin(), pictures.end());
  return pictures;
}

std::vector<std::string> listed_pictures(const std::string& list,
                                         const std::vector<std::string>& others) {
  std::vector<std::string> pictures = read_lines(list);
  if (pictures.empty()) return pictures;
  std::string base = folder_of(list);
  if (!exists(joined(base, pictures.front()))) {
    for (const std::string& other : others) {
      if (!exists(joined(other, pictures.front()))) continue;
      base = other;
      break;
    }
  }
  for (std::string& picture : pictures) picture = joined(base, picture);
  return pictures;
}

std::string label_path(const std::string& image) {
  constexpr std::string_view kImages = "/images/";
  std::string path = image;
  if (const std::size_t at = path.rfind(kImages); at != std::string::npos) {
    path.replace(at, kImages.size(), "/labels/");
  }
  return with_ending(path, ".txt");
}

void find_lost_labels(Listing& listing) {
  std::map<std::string, std::set<std::string>> folders;  // of labels -> of their pictures
  for (const Entry& entry : listing.entries) {
    folders[folder_of(entry.label_file)].insert(folder_of(entry.image));
  }
  for (const auto& [folder, image_folders] : folders) {
    std::set<std::string> stems;
    for (const std::string& image_folder : image_folders) {
      for (const std::string& name : files_in(image_folder)) {
        if (is_picture_name(name)) stems.insert(with_ending(name, ""));
      }
    }
    for (const std::string& name : files_in(folder)) {
      const bool is_label = fs::path(name).extension() == ".txt" && !is_other_text(name);
      if (is_label && stems.count(with_ending(name, "")) == 0) {
        listing.faults.add(joined(folder, name) + ": a label file without its picture");
      }
    }
  }
}

}  // namespace ps::vision
