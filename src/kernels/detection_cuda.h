// What follows a detector's forward pass, on a GPU: decoding and suppression. All enqueue.
#pragma once

#include <cstdint>

#include "kernels/decode.h"
#include "kernels/detection.h"
#include "kernels/device.h"
#include "kernels/nms.h"

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

// Bytes of the device's that nms_cuda works in, aligned to 16.
std::int64_t nms_cuda_workspace(std::int64_t count, std::int64_t most);

// As NmsOps::keep, and with its result; every pointer is the device's. *kept_count: how many.
// Memory grows with min(count, most), not with pairs. Categories are compared as numbers.
void nms_cuda(const CornerBoxes& boxes,
              float threshold,
              std::int64_t most,
              std::int32_t* kept,
              std::int64_t* kept_count,
              void* workspace,
              StreamView stream);

}  // namespace ps::kernels
