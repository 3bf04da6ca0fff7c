// Eigen's packed product, with its blocks cut to sizes known beforehand so that they lie in the
// caller's workspace (its own products allocate theirs).
#include <cstdint>

#include <Eigen/Core>

#include "kernels/gemm.h"

namespace ps::kernels::PS_ISA {
namespace {

// Packed blocks: depth x rows stays in the second-level cache (480 KiB), depth x columns streams
// from the third (640 KiB). Multiples of every micro-kernel's tile (48 x 8 for AVX-512).
constexpr std::int64_t kDepth = 320;
constexpr std::int64_t kRows = 384;
constexpr std::int64_t kColumns = 512;
static_assert(kDepth * (kRows + kColumns) + 32 == kGemmWorkspaceFloats);

using Index = std::int64_t;

class Blocking : public Eigen::internal::level3_blocking<float, float> {
 public:
  Blocking(Index depth, float* workspace) {
    // Equal slices of the depth: a thin last one would read and write all of c for little work.
    const Index slices = (depth + kDepth - 1) / kDepth;
    m_kc = ((depth + slices - 1) / slices + 7) / 8 * 8;
    m_mc = kRows;
    m_nc = kColumns;
    const auto address = reinterpret_cast<std::uintptr_t>(workspace);
    m_blockA = workspace + (64 - address % 64) % 64 / sizeof(float);
    m_blockB = m_blockA + kDepth * kRows;
  }
};

// Eigen's kernel writes column-major results, which a row-major c is when seen as its transpose:
// c^T = op(b)^T * op(a)^T.
template <int LeftOrder, int RightOrder>
void multiply(const Gemm& p) {
  Blocking blocking(p.k, p.workspace);
  Eigen::internal::general_matrix_matrix_product<Index, float, LeftOrder, false, float, RightOrder,
                                                 false, Eigen::ColMajor, 1>::run(p.n, p.m, p.k, p.b,
                                                                                 p.b_stride, p.a,
                                                                                 p.a_stride, p.c, 1,
                                                                                 p.c_stride,
                                                                                 p.alpha, blocking);
}

void scale(const Gemm& p) {
  if (p.beta == 1.0F) return;
  for (Index i = 0; i < p.m; ++i) {
    float* row = p.c + i * p.c_stride;
    if (p.beta == 0.0F) {
      for (Index j = 0; j < p.n; ++j) row[j] = 0.0F;
    } else {
      for (Index j = 0; j < p.n; ++j) row[j] *= p.beta;
    }
  }
}

void run(const Gemm& p) {
  scale(p);
  if (p.m == 0 || p.n == 0 || p.k == 0) return;
  constexpr int kPlain = Eigen::ColMajor;
  constexpr int kTransposed = Eigen::RowMajor;
  if (p.transpose_a) {
    p.transpose_b ? multiply<kTransposed, kTransposed>(p) : multiply<kPlain, kTransposed>(p);
  } else {
    p.transpose_b ? multiply<kTransposed, kPlain>(p) : multiply<kPlain, kPlain>(p);
  }
}

}  // namespace

extern const GemmOps gemm_ops{.run = run};

}  // namespace ps::kernels::PS_ISA
