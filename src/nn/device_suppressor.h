// Boxes of an output in a GPU's memory, decoded and suppressed there. In a build without CUDA there
// is none.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <ps/nn/detection.h>

#include "kernels/device.h"

namespace ps::nn {

// One thread at a time.
class DeviceSuppressor {
 public:
  DeviceSuppressor() = default;
  DeviceSuppressor(const DeviceSuppressor&) = delete;
  DeviceSuppressor& operator=(const DeviceSuppressor&) = delete;
  virtual ~DeviceSuppressor() = default;

  // boxes: as many as the batch; each is overwritten with what suppress() says of decode()'s rows
  // of that image. output: [batch, head.size()], the device's. Waits for the stream. Allocates on
  // the device only for a batch larger than ever before.
  virtual void run(const float* output, std::span<std::vector<Detection>> boxes) = 0;
};

// Of decoded rows on the device: those of a few images of 640 x 640 pixels with 80 classes.
inline constexpr std::int64_t kDecodedBytes = std::int64_t{64} << 20;

// On the stream, which it must not outlive. Null for a head with so many boxes and classes that 31
// bits do not name them. decoded_bytes: about as many rows at a time, at least an image's. Throws
// as suppress() does.
std::unique_ptr<DeviceSuppressor> device_suppressor(const DetectionHead& head,
                                                    const NmsOptions& options,
                                                    kernels::StreamView stream,
                                                    std::int64_t decoded_bytes = kDecodedBytes);

}  // namespace ps::nn
