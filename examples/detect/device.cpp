#include "device.h"

#include <cstdio>
#include <sstream>

#include <ps/error.h>

namespace detect {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw ps::Error(ps::ErrorCode::kInvalidArgument, what);
}

// The last rows of all devices.
std::vector<int> parse_split(const std::string& text) {
  std::vector<int> rows;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    int device = -1;
    int row = -1;
    int end = 0;
    const int read = std::sscanf(part.c_str(), "%d:%d%n", &device, &row, &end);
    const bool whole = read == 2 && static_cast<std::size_t>(end) == part.size();
    const int least = rows.empty() ? 0 : rows.back() + 1;
    if (!whole || device != static_cast<int>(rows.size()) || row < least) {
      refuse("--split " + text +
             ": expected DEVICE:LAST_ROW for each device of --device in turn, "
             "rows rising, as in 0:10,1:24; got \"" +
             part + "\"");
    }
    rows.push_back(row);
  }
  if (rows.size() < 2)
    refuse("--split " + text + ": expected two devices or more, as in 0:10,1:24");
  return rows;
}

std::vector<ps::Device> first_gpus(std::size_t count) {
  const auto there = static_cast<std::size_t>(ps::cuda_device_count());
  if (there == 0) return {ps::Device{}};
  if (there < count) {
    refuse("--split names " + std::to_string(count) + " devices, there are " +
           std::to_string(there));
  }
  std::vector<ps::Device> devices;
  for (std::size_t i = 0; i < count; ++i)
    devices.push_back({.kind = ps::DeviceKind::kCuda, .index = static_cast<int>(i)});
  return devices;
}

std::vector<ps::Device> choose_devices(const ComputeOptions& options,
                                       std::size_t stages,
                                       std::uint32_t rank) {
  if (options.device == "auto") {
    if (stages > 1) return first_gpus(stages);
    const int count = ps::cuda_device_count();
    if (count == 0) return {ps::Device{}};
    return {{.kind = ps::DeviceKind::kCuda,
             .index = static_cast<int>(rank % static_cast<std::uint32_t>(count))}};
  }
  std::string note;
  std::vector<ps::Device> devices = ps::parse_devices(options.device, &note);
  if (!note.empty() && rank == 0) std::fprintf(stderr, "detect: --device: %s\n", note.c_str());
  return devices;
}

ps::Precision precision_of(const std::string& amp) {
  if (amp == "tf32") return ps::Precision::kTf32;
  if (amp == "bf16") return ps::Precision::kBf16;
  if (amp == "fp16") return ps::Precision::kFp16;
  return ps::Precision::kFp32;
}

}  // namespace

Compute choose_compute(const ComputeOptions& options, std::uint32_t rank) {
  Compute compute{.devices = {}, .precision = precision_of(options.amp)};
  if (!options.split.empty()) compute.split = parse_split(options.split);
  compute.devices = choose_devices(options, compute.split.size(), rank);
  compute.micro_batches = options.micro_batches;
  if (compute.split.empty()) return compute;
  if (!compute.on_gpu()) {
    if (rank == 0) std::fprintf(stderr, "detect: --split is for GPUs: all is on the CPU\n");
    compute.split.clear();
    return compute;
  }
  if (compute.devices.size() != compute.split.size()) {
    refuse("--split " + options.split + ": expected as many devices as --device names, " +
           std::to_string(compute.devices.size()));
  }
  return compute;
}

ps::nn::Placement placement_of(const Compute& compute, const ps::nn::Detector& detector) {
  ps::nn::Placement placement{.devices = compute.devices, .precision = compute.precision};
  if (compute.split.empty()) return placement;
  const auto layers = detector.layers();
  if (compute.split.back() + 1 != static_cast<int>(layers.size())) {
    refuse("--split: the last device must end with the network's last row, " +
           std::to_string(layers.size() - 1) + ", got " + std::to_string(compute.split.back()));
  }
  for (std::size_t i = 0; i + 1 < compute.split.size(); ++i)
    placement.ends.push_back(layers[static_cast<std::size_t>(compute.split[i])].last);
  placement.micro_batches = compute.micro_batches;
  return placement;
}

std::string describe(const Compute& compute) {
  if (!compute.on_gpu()) return "the CPU";
  std::string text;
  for (std::size_t i = 0; i < compute.devices.size(); ++i) {
    const ps::Device& device = compute.devices[i];
    text += (i == 0 ? "" : " and ") + ps::to_string(device) + " (" +
            ps::cuda_device_name(device.index) + ")";
    if (!compute.split.empty()) text += " up to row " + std::to_string(compute.split[i]);
  }
  return text;
}

}  // namespace detect
