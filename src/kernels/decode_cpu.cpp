#include "kernels/anchor_math.h"
#include "kernels/decode.h"
#include "kernels/distance_lanes.h"
#include "kernels/lanes.h"

namespace ps::kernels::PS_ISA {
namespace {

using Index = std::int64_t;

// Cells at a time: planes are read along the cells, rows are written across them.
constexpr Index kBlock = 128;

struct Block {
  Index start;
  Index count;
};

// Calls act(block) for all of a plane.
template <class Act>
void for_blocks(Index cells, const Act& act) {
  for (Index start = 0; start < cells; start += kBlock) {
    act(Block{start, cells - start < kBlock ? cells - start : kBlock});
  }
}

void sigmoids(const float* logits, Index count, float* y) {
  PS_INDEPENDENT_LOOP
  for (Index i = 0; i < count; ++i) y[i] = sigmoid(logits[i]);
}

// The probabilities of `channels` planes into the rows' floats from `row` on. `logits` and `row`
// are those of the first cell, here and below.
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
                        const Block& block,
                        const float* logits,
                        float* row) {
  const Index plane = level.cells();
  const Index row_floats = level.anchor_channels();
  float s[4][kBlock];
  for (Index channel = 0; channel < 4; ++channel) {
    sigmoids(logits + channel * plane, block.count, s[channel]);
  }
  for (Index i = 0; i < block.count; ++i, row += row_floats) {
    const Index column = (block.start + i) % level.width;
    const Index line = (block.start + i) / level.width;
    row[0] = (AnchorBox::center(s[0][i]) + static_cast<float>(column)) * stride;
    row[1] = (AnchorBox::center(s[1][i]) + static_cast<float>(line)) * stride;
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
      for_blocks(plane, [&](const Block& block) {
        const float* x = logits + block.start;
        float* row = first + block.start * row_floats;
        write_anchor_boxes(level, level.anchor_sizes + 2 * anchor, static_cast<float>(stride),
                           block, x, row);
        write_probabilities(x + 4 * plane, plane, 1 + level.classes, block.count, row_floats,
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
    for_blocks(plane, [&](const Block& block) {
      const float* x = logits + block.start;
      float mean[kSides][kBlock];
      side_means(x, plane, block.count, kBlock, mean[0]);
      float* row = first + block.start * row_floats;
      write_probabilities(x + kBoxChannels * plane, plane, level.classes, block.count, row_floats,
                          row + 4);
      for (Index i = 0; i < block.count; ++i, row += row_floats) {
        const Index cell = block.start + i;
        const Box box = box_in_pixels({mean[0][i], mean[1][i], mean[2][i], mean[3][i]},
                                      cell % level.width, cell / level.width, stride);
        row[0] = box.x;
        row[1] = box.y;
        row[2] = box.width;
        row[3] = box.height;
      }
    });
  }
}

}  // namespace

extern const DecodeOps decode_ops{.anchors = anchors, .distances = distances};

}  // namespace ps::kernels::PS_ISA
