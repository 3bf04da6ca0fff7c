// The layout of a detector's output, by the counts that users know.
#include <ps/nn/detection_head.h>

#include "support/catch.h"

namespace ps::nn {

TEST_CASE("detection head: 640 x 640 pixels have 25200 candidates with anchors, 8400 without",
          "[unit]") {
  DetectionHead head{.classes = 80, .levels = {}};
  for (const std::int64_t stride : {8, 16, 32}) {
    head.levels.push_back({.stride = stride,
                           .height = 640 / stride,
                           .width = 640 / stride,
                           .anchors = {{10, 13}, {16, 30}, {33, 23}}});
  }
  REQUIRE_FALSE(head.anchor_free());
  REQUIRE(head.candidates() == 25200);
  REQUIRE(head.row_floats() == 85);
  REQUIRE(head.size() == 25200 * 85);
  for (HeadLevel& level : head.levels) level.anchors.clear();
  REQUIRE(head.anchor_free());
  REQUIRE(head.candidates() == 8400);
  REQUIRE(head.row_floats() == 84);
  REQUIRE(head.size() == 8400 * (64 + 80));
}

}  // namespace ps::nn
