// Matrix product of row-major float matrices on one thread. No allocation: packing happens in the
// caller's workspace.
#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace ps::kernels {

// c = alpha * op(a) * op(b) + beta * c, with op(a): [m, k], op(b): [k, n], c: [m, n]. op transposes
// where asked to, so a transposed `a` lies in memory as [k, m]. A leading dimension (`a_stride`...)
// is the distance of two rows in memory, in elements. c must overlap neither a nor b. With
// beta = 0, c is not read (it may hold NaN). k = 0 is allowed: c = beta * c.
struct Gemm {
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  bool transpose_a = false;
  bool transpose_b = false;
  float alpha = 1.0F;
  float beta = 0.0F;
  const float* a = nullptr;
  std::int64_t a_stride = 0;
  const float* b = nullptr;
  std::int64_t b_stride = 0;
  float* c = nullptr;
  std::int64_t c_stride = 0;
  // kGemmWorkspaceFloats floats that overlap nothing; their contents are destroyed.
  float* workspace = nullptr;
};

// One packed block of each factor (see gemm_cpu.cpp), and slack to align them.
inline constexpr std::int64_t kGemmWorkspaceFloats = 320 * (384 + 512) + 32;

struct GemmOps {
  void (*run)(const Gemm& product);
};

const GemmOps& gemm(Isa isa);

}  // namespace ps::kernels
