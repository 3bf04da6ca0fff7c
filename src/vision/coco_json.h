// Reads COCO's annotation files: what detection needs of `images`, `annotations` and `categories`.
// The text streams through; no tree of it is built, so that nesting costs nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ps::vision {

struct CocoImage {
  std::int64_t id = -1;
  std::string file;
  std::int64_t height = 0;  // 0: not said
  std::int64_t width = 0;
};

struct CocoAnnotation {
  std::int64_t image = -1;
  std::int64_t category = -1;
  bool crowd = false;
  std::vector<double> box;     // 4 numbers when it is whole: left, top, width, height
  std::vector<float> polygon;  // the longest of its parts
};

struct CocoCategory {
  std::int64_t id = -1;
  std::string name;
};

struct CocoFile {
  std::vector<CocoImage> images;
  std::vector<CocoAnnotation> annotations;
  std::vector<CocoCategory> categories;
};

// Fields may be missing or make no sense; that is for the caller to see.
// Throws Error naming the file: kIo when it cannot be read, kCorrupt when it is no JSON or nests
// deeper than 32.
CocoFile read_coco(const std::string& path);

}  // namespace ps::vision
