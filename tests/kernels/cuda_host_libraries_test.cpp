// The emulated GPU's cuBLAS and 16-bit floats against plain loops and exhaustive ones.
#include <cmath>
#include <cstdint>
#include <vector>

#include <cublas_v2.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/device.h"
#include "kernels/emulated.h"
#include "kernels/reference.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

using Catch::Matchers::Contains;

// The value that 16 bits stand for, from the format's definition.
double half_value(unsigned bits) {
  const int exponent = static_cast<int>(bits >> 10U & 0x1FU);
  const double fraction = bits & 0x3FFU;
  const double size =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(fraction + 1024.0, exponent - 25);
  return (bits & 0x8000U) != 0 ? -size : size;
}

}  // namespace

TEST_CASE("cuda_fp16: converts all values, and rounds to the nearest even one", "[unit]") {
  for (unsigned bits = 0; bits < 0x10000U; ++bits) {
    if ((bits & 0x7C00U) == 0x7C00U) continue;
    const __half half = __ushort_as_half(static_cast<unsigned short>(bits));
    const float value = __half2float(half);
    REQUIRE(static_cast<double>(value) == half_value(bits));
    REQUIRE(__half_as_ushort(__float2half_rn(value)) == bits);
    if ((bits & 0x7FFFU) == 0x7BFFU) continue;
    // Between it and the next larger one: nearer to one of them, or in the middle.
    const float next = static_cast<float>(half_value(bits + 1));
    const float middle = (value + next) / 2;
    const unsigned even = bits % 2 == 0 ? bits : bits + 1;
    REQUIRE(__half_as_ushort(__float2half_rn(middle)) == even);
    REQUIRE(__half_as_ushort(__float2half_rn(std::nextafter(middle, value))) == bits);
    REQUIRE(__half_as_ushort(__float2half_rn(std::nextafter(middle, next))) == bits + 1);
  }
  CHECK(__half_as_ushort(__float2half_rn(65519.996F)) == 0x7BFF);
  CHECK(__half_as_ushort(__float2half_rn(65520.0F)) == 0x7C00);
  CHECK(__half_as_ushort(__float2half_rn(-1e30F)) == 0xFC00);
  CHECK(std::isinf(__half2float(__ushort_as_half(0x7C00))));
  CHECK(std::isnan(__half2float(__float2half_rn(NAN))));
}

TEST_CASE("cuda_bf16: keeps the upper half, rounded to the nearest even one", "[unit]") {
  for (unsigned bits = 0; bits < 0x7F80U; ++bits) {
    const auto exact = std::bit_cast<float>(bits << 16U);
    const auto middle = std::bit_cast<float>(bits << 16U | 0x8000U);
    const auto above = std::bit_cast<float>(bits << 16U | 0x8001U);
    REQUIRE(__bfloat162float(__ushort_as_bfloat16(static_cast<unsigned short>(bits))) == exact);
    REQUIRE(__bfloat16_as_ushort(__float2bfloat16_rn(exact)) == bits);
    REQUIRE(__bfloat16_as_ushort(__float2bfloat16_rn(-middle)) == (0x8000U | (bits + bits % 2)));
    REQUIRE(__bfloat16_as_ushort(__float2bfloat16_rn(above)) == bits + 1);
  }
  CHECK(std::isnan(__bfloat162float(__float2bfloat16_rn(NAN))));
  CHECK(std::isinf(__bfloat162float(__float2bfloat16_rn(INFINITY))));
}

namespace {

struct Handle {
  explicit Handle(const Stream& stream) {
    REQUIRE(cublasCreate(&handle) == CUBLAS_STATUS_SUCCESS);
    REQUIRE(cublasSetStream(handle, stream.view().handle()) == CUBLAS_STATUS_SUCCESS);
  }
  ~Handle() { cublasDestroy(handle); }

  cublasHandle_t handle = nullptr;
};

constexpr int kM = 5;
constexpr int kN = 7;
constexpr int kK = 3;
constexpr int kLeading = 9;  // of all three, larger than any size
constexpr int kStride = 9 * 7;

DeviceBuffer uploaded(const std::vector<float>& values, const Stream& stream) {
  DeviceBuffer buffer(0, values.size() * sizeof(float));
  copy_to_device(buffer.data(), values.data(), buffer.size(), stream);
  stream.synchronize();
  return buffer;
}

}  // namespace

TEST_CASE("cublas: multiplies batches with every transposition and scale", "[unit]") {
  const Emulated emulated;
  const Stream stream(0);
  const Handle handle(stream);
  const bool ta = GENERATE(false, true);
  const bool tb = GENERATE(false, true);
  const float beta = GENERATE(0.0F, 0.5F);
  const float alpha = 2.0F;
  const auto a = random_floats(2 * kStride, 1);
  const auto b = random_floats(2 * kStride, 2);
  std::vector<float> c(2 * kStride, beta == 0.0F ? NAN : 1.0F);  // not read if beta is 0
  const auto da = uploaded(a, stream);
  const auto db = uploaded(b, stream);
  const auto dc = uploaded(c, stream);
  REQUIRE(cublasSgemmStridedBatched(
              handle.handle, ta ? CUBLAS_OP_T : CUBLAS_OP_N, tb ? CUBLAS_OP_T : CUBLAS_OP_N, kM, kN,
              kK, &alpha, da.as<float>(), kLeading, kStride, db.as<float>(), kLeading, kStride,
              &beta, dc.as<float>(), kLeading, kStride, 2) == CUBLAS_STATUS_SUCCESS);
  copy_to_host(c.data(), dc.data(), dc.size(), stream);
  stream.synchronize();
  const auto at = [](const std::vector<float>& x, int item, int row, int column) {
    return static_cast<double>(
        x[static_cast<std::size_t>(item * kStride + column * kLeading + row)]);
  };
  for (int item = 0; item < 2; ++item) {
    for (int i = 0; i < kM; ++i) {
      for (int j = 0; j < kN; ++j) {
        double sum = 0;
        for (int k = 0; k < kK; ++k) {
          sum += (ta ? at(a, item, k, i) : at(a, item, i, k)) *
                 (tb ? at(b, item, j, k) : at(b, item, k, j));
        }
        CHECK(at(c, item, i, j) == Approx(2.0 * sum + static_cast<double>(beta)).margin(1e-5));
      }
    }
  }
}

TEST_CASE("cublas: knows where its matrices end", "[unit]") {
  const Emulated emulated;
  const Stream stream(0);
  const Handle handle(stream);
  const float one = 1.0F;
  const float zero = 0.0F;
  const DeviceBuffer a(0, 5 * 3 * sizeof(float));
  const DeviceBuffer b(0, 3 * 7 * sizeof(float));
  const DeviceBuffer c(0, 5 * 7 * sizeof(float));
  const auto product = [&](int lda, int k, const float* from) {
    return cublasSgemm(handle.handle, CUBLAS_OP_N, CUBLAS_OP_N, kM, kN, k, &one, from, lda,
                       b.as<float>(), kK, &zero, c.as<float>(), kM);
  };
  CHECK(product(5, 3, a.as<float>()) == CUBLAS_STATUS_SUCCESS);
  CHECK(product(4, 3, a.as<float>()) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK_THAT(cublasGetStatusString(CUBLAS_STATUS_INVALID_VALUE),
             Contains("leading dimension of A"));
  CHECK(product(6, 3, a.as<float>()) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK_THAT(cublasGetStatusString(CUBLAS_STATUS_INVALID_VALUE), Contains("A reaches 8 bytes"));
  CHECK(product(5, 3, &one) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(product(5, 3, a.as<float>() + 1) == CUBLAS_STATUS_INVALID_VALUE);
}

TEST_CASE("cublas: takes 16-bit operands", "[unit]") {
  const Emulated emulated;
  const Stream stream(0);
  const Handle handle(stream);
  const float one = 1.0F;
  const float zero = 0.0F;
  const DeviceBuffer a(0, 4);
  const DeviceBuffer c(0, 4);
  const __half halves[2] = {__float2half_rn(1.5F), __float2half_rn(-2.0F)};
  copy_to_device(a.data(), halves, sizeof(halves), stream);
  REQUIRE(cublasGemmEx(handle.handle, CUBLAS_OP_T, CUBLAS_OP_N, 1, 1, 2, &one, a.data(), CUDA_R_16F,
                       2, a.data(), CUDA_R_16F, 2, &zero, c.data(), CUDA_R_32F, 1,
                       CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT) == CUBLAS_STATUS_SUCCESS);
  float result = 0;
  copy_to_host(&result, c.data(), sizeof(float), stream);
  stream.synchronize();
  CHECK(result == 6.25F);
}

}  // namespace ps::kernels
