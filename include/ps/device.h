// Where a worker computes: the CPU, or GPUs of its machine.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace ps {

enum class DeviceKind { kCpu, kCuda };

// `index` is CUDA's number of the device, as CUDA_VISIBLE_DEVICES leaves it; 0 for the CPU.
struct Device {
  DeviceKind kind = DeviceKind::kCpu;
  int index = 0;

  friend bool operator==(const Device&, const Device&) = default;
};

// What the factors of matrix products on a GPU are rounded to; sums are float32 always, and so is
// all that lies in memory. The CPU always computes as kFp32 says.
enum class Precision {
  kFp32,
  kTf32,  // 10 bits of mantissa, on tensor cores
  kBf16,  // bfloat16
  kFp16,  // float16: beyond 65504 infinite, below 6e-8 zero; see ps/loss_scale.h
};

// "cpu", "cuda:1".
std::string to_string(const Device& device);

// How many CUDA devices this process can use: 0 in a build without CUDA, without a driver or
// without a device.
int cuda_device_count() noexcept;

// What a GPU calls itself, "NVIDIA H100 80GB HBM3" say. REQUIRES: 0 <= index < count.
std::string cuda_device_name(int index);

// Why cuda_device_count() is 0, in a sentence to show; empty if it is not.
std::string why_no_cuda();

// "auto", "cpu", "cuda", "cuda:N" or "cuda:N,M,..." (as "0" and "0,1", too) into devices, at least
// one. `auto` is the first GPU, or the CPU if there is none. Asking for a GPU in a build with CUDA
// where no driver answers gives the CPU: `note` (may be null) then says so in a sentence, and is
// emptied otherwise. Throws Error{kInvalidArgument} for other text, for a number twice or beyond
// the devices there are, and Error{kUnavailable} for a GPU in a build without CUDA.
std::vector<Device> parse_devices(std::string_view text, std::string* note);

// How long this process waits for work that it has given to a GPU, 120 s at first; any thread may
// set it. A GPU that does not answer by then counts as lost: the wait throws Error{kTimeout}, and
// the device's memory is left to the process's end, because freeing it would wait as well.
void set_cuda_deadline(std::chrono::milliseconds deadline) noexcept;

}  // namespace ps
