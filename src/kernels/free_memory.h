// How much of a GPU's memory is left, for those who measure what a network takes of it.
#pragma once

#include <cstddef>

namespace ps::kernels {

// Bytes, of all processes; 0 where nobody knows: on emulated GPUs and in a build without CUDA.
std::size_t free_memory(int device);

}  // namespace ps::kernels
