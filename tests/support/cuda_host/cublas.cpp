#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include <Eigen/Core>

#include "cublas_v2.h"
#include "cuda_bf16.h"
#include "cuda_fp16.h"
#include "emulator.h"

struct cublasContext {
  int device;
  cudaStream_t stream = nullptr;
  bool has_workspace = false;  // of the caller's
};

namespace {

using cuda_host::Emulator;
using Matrix = Eigen::MatrixXf;

struct Operand {
  const void* data;
  cudaDataType type;
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t leading;
  std::int64_t stride;
};

struct Product {
  Operand a;
  Operand b;
  Operand c;
  bool transpose_a;
  bool transpose_b;
  float alpha;
  float beta;
  std::int64_t batch;
  cublasComputeType_t type;
};

thread_local std::string t_why;

cublasStatus_t refuse(cublasStatus_t status, const std::string& why) {
  t_why = why;
  return status;
}

std::int64_t bytes_of(cudaDataType type) {
  return type == CUDA_R_32F ? 4 : 2;
}

const std::byte* at(const Operand& m, std::int64_t item) {
  return static_cast<const std::byte*>(m.data) + item * m.stride * bytes_of(m.type);
}

Matrix load(const Operand& m, std::int64_t item) {
  Matrix values(m.rows, m.columns);
  const std::byte* first = at(m, item);
  for (std::int64_t j = 0; j < m.columns; ++j) {
    for (std::int64_t i = 0; i < m.rows; ++i) {
      const std::int64_t k = j * m.leading + i;
      if (m.type == CUDA_R_32F) {
        values(i, j) = reinterpret_cast<const float*>(first)[k];
      } else if (m.type == CUDA_R_16F) {
        values(i, j) = __half2float(reinterpret_cast<const __half*>(first)[k]);
      } else {
        values(i, j) = __bfloat162float(reinterpret_cast<const __nv_bfloat16*>(first)[k]);
      }
    }
  }
  return values;
}

void store(const Operand& m, std::int64_t item, const Matrix& values) {
  auto* first = const_cast<std::byte*>(at(m, item));
  for (std::int64_t j = 0; j < m.columns; ++j) {
    for (std::int64_t i = 0; i < m.rows; ++i) {
      const std::int64_t k = j * m.leading + i;
      if (m.type == CUDA_R_32F) {
        reinterpret_cast<float*>(first)[k] = values(i, j);
      } else if (m.type == CUDA_R_16F) {
        reinterpret_cast<__half*>(first)[k] = __float2half_rn(values(i, j));
      } else {
        reinterpret_cast<__nv_bfloat16*>(first)[k] = __float2bfloat16_rn(values(i, j));
      }
    }
  }
}

float rounded(float value, cublasComputeType_t type) {
  switch (type) {
    case CUBLAS_COMPUTE_32F_FAST_16F:
      return __half2float(__float2half_rn(value));
    case CUBLAS_COMPUTE_32F_FAST_16BF:
      return __bfloat162float(__float2bfloat16_rn(value));
    case CUBLAS_COMPUTE_32F_FAST_TF32: {
      // The 13 last bits are dropped, to the nearest and of ties to the even.
      const auto bits = std::bit_cast<std::uint32_t>(value);
      return value != value ? value
                            : std::bit_cast<float>((bits + 0xFFFU + (bits >> 13U & 1U)) & ~0x1FFFU);
    }
    case CUBLAS_COMPUTE_32F:
    case CUBLAS_COMPUTE_32F_PEDANTIC:
      break;
  }
  return value;
}

Matrix load_factor(const Operand& m, std::int64_t item, cublasComputeType_t type) {
  return load(m, item).unaryExpr([type](float value) { return rounded(value, type); });
}

void compute(const Product& p) {
  for (std::int64_t item = 0; item < p.batch; ++item) {
    Matrix c = Matrix::Zero(p.c.rows, p.c.columns);
    if (p.beta != 0.0F) c = p.beta * load(p.c, item);
    const Matrix a = load_factor(p.a, item, p.type);
    const Matrix b = load_factor(p.b, item, p.type);
    if (p.transpose_a && p.transpose_b) {
      c.noalias() += p.alpha * (a.transpose() * b.transpose());
    } else if (p.transpose_a) {
      c.noalias() += p.alpha * (a.transpose() * b);
    } else if (p.transpose_b) {
      c.noalias() += p.alpha * (a * b.transpose());
    } else {
      c.noalias() += p.alpha * (a * b);
    }
    store(p.c, item, c);
  }
}

// What is wrong with the operand; empty if nothing is.
std::string fault(const char* name, const Operand& m, std::int64_t batch) {
  if (m.leading < std::max<std::int64_t>(1, m.rows)) {
    return std::string("the leading dimension of ") + name + " is less than its " +
           std::to_string(m.rows) + " rows";
  }
  if (m.rows == 0 || m.columns == 0) return "";
  const std::int64_t last = (batch - 1) * m.stride + (m.columns - 1) * m.leading + m.rows;
  const std::string why =
      Emulator::get().check_device(m.data, static_cast<std::size_t>(last * bytes_of(m.type)));
  return why.empty() ? "" : std::string(name) + " " + why;
}

std::string fault(const Product& p) {
  std::string why = fault("A", p.a, p.batch);
  if (why.empty()) why = fault("B", p.b, p.batch);
  return why.empty() ? fault("C", p.c, p.batch) : why;
}

cublasStatus_t enqueue(cublasHandle_t handle, const Product& p) {
  const std::unique_lock held(Emulator::get().mutex());
  if (handle == nullptr) return refuse(CUBLAS_STATUS_NOT_INITIALIZED, "no handle");
  if (Emulator::get().check(handle->stream) != cudaSuccess) {
    return refuse(CUBLAS_STATUS_MAPPING_ERROR, "the handle has no stream (any more)");
  }
  if (handle->stream->device != handle->device) {
    return refuse(CUBLAS_STATUS_MAPPING_ERROR, "the handle's stream is another device's");
  }
  if (p.c.rows < 0 || p.c.columns < 0 || p.batch < 0) {
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "a negative size");
  }
  if (p.c.rows == 0 || p.c.columns == 0 || p.batch == 0) return CUBLAS_STATUS_SUCCESS;
  std::string why = fault(p);
  if (why.empty() && p.batch > 1 && p.c.stride < (p.c.columns - 1) * p.c.leading + p.c.rows) {
    why = "the results of a batch overlap";
  }
  if (!why.empty()) return refuse(CUBLAS_STATUS_INVALID_VALUE, why);
  if (cuda_host::Capture* capture = handle->stream->capture.get();
      capture != nullptr && !handle->has_workspace) {
    why = "a product without a workspace of the caller's allocates, and its stream captures";
    cuda_host::Captures::refuse(capture, cudaErrorStreamCaptureUnsupported, why);
    return refuse(CUBLAS_STATUS_ALLOC_FAILED, why);
  }
  Emulator::get().push(handle->stream, {.run = [p] { compute(p); },
                                        .counted = &cuda_host::Counters::launches,
                                        .fault = [p] { return fault(p); }});
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

// NOLINTBEGIN: the names are CUDA's

const char* cublasGetStatusString(cublasStatus_t status) {
  thread_local std::string text;
  text = status == CUBLAS_STATUS_SUCCESS ? "success"
                                         : "status " + std::to_string(status) + ": " + t_why;
  return text.c_str();
}

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  int device = 0;
  cudaGetDevice(&device);
  const std::unique_lock held(Emulator::get().mutex());
  if (device >= Emulator::get().devices()) {
    return refuse(CUBLAS_STATUS_NOT_INITIALIZED, "no device is emulated");
  }
  if (Emulator::get().captures.may_call("cublasCreate") != cudaSuccess) {
    return refuse(CUBLAS_STATUS_ALLOC_FAILED, "cublasCreate by a thread that captures");
  }
  ++Emulator::get().counters.allocations;  // of its workspace
  *handle = new cublasContext{device};
  return CUBLAS_STATUS_SUCCESS;
}

// As cuBLAS, waits for all work.
cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  const std::unique_lock held(Emulator::get().mutex());
  Emulator::get().captures.may_call("cublasDestroy");
  Emulator::get().drain_all();
  ++Emulator::get().counters.frees;
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  handle->has_workspace = false;  // as cuBLAS, even if it is the same stream
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void* workspace, std::size_t bytes) {
  const std::unique_lock held(Emulator::get().mutex());
  const std::string why = bytes == 0 ? "" : Emulator::get().check_device(workspace, bytes);
  handle->has_workspace = why.empty();
  return why.empty() ? CUBLAS_STATUS_SUCCESS
                     : refuse(CUBLAS_STATUS_INVALID_VALUE, "the workspace " + why);
}

cublasStatus_t cublasSetMathMode(cublasHandle_t /*handle*/, cublasMath_t /*mode*/) {
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetPointerMode(cublasHandle_t /*handle*/, cublasPointerMode_t /*mode*/) {
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetAtomicsMode(cublasHandle_t /*handle*/, cublasAtomicsMode_t /*mode*/) {
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle,
                                          cublasOperation_t transpose_a,
                                          cublasOperation_t transpose_b,
                                          int m,
                                          int n,
                                          int k,
                                          const void* alpha,
                                          const void* a,
                                          cudaDataType type_a,
                                          int lda,
                                          long long stride_a,
                                          const void* b,
                                          cudaDataType type_b,
                                          int ldb,
                                          long long stride_b,
                                          const void* beta,
                                          void* c,
                                          cudaDataType type_c,
                                          int ldc,
                                          long long stride_c,
                                          int batch,
                                          cublasComputeType_t type,
                                          cublasGemmAlgo_t /*algorithm*/) {
  const bool ta = transpose_a == CUBLAS_OP_T;
  const bool tb = transpose_b == CUBLAS_OP_T;
  return enqueue(handle, {.a = {a, type_a, ta ? k : m, ta ? m : k, lda, stride_a},
                          .b = {b, type_b, tb ? n : k, tb ? k : n, ldb, stride_b},
                          .c = {c, type_c, m, n, ldc, stride_c},
                          .transpose_a = ta,
                          .transpose_b = tb,
                          .alpha = *static_cast<const float*>(alpha),
                          .beta = *static_cast<const float*>(beta),
                          .batch = batch,
                          .type = type});
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle,
                            cublasOperation_t transpose_a,
                            cublasOperation_t transpose_b,
                            int m,
                            int n,
                            int k,
                            const void* alpha,
                            const void* a,
                            cudaDataType type_a,
                            int lda,
                            const void* b,
                            cudaDataType type_b,
                            int ldb,
                            const void* beta,
                            void* c,
                            cudaDataType type_c,
                            int ldc,
                            cublasComputeType_t compute_type,
                            cublasGemmAlgo_t algorithm) {
  return cublasGemmStridedBatchedEx(handle, transpose_a, transpose_b, m, n, k, alpha, a, type_a,
                                    lda, 0, b, type_b, ldb, 0, beta, c, type_c, ldc, 0, 1,
                                    compute_type, algorithm);
}

cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle,
                                         cublasOperation_t transpose_a,
                                         cublasOperation_t transpose_b,
                                         int m,
                                         int n,
                                         int k,
                                         const float* alpha,
                                         const float* a,
                                         int lda,
                                         long long stride_a,
                                         const float* b,
                                         int ldb,
                                         long long stride_b,
                                         const float* beta,
                                         float* c,
                                         int ldc,
                                         long long stride_c,
                                         int batch) {
  return cublasGemmStridedBatchedEx(handle, transpose_a, transpose_b, m, n, k, alpha, a, CUDA_R_32F,
                                    lda, stride_a, b, CUDA_R_32F, ldb, stride_b, beta, c,
                                    CUDA_R_32F, ldc, stride_c, batch, CUBLAS_COMPUTE_32F,
                                    CUBLAS_GEMM_DEFAULT);
}

cublasStatus_t cublasSgemm(cublasHandle_t handle,
                           cublasOperation_t transpose_a,
                           cublasOperation_t transpose_b,
                           int m,
                           int n,
                           int k,
                           const float* alpha,
                           const float* a,
                           int lda,
                           const float* b,
                           int ldb,
                           const float* beta,
                           float* c,
                           int ldc) {
  return cublasSgemmStridedBatched(handle, transpose_a, transpose_b, m, n, k, alpha, a, lda, 0, b,
                                   ldb, 0, beta, c, ldc, 0, 1);
}

// NOLINTEND
