// Convolution against seven nested loops in float64, over odd shapes.
#include "kernels/convolution.h"

#include <vector>

#include "kernels/reference.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

std::int64_t weight_count(const Convolution& s) {
  return s.out_channels * s.channels / s.groups * s.kernel * s.kernel;
}

// Calls visit(index into x, into weights, into y) for every product that the convolution sums.
template <class Visit>
void for_products(const Convolution& s, const Visit& visit) {
  const std::int64_t rows = s.out_height();
  const std::int64_t columns = s.out_width();
  const std::int64_t inputs = s.channels / s.groups;
  const std::int64_t outputs = s.out_channels / s.groups;
  for (std::int64_t n = 0; n < s.batch; ++n) {
    for (std::int64_t out = 0; out < s.out_channels; ++out) {
      for (std::int64_t pixel = 0; pixel < rows * columns; ++pixel) {
        for (std::int64_t tap = 0; tap < inputs * s.kernel * s.kernel; ++tap) {
          const std::int64_t in = tap / (s.kernel * s.kernel);
          const std::int64_t row =
              pixel / columns * s.stride - s.padding + tap / s.kernel % s.kernel;
          const std::int64_t column = pixel % columns * s.stride - s.padding + tap % s.kernel;
          if (row < 0 || row >= s.height || column < 0 || column >= s.width) continue;
          const std::int64_t channel = out / outputs * inputs + in;
          visit(static_cast<std::size_t>(((n * s.channels + channel) * s.height + row) * s.width +
                                         column),
                static_cast<std::size_t>(out * inputs * s.kernel * s.kernel + tap),
                static_cast<std::size_t>((n * s.out_channels + out) * rows * columns + pixel));
        }
      }
    }
  }
}

Convolution any_shape() {
  return GENERATE(
      Convolution{.batch = 1, .channels = 1, .height = 1, .width = 1, .out_channels = 1},
      Convolution{.batch = 2, .channels = 3, .height = 5, .width = 7, .out_channels = 5},
      Convolution{.batch = 2,
                  .channels = 3,
                  .height = 9,
                  .width = 6,
                  .out_channels = 4,
                  .kernel = 3,
                  .padding = 1},
      Convolution{.batch = 1,
                  .channels = 2,
                  .height = 11,
                  .width = 8,
                  .out_channels = 3,
                  .kernel = 3,
                  .stride = 2,
                  .padding = 1},
      Convolution{.batch = 1,
                  .channels = 2,
                  .height = 13,
                  .width = 17,
                  .out_channels = 2,
                  .kernel = 5,
                  .stride = 3,
                  .padding = 2},
      Convolution{.batch = 2,
                  .channels = 4,
                  .height = 7,
                  .width = 5,
                  .out_channels = 6,
                  .kernel = 3,
                  .padding = 1,
                  .groups = 2},
      Convolution{.batch = 1,
                  .channels = 6,
                  .height = 6,
                  .width = 6,
                  .out_channels = 6,
                  .kernel = 3,
                  .stride = 2,
                  .padding = 1,
                  .groups = 6},
      Convolution{.batch = 1,
                  .channels = 2,
                  .height = 3,
                  .width = 2,
                  .out_channels = 2,
                  .kernel = 2,
                  .padding = 3},  // windows that see padding only
      Convolution{.batch = 1,
                  .channels = 3,
                  .height = 4,
                  .width = 4,
                  .out_channels = 2,
                  .kernel = 1,
                  .stride = 2},
      // Several blocks of rows, the last one shorter: direct ...
      Convolution{.batch = 2,
                  .channels = 40,
                  .height = 27,
                  .width = 91,
                  .out_channels = 5,
                  .kernel = 3,
                  .stride = 2,
                  .padding = 1},
      // ... many images a block ...
      Convolution{.batch = 19,
                  .channels = 3,
                  .height = 6,
                  .width = 10,
                  .out_channels = 2,
                  .kernel = 3,
                  .padding = 1},
      // ... rows of whole registers, more than a chunk of them, 1 x 1 ...
      Convolution{.batch = 3, .channels = 4, .height = 16, .width = 80, .out_channels = 7},
      // ... too large a stride, and too many taps for it.
      Convolution{.batch = 1,
                  .channels = 2,
                  .height = 30,
                  .width = 31,
                  .out_channels = 3,
                  .kernel = 3,
                  .stride = 9,
                  .padding = 1},
      Convolution{.batch = 1,
                  .channels = 80,
                  .height = 31,
                  .width = 33,
                  .out_channels = 3,
                  .kernel = 3,
                  .padding = 1});
}

struct Arrays {
  std::vector<float> x;
  std::vector<float> weights;
  std::vector<float> dy;
  std::vector<float> workspace;
};

Arrays arrays(const Convolution& s) {
  return {.x = random_floats(s.batch * s.channels * s.height * s.width, 1),
          .weights = random_floats(weight_count(s), 2),
          .dy = random_floats(s.batch * s.out_channels * s.out_height() * s.out_width(), 3),
          .workspace =
              std::vector<float>(static_cast<std::size_t>(convolution_workspace_floats(s)), NAN)};
}

}  // namespace

TEST_CASE("convolution: forward and both gradients equal the float64 loops", "[unit]") {
  const Isa isa = any_isa();
  Convolution shape = any_shape();
  Arrays a = arrays(shape);
  shape.workspace = a.workspace.data();
  std::vector<double> y_expected(a.dy.size(), 0.0);
  std::vector<double> dx_expected(a.x.size(), 0.0);
  std::vector<double> dweights_expected(a.weights.size(), 0.0);
  for_products(shape, [&](std::size_t x, std::size_t w, std::size_t y) {
    y_expected[y] += double{a.x[x]} * double{a.weights[w]};
    dx_expected[x] += double{a.dy[y]} * double{a.weights[w]};
    dweights_expected[w] += double{a.dy[y]} * double{a.x[x]};
  });
  CAPTURE(to_string(isa), shape.batch, shape.channels, shape.height, shape.width,
          shape.out_channels, shape.kernel, shape.stride, shape.padding, shape.groups);

  std::vector<float> y(a.dy.size(), NAN);
  convolution(isa).forward(shape, a.x.data(), a.weights.data(), y.data());
  REQUIRE(worst_error(y, y_expected) < 1e-4);

  std::vector<float> dx(a.x.size(), NAN);
  convolution(isa).backward_data(shape, a.dy.data(), a.weights.data(), dx.data());
  REQUIRE(worst_error(dx, dx_expected) < 1e-4);

  std::vector<float> dweights(a.weights.size(), NAN);
  convolution(isa).backward_weights(shape, a.x.data(), a.dy.data(), dweights.data());
  REQUIRE(worst_error(dweights, dweights_expected) < 1e-4);
}

}  // namespace ps::kernels
