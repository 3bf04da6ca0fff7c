#include <ps/error.h>

#include "nn/device_criterion.h"

namespace ps::nn {

std::unique_ptr<DeviceCriterion> device_criterion(const DetectionHead& /*head*/,
                                                  const DetectionLossOptions& /*options*/,
                                                  std::int64_t /*max_batch*/,
                                                  kernels::StreamView /*stream*/) {
  throw Error(ErrorCode::kUnavailable,
              "device_criterion: this build has no CUDA; build with -DPS_CUDA=ON");
}

}  // namespace ps::nn
