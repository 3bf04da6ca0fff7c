// The GPU's convolutions and fully connected layers against the CPU's, and gradients against
// differences.
#include <vector>

#include "kernels/backend.h"
#include "kernels/backend_pair.h"
#include "kernels/convolution_math.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

constexpr double kTolerance = 1e-5;

struct ConvolutionSizes {
  std::int64_t x;
  std::int64_t y;
  std::int64_t weights;
};

ConvolutionSizes sizes_of(const Convolution& s) {
  return {s.batch * s.channels * s.height * s.width,
          s.batch * s.out_channels * s.out_height() * s.out_width(),
          s.out_channels * convolution_taps(s)};
}

Convolution with_workspace(Convolution shape, const Backend& backend, Arrays* arrays) {
  shape.workspace = arrays->workspace(backend.convolution_workspace(shape));
  return shape;
}

void compare_convolutions(const Convolution& shape, std::int64_t shift) {
  const ConvolutionSizes sizes = sizes_of(shape);
  const auto x = random_floats(sizes.x, 1);
  const auto dy = random_floats(sizes.y, 2);
  const auto weights = random_floats(sizes.weights, 3, -0.2, 0.2);
  compare_backends(
      kTolerance,
      [&](Backend& backend, Arrays& arrays) {
        const Convolution s = with_workspace(shape, backend, &arrays);
        const float* in = arrays.in(x);
        const float* slope = arrays.in(dy);
        const float* w = arrays.in(weights);
        backend.convolve(s, in, w, arrays.out(sizes.y));
        backend.convolve_backward_data(s, slope, w, arrays.out(sizes.x));
        backend.convolve_backward_weights(s, in, slope, arrays.out(sizes.weights));
      },
      shift);
}

}  // namespace

TEST_CASE("backend: convolutions of all strides, paddings and kernels", "[unit]") {
  const std::int64_t kernel = GENERATE(1, 2, 3, 5);
  const std::int64_t stride = GENERATE(1, 2, 3);
  const std::int64_t padding = GENERATE(0, 1, 2);
  compare_convolutions({.batch = 2,
                        .channels = 3,
                        .height = 7,
                        .width = 9,
                        .out_channels = 5,
                        .kernel = kernel,
                        .stride = stride,
                        .padding = padding},
                       0);
}

TEST_CASE("backend: convolutions of one and of several tiles", "[unit]") {
  const std::int64_t shift = GENERATE(0, 1);
  const Convolution shape =
      GENERATE(Convolution{.batch = 1, .channels = 1, .height = 1, .width = 1, .out_channels = 1},
               Convolution{1, 7, 8, 8, 33, 3, 1, 1}, Convolution{3, 5, 6, 8, 70, 3, 1, 1},
               Convolution{1, 65, 12, 12, 9, 3, 2, 1}, Convolution{2, 3, 16, 16, 130, 1, 2, 0},
               Convolution{2, 34, 5, 5, 67, 1, 1, 0}, Convolution{1, 4, 8, 8, 4, 7, 1, 3});
  compare_convolutions(shape, shift);
}

TEST_CASE("backend: convolutions whose gradient of the weights is cut into slices", "[unit]") {
  const Convolution shape =
      GENERATE(Convolution{3, 2, 16, 17, 3, 3, 1, 1}, Convolution{5, 3, 13, 13, 40, 1, 1, 0});
  compare_convolutions(shape, 0);
}

TEST_CASE("backend: convolutions in groups, of one channel and of more", "[unit]") {
  const Convolution shape =
      GENERATE(Convolution{2, 6, 7, 5, 6, 3, 1, 1, 6}, Convolution{2, 6, 7, 5, 12, 3, 2, 1, 6},
               Convolution{1, 8, 6, 6, 4, 5, 1, 2, 4}, Convolution{2, 10, 6, 6, 14, 3, 1, 1, 2},
               Convolution{2, 10, 6, 6, 14, 1, 1, 0, 2}, Convolution{2, 12, 5, 5, 10, 3, 3, 0, 2});
  compare_convolutions(shape, 0);
}

TEST_CASE("backend: a convolution's largest tiles", "[unit]") {
  // Enough of them for every multiprocessor, and the last quarter of the rows begun.
  const Convolution shape{5, 2, 65, 64, 193, 2, 1, 0};
  const ConvolutionSizes sizes = sizes_of(shape);
  const auto x = random_floats(sizes.x, 1);
  const auto weights = random_floats(sizes.weights, 3);
  compare_backends(kTolerance, [&](Backend& backend, Arrays& arrays) {
    backend.convolve(with_workspace(shape, backend, &arrays), arrays.in(x), arrays.in(weights),
                     arrays.out(sizes.y));
  });
}

TEST_CASE("backend: a convolution of no images", "[unit]") {
  const std::int64_t groups = GENERATE(1, 3);
  compare_convolutions(
      {.channels = 3, .height = 4, .width = 4, .out_channels = 3, .kernel = 3, .groups = groups},
      0);
}

TEST_CASE("backend: fully connected layers", "[unit]") {
  const Linear shape = GENERATE(Linear{1, 1, 1}, Linear{3, 7, 5}, Linear{33, 130, 67},
                                Linear{257, 3, 10}, Linear{0, 4, 6});
  const std::int64_t shift = GENERATE(0, 1);
  const auto x = random_floats(shape.batch * shape.inputs, 1);
  const auto dy = random_floats(shape.batch * shape.outputs, 2);
  const auto weights = random_floats(shape.outputs * shape.inputs, 3);
  const auto bias = random_floats(shape.outputs, 4);
  compare_backends(
      kTolerance,
      [&](Backend& backend, Arrays& arrays) {
        Linear linear = shape;
        linear.workspace = arrays.workspace(backend.linear_workspace(shape));
        const float* in = arrays.in(x);
        const float* slope = arrays.in(dy);
        const float* w = arrays.in(weights);
        const auto outputs = static_cast<std::int64_t>(dy.size());
        const auto count = static_cast<std::int64_t>(weights.size());
        backend.linear(linear, in, w, arrays.in(bias), arrays.out(outputs));
        backend.linear(linear, in, w, nullptr, arrays.out(outputs));
        backend.linear_backward_data(linear, slope, w,
                                     arrays.out(static_cast<std::int64_t>(x.size())));
        backend.linear_backward_weights(linear, in, slope, arrays.out(count),
                                        arrays.out(shape.outputs));
        backend.linear_backward_weights(linear, in, slope, arrays.out(count), nullptr);
      },
      shift);
}

namespace {

// A convolution, batch normalization with SiLU behind it, and as a loss the sum of the outputs,
// each times a number of its own. All on the GPU.
class SmallNetwork {
 public:
  SmallNetwork() {
    gamma_ = random_floats(kShape.out_channels, 5, 0.5, 1.5);
    beta_ = random_floats(kShape.out_channels, 6);
    factors_ = random_floats(sizes_of(kShape).y, 7);
  }

  struct Gradients {
    std::vector<float> x;
    std::vector<float> weights;
  };

  double loss(const std::vector<float>& x, const std::vector<float>& weights) {
    Arrays arrays(*gpu_, 0);
    run(&arrays, x, weights);
    const auto y = arrays.results().front();
    double loss = 0.0;
    for (std::size_t i = 0; i < y.size(); ++i) loss += double{y[i]} * double{factors_[i]};
    return loss;
  }
  Gradients gradients(const std::vector<float>& x, const std::vector<float>& weights) {
    Arrays arrays(*gpu_, 0);
    const Forward forward = run(&arrays, x, weights);
    const ConvolutionSizes sizes = sizes_of(kShape);
    float* dy = arrays.workspace(sizes.y);
    gpu_->batch_norm_backward(forward.norm, {.x = forward.inner,
                                             .mean = forward.mean,
                                             .variance = forward.variance,
                                             .dy = arrays.in(factors_),
                                             .dx = dy,
                                             .dgamma = arrays.workspace(kShape.out_channels),
                                             .dbeta = arrays.workspace(kShape.out_channels)});
    gpu_->convolve_backward_data(forward.shape, dy, forward.weights, arrays.out(sizes.x));
    gpu_->convolve_backward_weights(forward.shape, forward.x, dy, arrays.out(sizes.weights));
    auto results = arrays.results();
    return {results[1], results[2]};
  }

  static constexpr Convolution kShape{2, 3, 6, 5, 4, 3, 2, 1};

 private:
  struct Forward {
    Convolution shape;
    BatchNorm norm;
    const float* x;
    const float* weights;
    const float* inner;
    const float* mean;
    const float* variance;
  };

  Forward run(Arrays* arrays, const std::vector<float>& x, const std::vector<float>& weights) {
    const std::int64_t plane = kShape.out_height() * kShape.out_width();
    const std::int64_t outputs = sizes_of(kShape).y;
    float* inner = arrays->workspace(outputs);
    float* mean = arrays->workspace(kShape.out_channels);
    float* variance = arrays->workspace(kShape.out_channels);
    const Forward f{with_workspace(kShape, *gpu_, arrays),
                    {.batch = kShape.batch,
                     .channels = kShape.out_channels,
                     .plane = plane,
                     .gamma = arrays->in(gamma_),
                     .beta = arrays->in(beta_),
                     .silu = true},
                    arrays->in(x),
                    arrays->in(weights),
                    inner,
                    mean,
                    variance};
    gpu_->convolve(f.shape, f.x, f.weights, inner);
    gpu_->batch_norm_training(f.norm, inner, arrays->out(outputs), mean, variance);
    return f;
  }

  std::unique_ptr<Backend> gpu_ = cuda_backend(0);
  std::vector<float> gamma_;
  std::vector<float> beta_;
  std::vector<float> factors_;
};

// The largest difference of `gradient` from the slopes of `loss` over its values, of every third.
template <class Loss>
double worst_slope_error(std::vector<float> values,
                         const std::vector<float>& gradient,
                         const Loss& loss) {
  constexpr float kStep = 0.004F;
  double worst = 0.0;
  for (std::size_t i = 0; i < values.size(); i += 3) {
    const float middle = values[i];
    values[i] = middle + kStep;
    const double above = loss(values);
    values[i] = middle - kStep;
    const double below = loss(values);
    values[i] = middle;
    const double slope = (above - below) / (2.0 * double{kStep});
    worst = std::max(worst, std::abs(slope - double{gradient[i]}) / std::max(1.0, std::abs(slope)));
  }
  return worst;
}

}  // namespace

TEST_CASE("backend: gradients through a convolution and its normalization are slopes", "[unit]") {
  const TestDevice device;
  if (!TestDevice::there()) return;
  SmallNetwork network;
  const ConvolutionSizes sizes = sizes_of(SmallNetwork::kShape);
  const auto x = random_floats(sizes.x, 1);
  const auto weights = random_floats(sizes.weights, 2);
  const auto gradients = network.gradients(x, weights);
  REQUIRE(worst_slope_error(x, gradients.x, [&](const auto& moved) {
            return network.loss(moved, weights);
          }) < 2e-3);
  REQUIRE(worst_slope_error(weights, gradients.weights,
                            [&](const auto& moved) { return network.loss(x, moved); }) < 2e-3);
}

}  // namespace ps::kernels
