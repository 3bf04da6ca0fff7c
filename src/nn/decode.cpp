#include "nn/decode.h"

#include <string>

#include <ps/nn/detection.h>

#include "kernels/decode.h"
#include "nn/check.h"

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
  const auto decode_level = head.anchor_free() ? ops.distances : ops.anchors;
  for_decoded_levels(head, batch,
                     [&](const kernels::GridLevel& level, std::int64_t stride, std::int64_t offset,
                         std::int64_t first_row) {
                       decode_level(level, stride, output.data() + offset,
                                    {.first = rows.data() + first_row * row_floats,
                                     .sample_floats = sample_floats});
                     });
}

}  // namespace ps::nn
