// Where ps is built without ONNX.
#include <ps/error.h>
#include <ps/nn/onnx.h>

namespace ps::nn {

bool onnx_available() noexcept {
  return false;
}

void export_onnx(const std::string& path,
                 const Detector& /*detector*/,
                 std::span<const std::span<const float>> /*weights*/,
                 const OnnxOptions& /*options*/) {
  throw Error(ErrorCode::kUnavailable,
              path +
                  ": ps was built without ONNX; install libonnx-dev and libprotobuf-dev, then "
                  "configure and build it again");
}

}  // namespace ps::nn
