// On which devices a graph computes, and how the work is shared out among them.
#pragma once

#include <cstdint>
#include <vector>

#include <ps/device.h>
#include <ps/nn/layer_options.h>

namespace ps::nn {

// One device: all of it there. Several (GPUs): each computes the whole network on a slice of every
// batch, and their gradients are added up on the first one, in the order of the devices. Results
// are those of so many workers with a share of the batch each: batch norm uses a slice's own
// statistics, and running ones are averaged.
//
// With `ends` the network is split instead, for networks larger than a device's memory: each device
// computes the layers after the one before it, up to and including that value; the last one the
// rest. The batch goes through in `micro_batches` slices, so that all devices have work; statistics
// are a slice's, as above. With one slice, results are those of one device.
struct Placement {
  std::vector<Device> devices{Device{}};
  Precision precision = Precision::kFp32;
  std::vector<Value> ends = {};    // one fewer than devices, or none
  std::int64_t micro_batches = 0;  // of a split network; 0: as many as devices
  // On GPUs, what passes of one batch size have in common is recorded at the second one and then
  // launched as a whole (CUDA graphs). The bits are the same.
  bool record = true;
};

}  // namespace ps::nn
