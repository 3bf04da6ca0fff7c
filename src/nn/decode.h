// How a head's levels lie in its output and in decoded rows, for the decoders of both devices.
#pragma once

#include <cstdint>
#include <vector>

#include <ps/nn/detection_head.h>

#include "kernels/detection.h"
#include "nn/criterion.h"

namespace ps::nn {

// Calls act(level, stride, offset, first_row) for each level: offset in floats of a sample's
// output, first_row in rows of a sample.
template <class Act>
void for_decoded_levels(const DetectionHead& head, std::int64_t batch, const Act& act) {
  std::int64_t offset = 0;
  std::int64_t first_row = 0;
  for (std::size_t i = 0; i < head.levels.size(); ++i) {
    const HeadLevel& from = head.levels[i];
    const std::vector<float> anchors = anchors_in_cells(from);
    kernels::GridLevel level = grid_level(head, i, batch);
    level.anchor_sizes = anchors.data();
    act(level, from.stride, offset, first_row);
    offset += head.channels(from) * from.cells();
    first_row += from.cells() * (head.anchor_free() ? 1 : level.anchors);
  }
}

}  // namespace ps::nn
