#include <cuda_runtime.h>

#include "kernels/device.h"
#include "kernels/free_memory.h"

namespace ps::kernels {

std::size_t free_memory(int device) {
  const DeviceGuard guard(device);
  std::size_t left = 0;
  std::size_t all = 0;
  PS_CUDA_CHECK(cudaMemGetInfo(&left, &all));
  return left;
}

}  // namespace ps::kernels
