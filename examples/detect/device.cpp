#include "device.h"

#include <cstdio>
#include <vector>

#include <ps/error.h>

namespace detect {

ps::Device choose_device(const std::string& wanted, std::uint32_t rank) {
  if (wanted == "auto") {
    const int count = ps::cuda_device_count();
    if (count == 0) return {};
    return {.kind = ps::DeviceKind::kCuda,
            .index = static_cast<int>(rank % static_cast<std::uint32_t>(count))};
  }
  std::string note;
  const std::vector<ps::Device> devices = ps::parse_devices(wanted, &note);
  if (!note.empty() && rank == 0) std::fprintf(stderr, "detect: --device: %s\n", note.c_str());
  if (devices.size() > 1) {
    throw ps::Error(ps::ErrorCode::kInvalidArgument,
                    "--device " + wanted +
                        ": a worker computes on one device; start a worker for each, psrun -n " +
                        std::to_string(devices.size()) + ", with --device auto");
  }
  return devices.front();
}

ps::Precision precision_of(const std::string& amp) {
  if (amp == "tf32") return ps::Precision::kTf32;
  if (amp == "bf16") return ps::Precision::kBf16;
  if (amp == "fp16") return ps::Precision::kFp16;
  return ps::Precision::kFp32;
}

std::string describe_device(const ps::Device& device) {
  if (device.kind == ps::DeviceKind::kCpu) return "the CPU";
  return ps::to_string(device) + " (" + ps::cuda_device_name(device.index) + ")";
}

}  // namespace detect
