#include "kernels/decode.h"

#include <string>
#include <vector>

#include <ps/nn/detection.h>

#include "nn/check.h"
#include "nn/criterion.h"

namespace ps::nn {

void decode(const DetectionHead& head,
            std::span<const float> output,
            std::int64_t batch,
            std::span<float> rows) {
  constexpr const char* kWho = "decode";
  check_head(head, kWho);
  require(batch >= 0, kWho, "the batch is " + std::to_string(batch) + ", expected at least 0");
  const std::int64_t row_floats = head.row_floats();
  const std::int64_t sample_floats = head.candidates() * row_floats;
  const auto expected_output = static_cast<std::size_t>(batch * head.size());
  const auto expected_rows = static_cast<std::size_t>(batch * sample_floats);
  require(output.size() == expected_output && rows.size() == expected_rows, kWho,
          "output has " + std::to_string(output.size()) + " floats and rows " +
              std::to_string(rows.size()) +
              ", expected batch * head.size() = " + std::to_string(expected_output) +
              " and batch * candidates * row_floats = " + std::to_string(expected_rows));
  const kernels::DecodeOps& ops = kernels::decode(kernels::best_isa());
  std::int64_t offset = 0;
  std::int64_t first_row = 0;
  for (std::size_t i = 0; i < head.levels.size(); ++i) {
    const HeadLevel& from = head.levels[i];
    kernels::GridLevel level = grid_level(head, i, batch);
    const kernels::DecodedRows to{.first = rows.data() + first_row * row_floats,
                                  .sample_floats = sample_floats};
    const std::vector<float> anchors = anchors_in_cells(from);
    level.anchor_sizes = anchors.data();
    const auto decode_level = head.anchor_free() ? ops.distances : ops.anchors;
    decode_level(level, from.stride, output.data() + offset, to);
    offset += head.channels(from) * from.cells();
    first_row += from.cells() * (head.anchor_free() ? 1 : level.anchors);
  }
}

}  // namespace ps::nn
