// Devices as users name them.
#include "kernels/device.h"

#include <algorithm>
#include <charconv>

#include <ps/device.h>
#include <ps/error.h>

namespace ps {
namespace {

constexpr std::string_view kExpected =
    R"("auto", "cpu", "cuda", "cuda:N" or several as "cuda:N,M" or "N,M")";

[[noreturn]] void refuse(std::string_view text, const std::string& why) {
  throw Error(ErrorCode::kInvalidArgument, "no device \"" + std::string(text) + "\": " + why);
}

int parse_index(std::string_view text, std::string_view word) {
  int index = 0;
  const char* end = word.data() + word.size();
  const auto [rest, error] = std::from_chars(word.data(), end, index);
  if (word.empty() || word.front() == '-' || error != std::errc{} || rest != end) {
    refuse(text, "expected " + std::string(kExpected));
  }
  return index;
}

std::vector<Device> parse_list(std::string_view text, std::string_view list) {
  std::vector<Device> devices;
  while (true) {
    const auto comma = list.find(',');
    const Device device{DeviceKind::kCuda, parse_index(text, list.substr(0, comma))};
    if (std::find(devices.begin(), devices.end(), device) != devices.end()) {
      refuse(text, to_string(device) + " is named twice");
    }
    devices.push_back(device);
    if (comma == std::string_view::npos) return devices;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

std::string to_string(const Device& device) {
  return device.kind == DeviceKind::kCpu ? "cpu" : "cuda:" + std::to_string(device.index);
}

std::vector<Device> parse_devices(std::string_view text, std::string* note) {
  if (note != nullptr) note->clear();
  if (text == "cpu") return {Device{}};
  const int count = cuda_device_count();
  if (text == "auto") {
    return {count > 0 ? Device{.kind = DeviceKind::kCuda, .index = 0} : Device{}};
  }
  std::string_view list = text;
  if (text == "cuda") {
    list = "0";
  } else if (text.starts_with("cuda:")) {
    list.remove_prefix(5);
  }
  std::vector<Device> devices = parse_list(text, list);
  if (!kernels::built_with_cuda()) {
    throw Error(ErrorCode::kUnavailable,
                "device \"" + std::string(text) + "\" needs a GPU: " + why_no_cuda());
  }
  if (count == 0) {
    if (note != nullptr)
      *note = "computing on the CPU, not on \"" + std::string(text) + "\": " + why_no_cuda();
    return {Device{}};
  }
  for (const Device& device : devices) {
    if (device.index >= count) {
      refuse(text, "there are " + std::to_string(count) + ", numbered from 0");
    }
  }
  return devices;
}

}  // namespace ps
