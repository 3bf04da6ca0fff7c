// A device's part in a graph: the layers that it computes, all of them or some in a row, for one
// slice of the batch or for several one after the other.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <ps/nn/parameter.h>

#include "base/buffer.h"
#include "kernels/backend.h"
#include "kernels/device.h"
#include "nn/device_twins.h"
#include "nn/layer.h"

namespace ps::nn {

struct Stage {
  std::size_t first = 1;  // nodes [first, last)
  std::size_t last = 1;
  std::size_t first_parameter = 0;
  std::size_t parameter_count = 0;
  std::unique_ptr<kernels::Backend> backend;
  Memory workspace;

  // On a GPU. Parameters are numbered from first_parameter on.
  std::optional<DeviceTwins> twins;
  // Where slices but the first have their gradients before they are added to the first's.
  Memory more_gradients;
  std::vector<Bound> more_bound;

  // Of a network over several devices: what comes from others comes on a stream of its own, not
  // before the device is done with the pass before.
  std::optional<kernels::Stream> arrivals;
  std::optional<kernels::Event> idle;

  [[nodiscard]] int device() const { return backend->device().index; }
};

}  // namespace ps::nn
