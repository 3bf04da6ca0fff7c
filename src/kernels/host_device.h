// The mark of functions that both the CPU and the GPU kernels call: the arithmetic in X_math.h.
// Always inlined, because a copy left in an object compiled with wider instructions would be merged
// with everyone's (see isa.h).
#pragma once

#if defined(__CUDACC__)
#define PS_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define PS_HOST_DEVICE inline __attribute__((always_inline))
#endif
