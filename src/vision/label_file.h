// Label files of YOLO and darknet: one object a line, "class x y width height" or "class x1 y1 x2
// y2 x3 y3 ..." for an outline, in fractions of the picture's sides.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <ps/vision/image.h>

namespace ps::vision {

struct LabelRows {
  std::vector<Label> labels;
  std::size_t repeated = 0;  // rows that were there before, left out of `labels`
  std::string wrong;         // "LINE: what" of the first row that cannot be; empty: all can
};

// Bytes may be anything; never throws but std::bad_alloc. A row must have 5 columns, or 7 or more
// in pairs; a class below `classes`; coordinates in [0, 1]; a box that is not empty.
LabelRows parse_label_rows(std::string_view text, std::size_t classes);

// Keeps the first of equal labels, in their order; returns how many went.
std::size_t remove_repeated(std::vector<Label>& labels);

}  // namespace ps::vision
