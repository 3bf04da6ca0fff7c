// What matrix products on a GPU are made of.
#pragma once

namespace ps::kernels {

// Sums are float32 always, and so are the matrices in memory.
enum class MatmulPrecision {
  kFp32,  // float32
  kTf32,  // factors rounded to 10 bits of mantissa, on tensor cores
  kBf16,  // to bfloat16
  kFp16,  // to float16: beyond 65504 they are infinite
};

}  // namespace ps::kernels
