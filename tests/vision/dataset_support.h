// Small data sets on disk, with faults planted where a test asks for them.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <ps/error.h>
#include <ps/vision/dataset.h>

#include "ops/temporary_directory.h"

namespace ps::vision::testing {

// A folder whose files are written with the folders that they need.
class Folder {
 public:
  [[nodiscard]] std::string path(const std::string& name) const { return directory_.file(name); }
  std::string write(const std::string& name, const std::string& contents) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    return directory_.write(name, contents);
  }
  // A picture whose colour says which one it is.
  std::string picture(const std::string& name, int width, int height, std::uint8_t colour) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    Image image = make_image(height, width);
    std::fill(image.pixels.begin(), image.pixels.end(), colour);
    write_image(path(name), image);
    return path(name);
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream in(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // Leaves the first `bytes` of a file.
  void cut(const std::string& name, std::size_t bytes) const {
    std::filesystem::resize_file(path(name), bytes);
  }

 private:
  test::TemporaryDirectory directory_;
};

// Whether some fault begins with the file's path and says `what`.
inline bool has_fault(const Scan& scan, const std::string& path, const std::string& what) {
  return std::any_of(scan.faults.begin(), scan.faults.end(), [&](const std::string& fault) {
    return fault.compare(0, path.size(), path) == 0 && fault.find(what) != std::string::npos;
  });
}

// The text of the error that opening gives; empty when it gives none.
inline std::string error_of(const std::string& data, Split split = Split::kTrain) {
  try {
    (void)open_dataset(data, split);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace ps::vision::testing
