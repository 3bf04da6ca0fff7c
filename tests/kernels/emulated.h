// Emulated GPUs for one test. Only in builds with PS_CUDA=EMULATED.
#pragma once

#include <cstdint>

#include <cuda_host.h>

namespace ps::kernels {

class Emulated {
 public:
  explicit Emulated(int devices = 1, std::uint64_t seed = 1) {
    cuda_host::reset();
    cuda_host::set_devices(devices);
    cuda_host::seed(seed);
  }
  Emulated(const Emulated&) = delete;
  Emulated& operator=(const Emulated&) = delete;
  ~Emulated() {
    cuda_host::reset();
    cuda_host::set_poison(0xFF);
    cuda_host::refuse_registration(false);
    cuda_host::set_devices(0);
  }
};

}  // namespace ps::kernels
