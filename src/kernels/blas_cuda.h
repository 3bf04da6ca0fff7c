// Matrix products of row-major float matrices on a GPU, by cuBLAS, on one stream.
#pragma once

#include <cstdint>

#include <ps/device.h>

#include "kernels/device.h"
#include "kernels/gemm.h"

struct cublasContext;

namespace ps::kernels {

// `count` products whose matrices lie that many floats apart; a step of 0 uses a factor again.
struct GemmBatch {
  std::int64_t count = 1;
  std::int64_t a_step = 0;
  std::int64_t b_step = 0;
  std::int64_t c_step = 0;
};

// Made at the start: it allocates. Used by one thread at a time.
class Blas {
 public:
  Blas(StreamView stream, Precision precision);
  Blas(const Blas&) = delete;
  Blas& operator=(const Blas&) = delete;
  ~Blas();

  [[nodiscard]] StreamView stream() const noexcept { return stream_; }
  [[nodiscard]] Precision precision() const noexcept { return precision_; }

  // Enqueue. What Gemm's members mean: gemm.h; its workspace is not used.
  void multiply(const Gemm& product, const GemmBatch& batch = {});

 private:
  const StreamView stream_;
  const Precision precision_;
  DeviceBuffer workspace_;
  cublasContext* handle_ = nullptr;
};

}  // namespace ps::kernels
