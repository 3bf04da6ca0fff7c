// ONNX files, as far as can be seen without reading them: that is tests/vision's.
#include <filesystem>
#include <fstream>

#include <ps/error.h>
#include <ps/nn/onnx.h>

#include "ops/temporary_directory.h"
#include "support/catch.h"

namespace ps::nn {

TEST_CASE("onnx: what does not fit is refused, and leaves no file", "[unit]") {
  const Detector detector(detector_table("pico"), 2, 64, 64);
  const auto& parameters = detector.graph().parameters();
  std::vector<std::vector<float>> values;
  for (const Parameter& parameter : parameters) {
    values.emplace_back(static_cast<std::size_t>(parameter.size()));
  }
  std::vector<std::span<const float>> weights(values.begin(), values.end());
  const test::TemporaryDirectory directory;
  const std::string path = directory.file("model.onnx");
  if (!onnx_available()) {
    REQUIRE_THROWS_WITH(export_onnx(path, detector, weights, {}), Catch::Contains("libonnx-dev"));
    return;
  }
  REQUIRE_THROWS_WITH(export_onnx(path, detector, weights, {.opset = 12}),
                      Catch::Contains("13 to 17"));
  REQUIRE_THROWS_WITH(export_onnx(path, detector, weights, {.names = {"cat"}}),
                      Catch::Contains("names of 2 classes, got 1"));
  REQUIRE_THROWS_WITH(export_onnx(path, detector, std::span(weights).first(1), {}),
                      Catch::Contains("got 1"));
  weights[3] = weights[3].first(1);
  REQUIRE_THROWS_WITH(export_onnx(path, detector, weights, {}),
                      Catch::Contains(parameters[3].name));
  REQUIRE_FALSE(std::filesystem::exists(path));
  weights[3] = values[3];
  REQUIRE_THROWS_WITH(export_onnx("/nowhere/model.onnx", detector, weights, {}),
                      Catch::Contains("/nowhere/model.onnx"));
  export_onnx(path, detector, weights, {.names = {"it's", "dog"}});
  REQUIRE(std::filesystem::file_size(path) > 4 * 90000);
  REQUIRE_FALSE(std::filesystem::exists(path + ".part"));
  std::ifstream file(path, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(file), {});
  REQUIRE(bytes.find("{0: 'it\\'s', 1: 'dog'}") != std::string::npos);
}

}  // namespace ps::nn
