// COCO: an annotation file for each split, pictures in a folder beside. Category numbers have gaps
// there; here classes are counted through in the order of those numbers.
#include <algorithm>
#include <filesystem>
#include <string_view>
#include <unordered_map>

#include <ps/error.h>

#include "vision/coco_json.h"
#include "vision/listing.h"
#include "vision/paths.h"

namespace ps::vision {
namespace {

constexpr std::size_t kMaxClasses = 65536;

std::string file_name(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

// The annotation file of `split` in a folder: its name says the split, better if it says instances.
std::string find_annotations(const std::string& folder, Split split) {
  std::vector<std::string> found;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    const std::string path = it->path().string();
    const bool is_json = it->path().extension() == ".json";
    if (is_json && file_name(path).find(to_string(split)) != std::string::npos) {
      found.push_back(path);
    }
  }
  std::sort(found.begin(), found.end(), [](const std::string& a, const std::string& b) {
    const bool first = file_name(a).find("instances") == 0;
    const bool second = file_name(b).find("instances") == 0;
    return first != second ? first : a < b;
  });
  if (!found.empty()) return found.front();
  throw Error(ErrorCode::kInvalidArgument,
              folder + ": expected a .json file with \"" + to_string(split) + "\" in its name");
}

// `path` with the split in its name replaced: "instances_train2017.json" ->
// "instances_val2017.json".
std::string for_split(const std::string& path, Split split) {
  std::string name = file_name(path);
  if (name.find(to_string(split)) != std::string::npos) return path;
  for (const Split other : {Split::kTrain, Split::kVal, Split::kTest}) {
    const std::string_view word = to_string(other);
    if (const std::size_t at = name.find(word); at != std::string::npos) {
      return joined(folder_of(path), name.replace(at, word.size(), to_string(split)));
    }
  }
  return path;  // one file for all
}

// Where the pictures of an annotation file lie: the first of the usual places that has `first`.
std::string find_pictures(const std::string& json, const std::string& first) {
  const std::string own = folder_of(json);
  const std::string above = folder_of(own);
  const std::string stem = with_ending(file_name(json), "");
  const std::string part = stem.substr(stem.rfind('_') + 1);  // "train2017"
  const std::vector<std::string> places{joined(above, part),
                                        joined(above, "images/" + part),
                                        joined(above, "images"),
                                        above,
                                        own,
                                        joined(own, part),
                                        joined(own, "images")};
  for (const std::string& place : places) {
    if (exists(joined(place, first))) return place;
  }
  return places.front();
}

// Numbers -> classes, and the classes' names in `listing`.
std::unordered_map<std::int64_t, std::int32_t> count_classes(CocoFile& file,
                                                             const std::string& json,
                                                             Listing& listing) {
  std::sort(file.categories.begin(), file.categories.end(),
            [](const CocoCategory& a, const CocoCategory& b) { return a.id < b.id; });
  std::unordered_map<std::int64_t, std::int32_t> classes;
  for (CocoCategory& category : file.categories) {
    const auto next = static_cast<std::int32_t>(classes.size());
    if (!classes.emplace(category.id, next).second) {
      listing.faults.add(json + ": category " + std::to_string(category.id) + " comes twice");
      continue;
    }
    listing.names.push_back(std::move(category.name));
  }
  if (classes.empty() || classes.size() > kMaxClasses) {
    throw Error(ErrorCode::kCorrupt, json + ": expected 1 to 65536 categories");
  }
  return classes;
}

// An entry for each image; their numbers -> the entries.
std::unordered_map<std::int64_t, std::size_t> add_images(const CocoFile& file,
                                                         const std::string& folder,
                                                         Listing& listing) {
  std::unordered_map<std::int64_t, std::size_t> images;
  for (const CocoImage& image : file.images) {
    if (image.file.empty() || !images.emplace(image.id, listing.entries.size()).second) {
      listing.faults.add(listing.path + ": image " + std::to_string(image.id) +
                         (image.file.empty() ? " has no file_name" : " comes twice"));
      continue;
    }
    Entry entry;
    entry.image = joined(folder, image.file);
    entry.annotation = listing.path;
    entry.declared_height = image.height;
    entry.declared_width = image.width;
    listing.entries.push_back(std::move(entry));
  }
  return images;
}

}  // namespace

Listing list_coco(const std::string& data, Split split) {
  const std::string path = absolute_path(data);
  const std::string json = is_folder(path) ? find_annotations(joined(path, "annotations"), split)
                                           : for_split(path, split);
  CocoFile file = read_coco(json);
  Listing listing;
  listing.path = json;
  listing.cache = with_ending(json, ".cache");
  const auto classes = count_classes(file, json, listing);
  const std::string folder =
      file.images.empty() ? "" : find_pictures(json, file.images.front().file);

  const auto images = add_images(file, folder, listing);
  for (CocoAnnotation& annotation : file.annotations) {
    if (annotation.crowd) continue;  // a region of many, no object to learn
    const auto image = images.find(annotation.image);
    const auto category = classes.find(annotation.category);
    std::string wrong;
    if (image == images.end()) {
      wrong = ", which is not listed";
    } else if (category == classes.end()) {
      wrong = " has the category ";
      wrong.append(std::to_string(annotation.category)).append(", which is not listed");
    } else if (annotation.box.size() != 4) {
      wrong = ": expected 4 numbers in its bbox";
    }
    if (!wrong.empty()) {
      listing.faults.add(json + ": an annotation of image " + std::to_string(annotation.image) +
                         wrong);
      continue;
    }
    const std::vector<double>& box = annotation.box;
    listing.entries[image->second].boxes.push_back(
        {category->second, box[0], box[1], box[2], box[3], std::move(annotation.polygon)});
  }
  return listing;
}

}  // namespace ps::vision
