#include "nn/detector_tables.h"

#include <array>

namespace ps::nn {
namespace {

constexpr std::string_view kYolov5 = R"(
anchors:
  - [10, 13, 16, 30, 33, 23]
  - [30, 61, 62, 45, 59, 119]
  - [116, 90, 156, 198, 373, 326]
backbone:
  - [-1, 1, Conv, [64, 6, 2, 2]]  # 0, stride 2
  - [-1, 1, Conv, [128, 3, 2]]  # 1, stride 4
  - [-1, 3, C3, [128]]
  - [-1, 1, Conv, [256, 3, 2]]  # 3, stride 8
  - [-1, 6, C3, [256]]
  - [-1, 1, Conv, [512, 3, 2]]  # 5, stride 16
  - [-1, 9, C3, [512]]
  - [-1, 1, Conv, [1024, 3, 2]]  # 7, stride 32
  - [-1, 3, C3, [1024]]
  - [-1, 1, SPPF, [1024, 5]]  # 9
head:
  - [-1, 1, Conv, [512, 1, 1]]  # 10
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 6], 1, Concat, [1]]
  - [-1, 3, C3, [512, False]]  # 13
  - [-1, 1, Conv, [256, 1, 1]]  # 14
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 4], 1, Concat, [1]]
  - [-1, 3, C3, [256, False]]  # 17, stride 8
  - [-1, 1, Conv, [256, 3, 2]]
  - [[-1, 14], 1, Concat, [1]]
  - [-1, 3, C3, [512, False]]  # 20, stride 16
  - [-1, 1, Conv, [512, 3, 2]]
  - [[-1, 10], 1, Concat, [1]]
  - [-1, 3, C3, [1024, False]]  # 23, stride 32
  - [[17, 20, 23], 1, Detect, [nc, anchors]]
)";

constexpr std::string_view kYolov3Tiny = R"(
nc: 80
anchors:
  - [10, 14, 23, 27, 37, 58]
  - [81, 82, 135, 169, 344, 319]
backbone:
  - [-1, 1, Conv, [16, 3, 1]]  # 0
  - [-1, 1, nn.MaxPool2d, [2, 2, 0]]  # 1, stride 2
  - [-1, 1, Conv, [32, 3, 1]]
  - [-1, 1, nn.MaxPool2d, [2, 2, 0]]  # 3, stride 4
  - [-1, 1, Conv, [64, 3, 1]]
  - [-1, 1, nn.MaxPool2d, [2, 2, 0]]  # 5, stride 8
  - [-1, 1, Conv, [128, 3, 1]]
  - [-1, 1, nn.MaxPool2d, [2, 2, 0]]  # 7, stride 16
  - [-1, 1, Conv, [256, 3, 1]]
  - [-1, 1, nn.MaxPool2d, [2, 2, 0]]  # 9, stride 32
  - [-1, 1, Conv, [512, 3, 1]]
  - [-1, 1, nn.ZeroPad2d, [[0, 1, 0, 1]]]  # 11
  - [-1, 1, nn.MaxPool2d, [2, 1, 0]]  # 12
head:
  - [-1, 1, Conv, [1024, 3, 1]]
  - [-1, 1, Conv, [256, 1, 1]]  # 14
  - [-1, 1, Conv, [512, 3, 1]]  # 15, stride 32
  - [-2, 1, Conv, [128, 1, 1]]
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 8], 1, Concat, [1]]
  - [-1, 1, Conv, [256, 3, 1]]  # 19, stride 16
  - [[19, 15], 1, Detect, [nc, anchors]]
)";

constexpr std::string_view kYolov8 = R"(
nc: 80
scales:
  n: [0.33, 0.25, 1024]
  s: [0.33, 0.50, 1024]
  m: [0.67, 0.75, 768]
  l: [1.00, 1.00, 512]
  x: [1.00, 1.25, 512]
backbone:
  - [-1, 1, Conv, [64, 3, 2]]  # 0, stride 2
  - [-1, 1, Conv, [128, 3, 2]]  # 1, stride 4
  - [-1, 3, C2f, [128, True]]
  - [-1, 1, Conv, [256, 3, 2]]  # 3, stride 8
  - [-1, 6, C2f, [256, True]]
  - [-1, 1, Conv, [512, 3, 2]]  # 5, stride 16
  - [-1, 6, C2f, [512, True]]
  - [-1, 1, Conv, [1024, 3, 2]]  # 7, stride 32
  - [-1, 3, C2f, [1024, True]]
  - [-1, 1, SPPF, [1024, 5]]  # 9
head:
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 6], 1, Concat, [1]]
  - [-1, 3, C2f, [512]]  # 12
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 4], 1, Concat, [1]]
  - [-1, 3, C2f, [256]]  # 15, stride 8
  - [-1, 1, Conv, [256, 3, 2]]
  - [[-1, 12], 1, Concat, [1]]
  - [-1, 3, C2f, [512]]  # 18, stride 16
  - [-1, 1, Conv, [512, 3, 2]]
  - [[-1, 9], 1, Concat, [1]]
  - [-1, 3, C2f, [1024]]  # 21, stride 32
  - [[15, 18, 21], 1, Detect, [nc]]
)";

// For pictures of 128 pixels on a CPU core: two scales, 0.026 GFLOP, trained in minutes.
constexpr std::string_view kPico = R"(
nc: 5
anchors:
  - [14, 14, 22, 24, 24, 36]
  - [36, 24, 34, 42, 50, 50]
backbone:
  - [-1, 1, Conv, [8, 3, 2]]  # 0, stride 2
  - [-1, 1, Conv, [16, 3, 2]]  # 1, stride 4
  - [-1, 1, C3, [16]]
  - [-1, 1, Conv, [32, 3, 2]]  # 3, stride 8
  - [-1, 2, C3, [32]]
  - [-1, 1, Conv, [64, 3, 2]]  # 5, stride 16
  - [-1, 2, C3, [64]]
head:
  - [-1, 1, Conv, [32, 1, 1]]  # 7
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 4], 1, Concat, [1]]
  - [-1, 1, C3, [32, False]]  # 10, stride 8
  - [-1, 1, Conv, [32, 3, 2]]
  - [[-1, 7], 1, Concat, [1]]
  - [-1, 1, C3, [64, False]]  # 13, stride 16
  - [[10, 13], 1, Detect, [nc, anchors]]
)";

struct Builtin {
  std::string_view name;
  std::string_view preamble;
  std::string_view body;
};

constexpr std::array kBuiltins{
    Builtin{"pico", "", kPico},
    Builtin{"yolov3-tiny", "", kYolov3Tiny},
    Builtin{"yolov5p", "nc: 80\ndepth_multiple: 0.33\nwidth_multiple: 0.125", kYolov5},
    Builtin{"yolov5n", "nc: 80\ndepth_multiple: 0.33\nwidth_multiple: 0.25", kYolov5},
    Builtin{"yolov5s", "nc: 80\ndepth_multiple: 0.33\nwidth_multiple: 0.50", kYolov5},
    Builtin{"yolov5m", "nc: 80\ndepth_multiple: 0.67\nwidth_multiple: 0.75", kYolov5},
    Builtin{"yolov5l", "nc: 80\ndepth_multiple: 1.0\nwidth_multiple: 1.0", kYolov5},
    Builtin{"yolov5x", "nc: 80\ndepth_multiple: 1.33\nwidth_multiple: 1.25", kYolov5},
    Builtin{"yolov8n", "", kYolov8},
    Builtin{"yolov8s", "", kYolov8},
    Builtin{"yolov8m", "", kYolov8},
    Builtin{"yolov8l", "", kYolov8},
    Builtin{"yolov8x", "", kYolov8},
};

}  // namespace

std::optional<std::string> builtin_table(std::string_view name) {
  for (const Builtin& builtin : kBuiltins) {
    if (builtin.name == name) return std::string(builtin.preamble) + std::string(builtin.body);
  }
  return std::nullopt;
}

std::vector<std::string> builtin_table_names() {
  std::vector<std::string> names;
  for (const Builtin& builtin : kBuiltins) names.emplace_back(builtin.name);
  return names;
}

}  // namespace ps::nn
