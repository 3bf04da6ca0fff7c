#include "nn/device_suppressor.h"

namespace ps::nn {

std::unique_ptr<DeviceSuppressor> device_suppressor(const DetectionHead& /*head*/,
                                                    const NmsOptions& /*options*/,
                                                    kernels::StreamView /*stream*/,
                                                    std::int64_t /*decoded_bytes*/) {
  return nullptr;
}

}  // namespace ps::nn
