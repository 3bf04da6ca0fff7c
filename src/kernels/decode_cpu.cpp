#include "kernels/anchor_math.h"
#include "kernels/decode.h"
#include "kernels/distance_lanes.h"
#include "kernels/lanes.h"

namespace ps::kernels::PS_ISA {
namespace {

using Index = std::int64_t;

// Cells at a time: planes are read along the cells, rows are written across them.
constexpr Index kBlock = 128;

// Calls act(first cell, count) for blocks of a plane.
template <class Act>
void for_blocks(Index cells, const Act& act) {
  for (Index start = 0; start < cells; start += kBlock)
    act(start, cells - start < kBlock ? cells - start : kBlock);
}

void sigmoids(const float* logits, Index count, float* y) {
  PS_INDEPENDENT_LOOP
  for (Index i = 0; i < count; ++i) y[i] = sigmoid(logits[i]);
}

// The probabilities of `channels` planes into the rows' floats from `row` on.
void write_probabilities(
    const float* logits, Index plane, Index channels, Index count, Index row_floats, float* row) {
  float s[kBlock];
  for (Index channel = 0; channel < channels; ++channel) {
    sigmoids(logits + channel * plane, count, s);
    for (Index i = 0; i < count; ++i) row[i * row_floats + channel] = s[i];
  }
}

void write_anchor_boxes(const GridLevel& level,
                        const float* anchor,
                        float stride,
                        const float* logits,
                        Index start,
                        Index count,
                        float* row) {
  const Index plane = level.cells();
  const Index row_floats = level.anchor_channels();
  float s[4][kBlock];
  for (Index channel = 0; channel < 4; ++channel)
    sigmoids(logits + channel * plane, count, s[channel]);
  for (Index i = 0; i < count; ++i, row += row_floats) {
    const auto column = static_cast<float>((start + i) % level.width);
    const auto line = static_cast<float>((start + i) / level.width);
    row[0] = (AnchorBox::center(s[0][i]) + column) * stride;
    row[1] = (AnchorBox::center(s[1][i]) + line) * stride;
    row[2] = AnchorBox::size(s[2][i], anchor[0]) * stride;
    row[3] = AnchorBox::size(s[3][i], anchor[1]) * stride;
  }
}

void anchors(const GridLevel& level, Index stride, const float* output, const DecodedRows& rows) {
  const Index plane = level.cells();
  const Index row_floats = level.anchor_channels();
  for (Index n = 0; n < level.batch; ++n) {
    for (Index anchor = 0; anchor < level.anchors; ++anchor) {
      const float* logits =
          output + n * level.sample_floats + anchor * level.anchor_channels() * plane;
      float* first = rows.first + n * rows.sample_floats + anchor * plane * row_floats;
      for_blocks(plane, [&](Index start, Index count) {
        float* row = first + start * row_floats;
        write_anchor_boxes(level, level.anchor_sizes + 2 * anchor, static_cast<float>(stride),
                           logits + start, start, count, row);
        write_probabilities(logits + start + 4 * plane, plane, 1 + level.classes, count, row_floats,
                            row + 4);
      });
    }
  }
}

void distances(const GridLevel& level, Index stride, const float* output, const DecodedRows& rows) {
  const Index plane = level.cells();
  const Index row_floats = 4 + level.classes;
  for (Index n = 0; n < level.batch; ++n) {
    const float* logits = output + n * level.sample_floats;
    float* first = rows.first + n * rows.sample_floats;
    for_blocks(plane, [&](Index start, Index count) {
      float mean[kSides][kBlock];
      side_means(logits + start, plane, count, kBlock, mean[0]);
      float* row = first + start * row_floats;
      for (Index i = 0; i < count; ++i) {
        const Box box = box_in_pixels({mean[0][i], mean[1][i], mean[2][i], mean[3][i]},
                                      (start + i) % level.width, (start + i) / level.width, stride);
        row[i * row_floats] = box.x;
        row[i * row_floats + 1] = box.y;
        row[i * row_floats + 2] = box.width;
        row[i * row_floats + 3] = box.height;
      }
      write_probabilities(logits + start + kBoxChannels * plane, plane, level.classes, count,
                          row_floats, row + 4);
    });
  }
}

}  // namespace

extern const DecodeOps decode_ops{.anchors = anchors, .distances = distances};

}  // namespace ps::kernels::PS_ISA
