// What a data set's own files say it consists of, before any picture or label file has been looked
// at: one reader a format makes a Listing, and scan.h checks it. Everything that a format can be
// wrong in as a whole is thrown; what is wrong with one picture is a fault.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <ps/vision/dataset.h>

namespace ps::vision {

// An object in the pixels of its picture, as annotation files have it: not checked.
struct PixelBox {
  std::int32_t category = 0;
  double left = 0;
  double top = 0;
  double width = 0;
  double height = 0;
  std::vector<float> polygon;  // x, y pairs
};

struct Entry {
  std::string image;
  std::string label_file;  // rows of fractions (label_file.h); empty: `boxes` are the labels
  std::string annotation;  // the file that `boxes` are from, for messages
  std::vector<PixelBox> boxes;
  std::int64_t declared_height = 0;  // of the picture, according to `annotation`; 0: not said
  std::int64_t declared_width = 0;
  std::string wrong;  // why it cannot be used, beginning with a file's name; or empty
};

// Texts of what is wrong, each beginning with a file's name. Those beyond kMaxFaults are counted
// only: a bad file can be wrong in very many places.
struct Faults {
  std::vector<std::string> texts;
  std::uint64_t count = 0;

  void add(std::string text) {
    ++count;
    if (texts.size() < kMaxFaults) texts.push_back(std::move(text));
  }
  bool operator==(const Faults&) const = default;
};

struct Listing {
  std::string path;   // what was listed, for the scan line
  std::string cache;  // where the answers of a scan are kept
  std::vector<std::string> names;
  std::vector<Entry> entries;
  Faults faults;
};

// Each throws Error naming the file, as open_dataset() says.
Listing list_yolo(const std::string& yaml, Split split);
Listing list_darknet(const std::string& obj_data, Split split);
// `data`: an annotation file or a folder with `annotations`.
Listing list_coco(const std::string& data, Split split);
Listing list_voc(const std::string& data, Split split, std::size_t threads);

}  // namespace ps::vision
