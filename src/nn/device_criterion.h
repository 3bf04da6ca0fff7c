// A detector's loss of an output in a GPU's memory, taken there: between a network's forward and
// backward pass, without a wait. In a build without CUDA there is none.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include <ps/nn/detection.h>

#include "kernels/device.h"

namespace ps::nn {

// One thread and one stream at a time. Throws Error{kInvalidArgument} for misuse as
// DetectionCriterion does, before anything has changed.
class DeviceCriterion {
 public:
  DeviceCriterion() = default;
  DeviceCriterion(const DeviceCriterion&) = delete;
  DeviceCriterion& operator=(const DeviceCriterion&) = delete;
  virtual ~DeviceCriterion() = default;

  // As DetectionCriterion::run, but for the order of sums over many cells: it enqueues, and output
  // and gradient are the device's; gradient may be null. Targets are copied at once. Allocates, and
  // then waits for the stream, only when there are more targets than ever before; it may wait for
  // the upload of the last but one call.
  virtual void run(const float* output,
                   std::int64_t batch,
                   std::span<const Target> targets,
                   float* gradient) = 0;

  // Of the last run. Waits for the stream; throws what went wrong in it.
  virtual DetectionLoss loss() = 0;
};

// On the stream, which it must not outlive; waits for it now.
std::unique_ptr<DeviceCriterion> device_criterion(const DetectionHead& head,
                                                  const DetectionLossOptions& options,
                                                  std::int64_t max_batch,
                                                  kernels::StreamView stream);

}  // namespace ps::nn
