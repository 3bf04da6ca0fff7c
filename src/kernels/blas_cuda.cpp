#include "kernels/blas_cuda.h"

#include <climits>
#include <string>

#include <cublas_v2.h>

#include <ps/error.h>

namespace ps::kernels {
namespace {

// What cuBLAS recommends for the newest devices. Its own would be allocated in the first step.
constexpr std::size_t kWorkspaceBytes = std::size_t{32} * 1024 * 1024;

void check(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(ErrorCode::kUnavailable,
              std::string("cuBLAS failed: ") + cublasGetStatusString(status) + " (" + call + ")");
}

cublasComputeType_t compute_type(Precision precision) {
  switch (precision) {
    case Precision::kTf32:
      return CUBLAS_COMPUTE_32F_FAST_TF32;
    case Precision::kBf16:
      return CUBLAS_COMPUTE_32F_FAST_16BF;
    case Precision::kFp16:
      return CUBLAS_COMPUTE_32F_FAST_16F;
    case Precision::kFp32:
      break;
  }
  return CUBLAS_COMPUTE_32F;
}

int small(std::int64_t size) {
  if (size <= INT_MAX) return static_cast<int>(size);
  throw Error(ErrorCode::kInvalidArgument,
              "expected matrices of fewer than 2^31 rows and columns, got " + std::to_string(size));
}

cublasOperation_t operation(bool transpose) {
  return transpose ? CUBLAS_OP_T : CUBLAS_OP_N;
}

}  // namespace

Blas::Blas(StreamView stream, Precision precision)
    : stream_(stream), precision_(precision), workspace_(stream.device(), kWorkspaceBytes) {
  const DeviceGuard guard(stream.device());
  check(cublasCreate(&handle_), "cublasCreate");
  try {
    // The stream first: setting it would take the workspace away again.
    check(cublasSetStream(handle_, stream.handle()), "cublasSetStream");
    check(cublasSetWorkspace(handle_, workspace_.data(), workspace_.size()), "cublasSetWorkspace");
  } catch (...) {
    cublasDestroy(handle_);
    throw;
  }
}

Blas::~Blas() {
  const DeviceGuard guard(stream_.device());
  cublasDestroy(handle_);
}

void Blas::multiply(const Gemm& p, const GemmBatch& batch) {
  if (p.m == 0 || p.n == 0 || batch.count == 0) return;
  const auto type = compute_type(precision_);
  // cuBLAS sees every row-major matrix transposed, so it is asked for c^T = op(b)^T op(a)^T.
  check(cublasGemmStridedBatchedEx(
            handle_, operation(p.transpose_b), operation(p.transpose_a), small(p.n), small(p.m),
            small(p.k), &p.alpha, p.b, CUDA_R_32F, small(p.b_stride), batch.b_step, p.a, CUDA_R_32F,
            small(p.a_stride), batch.a_step, &p.beta, p.c, CUDA_R_32F, small(p.c_stride),
            batch.c_step, small(batch.count), type, CUBLAS_GEMM_DEFAULT),
        "cublasGemmStridedBatchedEx");
}

}  // namespace ps::kernels
