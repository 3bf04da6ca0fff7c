// Where a worker computes: what --device says.
#pragma once

#include <cstdint>
#include <string>

#include <ps/device.h>

namespace detect {

// "auto" gives the workers of a machine its GPUs in turn, and the CPU where there is none. Anything
// that is worth telling goes to standard error, once: by rank 0. Throws ps::Error naming --device.
ps::Device choose_device(const std::string& wanted, std::uint32_t rank);

// What --amp says: "off" is fp32.
ps::Precision precision_of(const std::string& amp);

// "cuda:0 (NVIDIA H100)", "the CPU".
std::string describe_device(const ps::Device& device);

}  // namespace detect
