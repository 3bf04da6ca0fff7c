// What a GPU and the way to it can do at most, measured: the ceilings that a step's floor is
// computed from.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include <ps/device.h>

namespace psbench {

inline constexpr std::array kPrecisions{ps::Precision::kFp32, ps::Precision::kTf32,
                                        ps::Precision::kBf16, ps::Precision::kFp16};
// "fp32", "tf32", "bf16", "fp16".
std::string name_of(ps::Precision precision);

struct GpuLimits {
  // GB/s of device memory, read and written: by the driver's copy, and by an elementwise kernel.
  double copy = 0.0;
  double map = 0.0;
  // GB/s between pinned host memory and the device's.
  double up = 0.0;
  double down = 0.0;
  // TFLOP/s of a large product by cuBLAS whose factors lie in memory as float32, by kPrecisions.
  std::array<double, kPrecisions.size()> products{};

  [[nodiscard]] double bandwidth() const { return copy > map ? copy : map; }
};

// `quick`: small and few, to see that it runs; its numbers mean nothing.
GpuLimits measure_gpu_limits(int device, bool quick);

// Seconds to copy so many bytes from pinned memory to the device, or back.
double transfer_seconds(int device, std::size_t bytes, bool up, int times);

}  // namespace psbench
