// Matrix products on the GPU, and what is made of them in other precisions than float32.
#include <algorithm>
#include <memory>
#include <vector>

#include "kernels/backend_pair.h"
#include "kernels/convolution_cuda.h"
#include "kernels/convolution_math.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

// The error that factors rounded so may cause in a product of `terms` terms of at most 1.
double tolerance_of(Precision precision, std::int64_t terms) {
  const double rounding = precision == Precision::kFp32   ? 1e-7
                          : precision == Precision::kBf16 ? 1.0 / 256
                                                          : 1.0 / 2048;
  return 2.0 * rounding * static_cast<double>(terms);
}

Precision any_precision() {
  return GENERATE(Precision::kFp32, Precision::kTf32, Precision::kBf16, Precision::kFp16);
}

}  // namespace

TEST_CASE("backend: fully connected layers in every precision", "[unit]") {
  const TestDevice device;
  if (!TestDevice::there()) return;
  const Precision precision = any_precision();
  const Linear linear{.batch = 5, .inputs = 37, .outputs = 11};
  const auto x = random_floats(linear.batch * linear.inputs, 1);
  const auto weights = random_floats(linear.outputs * linear.inputs, 2);
  const auto gpu = cuda_backend(0, precision);
  Arrays arrays(*gpu, 0);
  gpu->linear(linear, arrays.in(x), arrays.in(weights), nullptr,
              arrays.out(linear.batch * linear.outputs));
  std::vector<double> expected;
  for (std::int64_t row = 0; row < linear.batch; ++row) {
    for (std::int64_t column = 0; column < linear.outputs; ++column) {
      double total = 0.0;
      for (std::int64_t i = 0; i < linear.inputs; ++i) {
        total += double{x[static_cast<std::size_t>(row * linear.inputs + i)]} *
                 double{weights[static_cast<std::size_t>(column * linear.inputs + i)]};
      }
      expected.push_back(total);
    }
  }
  const double error = worst_error(arrays.results().front(), expected);
  REQUIRE(error < tolerance_of(precision, linear.inputs));
  // That it is the precision that was asked for.
  REQUIRE((precision == Precision::kFp32) == (error < 1e-5));
}

TEST_CASE("backend: convolutions by unrolled input, in every precision", "[unit]") {
  const TestDevice device;
  if (!TestDevice::there()) return;
  const Precision precision = any_precision();
  const Convolution shape =
      GENERATE(Convolution{2, 32, 5, 4, 33, 3, 1, 1}, Convolution{1, 33, 5, 7, 32, 3, 2, 1},
               Convolution{3, 32, 3, 3, 34, 1, 1, 0}, Convolution{2, 64, 4, 4, 66, 2, 2, 0, 2});
  REQUIRE(prefers_columns(shape, precision) == (precision != Precision::kFp32));
  const std::int64_t outputs =
      shape.batch * shape.out_channels * shape.out_height() * shape.out_width();
  const std::int64_t inputs = shape.batch * shape.channels * shape.height * shape.width;
  const std::int64_t count = shape.out_channels * convolution_taps(shape);
  const auto x = random_floats(inputs, 1);
  const auto dy = random_floats(outputs, 2);
  const auto weights = random_floats(count, 3, -0.2, 0.2);
  const auto run = [&](Backend& backend) {
    Arrays arrays(backend, 0);
    Convolution s = shape;
    s.workspace = arrays.workspace(backend.convolution_workspace(s));
    const float* in = arrays.in(x);
    const float* slope = arrays.in(dy);
    const float* w = arrays.in(weights);
    backend.convolve(s, in, w, arrays.out(outputs));
    backend.convolve_backward_data(s, slope, w, arrays.out(inputs));
    backend.convolve_backward_weights(s, in, slope, arrays.out(count));
    return arrays.results();
  };
  const auto expected = run(*cpu_backend());
  const auto actual = run(*cuda_backend(0, precision));
  // Terms of either sign: their errors add up to far less than the most.
  const double terms = std::sqrt(static_cast<double>(convolution_taps(shape)));
  for (std::size_t i = 0; i < 3; ++i) {
    CAPTURE(i);
    REQUIRE(worst_error(actual[i], expected[i]) <
            std::max(1e-5, tolerance_of(precision, static_cast<std::int64_t>(terms))));
  }
}

}  // namespace ps::kernels
