// Which reader a data set's name asks for, and what does not depend on it.
#include <ps/error.h>
#include <ps/vision/dataset.h>
#include <ps/vision/fm_det.h>

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

std::unique_ptr<Dataset> open_dataset(const std::string& data,
                                      Split split,
                                      const DatasetOptions& options,
                                      Scan* scan) {
  (void)options;
  if (is_fm_det(data)) {
    std::unique_ptr<Dataset> generated = open_fm_det(parse_fm_det(data), split);
    if (scan != nullptr) {
      *scan = {};
      scan->path = data;
      scan->images = generated->size();  // a garment that cannot be seen does not occur
    }
    return generated;
  }
  throw Error(ErrorCode::kInvalidArgument,
              data + ": expected a data set: data.yaml, obj.data, a COCO .json file, a folder or " +
                  "fm-det");
}

}  // namespace ps::vision
