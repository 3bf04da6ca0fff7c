// What follows a detector's forward pass, on a GPU: decoding, choice of candidates, suppression.
// All enqueue.
#pragma once

#include <cstdint>

#include "kernels/decode.h"
#include "kernels/detection.h"
#include "kernels/device.h"

namespace ps::kernels {

// As DecodeOps, and with its bits; output and rows are the device's, level.anchor_sizes the host's.
void decode_anchors_cuda(const GridLevel& level,
                         std::int64_t stride,
                         const float* output,
                         const DecodedRows& rows,
                         StreamView stream);
void decode_distances_cuda(const GridLevel& level,
                           std::int64_t stride,
                           const float* output,
                           const DecodedRows& rows,
                           StreamView stream);

struct Corners {
  float x1;
  float y1;
  float x2;
  float y2;
};

// Corners, score and class.
struct ScoredBox {
  Corners at;
  float score;
  std::int32_t category;
};

// What of images' decoded rows may become a detection. Pointers, here and below, are the device's.
struct Candidates {
  std::int64_t rows = 0;  // of an image
  std::int64_t classes = 0;
  std::int64_t room = 0;  // keys of an image
  // [images, room]: the score's bits upside down, then row * classes + class in 32 bits, so that
  // the best one is the least.
  std::uint64_t* keys = nullptr;
  Corners* corners = nullptr;  // [images, rows]: of rows with a candidate
  // [images]: how many there are. Where they are more than `room` some have no key, and what
  // follows takes the image for empty.
  std::int32_t* counts = nullptr;
};

// Which rows, as ps::nn::NmsOptions say.
struct Selection {
  const float* rows = nullptr;  // [images, candidates.rows, (has_objectness ? 5 : 4) + classes]
  const std::uint8_t* wanted = nullptr;  // [classes]
  float confidence = 0.0F;
  std::uint16_t has_objectness = 0;
  std::uint16_t multi_label = 0;
};

// Adds the images' candidates, keys in no order; `to` is of these images. REQUIRES: rows * classes
// < 2^31, images < 2^16.
void select_cuda(const Selection& selection,
                 std::int64_t images,
                 const Candidates& to,
                 StreamView stream);

// Sorts each image's keys. most_found: no image with keys has more. REQUIRES: candidates.room is a
// power of two, at least kSortedKeys; images < 2^16.
void sort_cuda(const Candidates& candidates,
               std::int64_t images,
               std::int64_t most_found,
               StreamView stream);
inline constexpr std::int64_t kSortedKeys = 2048;

// Boxes of images, best first.
struct SortedBoxes {
  std::int64_t room = 0;           // boxes of an image
  ScoredBox* boxes = nullptr;      // [images, room]
  std::int32_t* counts = nullptr;  // [images], at most `room`
};

// The first candidates, of sorted keys.
void gather_cuda(const Candidates& candidates,
                 std::int64_t images,
                 const SortedBoxes& to,
                 StreamView stream);

// Keeps of each image what NmsOps::keep does. Memory grows with what is kept, not with pairs.
struct Suppression {
  SortedBoxes boxes;
  float threshold = 0.0F;
  std::int32_t agnostic = 0;
  SortedBoxes kept;  // after kept.room of an image it ends
  void* workspace = nullptr;
};

// Bytes of the workspace, aligned to 16.
std::int64_t nms_cuda_workspace(std::int64_t images, std::int64_t kept_room);

// most_boxes: no image has more. REQUIRES: images < 2^16.
void nms_cuda(const Suppression& suppression,
              std::int64_t images,
              std::int64_t most_boxes,
              StreamView stream);

}  // namespace ps::kernels
