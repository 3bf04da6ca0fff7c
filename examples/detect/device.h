// Where a worker computes: what --device, --amp and --split say.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ps/device.h>
#include <ps/nn/detector.h>
#include <ps/nn/placement.h>

namespace detect {

struct Compute {
  std::vector<ps::Device> devices{ps::Device{}};
  ps::Precision precision = ps::Precision::kFp32;
  // The last row of the network's table on each device but the last; empty: each has all rows.
  std::vector<int> split = {};
  std::int64_t micro_batches = 0;  // see ps/nn/placement.h

  [[nodiscard]] bool on_gpu() const { return devices.front().kind == ps::DeviceKind::kCuda; }
};

// As the flags say it.
struct ComputeOptions {
  std::string device = "auto";
  std::string amp = "off";  // or tf32, bf16, fp16
  std::string split = {};   // "0:10,1:24": device of the list, last row
  std::int64_t micro_batches = 0;
};

// "auto" gives the workers of a machine its GPUs in turn, and the CPU where there is none; with a
// split it is the first GPUs. Anything that is worth telling goes to standard error, once: by rank
// 0. Throws ps::Error naming the flag.
Compute choose_compute(const ComputeOptions& options, std::uint32_t rank);

// Of a network for such a table. Throws ps::Error naming --split if the table has other rows.
ps::nn::Placement placement_of(const Compute& compute, const ps::nn::Detector& detector);

// "cuda:0 (NVIDIA H100)", "the CPU"; of several, one after the other.
std::string describe(const Compute& compute);

}  // namespace detect
