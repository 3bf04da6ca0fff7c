// Which reader a data set's name asks for, and what does not depend on it.
#include <ps/error.h>
#include <ps/vision/dataset.h>

namespace ps::vision {

const char* to_string(Split split) noexcept {
  switch (split) {
    case Split::kTrain:
      return "train";
    case Split::kVal:
      return "val";
    case Split::kTest:
      return "test";
  }
  return "unknown";
}

std::string scan_line(const Scan& scan) {
  return "Scanning " + scan.path + "... " + std::to_string(scan.images) + " images, " +
         std::to_string(scan.backgrounds) + " backgrounds, " + std::to_string(scan.corrupt) +
         " corrupt";
}

}  // namespace ps::vision
