// Detectors as ONNX files for other programs (target ps::onnx). Needs libonnx-dev and
// libprotobuf-dev where ps is built.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <ps/nn/detector.h>

namespace ps::nn {

struct OnnxOptions {
  std::vector<std::string> names = {};  // of the classes; empty: class0, class1, ...
  int opset = 13;                       // 13 to 17
};

// Whether export_onnx can do more than throw.
bool onnx_available() noexcept;

// Writes a network that takes `images` [1, 3, height, width], RGB in 0 to 1, and gives `output0`:
// with anchors [1, candidates, 5 + classes], anchor-free [1, 4 + classes, candidates]; center and
// size in pixels of the input, then probabilities, in decode()'s order. Batch norm is folded into
// the convolutions. metadata_props say `stride` (the largest) and `names` ("{0: 'cat', 1: 'dog'}").
// weights: in the order of detector.graph().parameters(), as large as these. The file is replaced
// as a whole. Throws Error{kUnavailable} where ps was built without ONNX, kInvalidArgument for
// weights or options that do not fit, kIo if the file cannot be written.
void export_onnx(const std::string& path,
                 const Detector& detector,
                 std::span<const std::span<const float>> weights,
                 const OnnxOptions& options);

}  // namespace ps::nn
