// Builds what a detector's table says, row by row.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ps/nn/detector.h>

#include "nn/network_builder.h"

namespace ps::nn {

struct BuiltDetector {
  std::vector<Value> levels;          // raw output of each scale
  std::vector<std::string> biases;    // of each scale: see Heads
  std::vector<DetectorLayer> layers;  // the last one's output is the finest level's
  bool anchor_free = false;
};

// Throws kInvalidArgument "<table>: row 3 (C3, line 12): ...".
BuiltDetector build_detector(const DetectorTable& table,
                             std::int64_t classes,
                             NetworkBuilder& builder);

}  // namespace ps::nn
