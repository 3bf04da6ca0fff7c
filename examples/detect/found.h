// Boxes found, in files: labels/*.txt, predictions.json, predictions.csv.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <ps/nn/detection.h>
#include <ps/vision/dataset.h>
#include <ps/vision/shapes.h>

#include "validation.h"

namespace detect {

struct FoundFormats {
  bool text = false;        // labels/NAME.txt: class, center and size as fractions
  bool confidence = false;  // and the confidence
  bool json = false;        // predictions.json, as COCO's results
  bool csv = false;         // predictions.csv
};

// One thread's. Throws ps::Error(kIo).
class FoundWriter {
 public:
  FoundWriter(std::string folder, const FoundFormats& formats);

  // One picture's boxes, in its own pixels. `name`: its file's, or a frame's.
  void add(const std::string& name,
           ps::vision::ImageSize size,
           const std::vector<ps::nn::Detection>& boxes,
           const std::vector<std::string>& names);
  // A batch of a data set's.
  void add(const Judged& judged, const ps::vision::Dataset& data);
  void finish();

 private:
  const std::string folder_;
  const FoundFormats formats_;
  std::string json_;
  std::string csv_;
};

}  // namespace detect
