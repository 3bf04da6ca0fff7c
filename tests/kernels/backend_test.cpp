// The GPU's operations against the CPU's: memory, elementwise functions, and reductions over
// channels.
#include "kernels/backend.h"

#include <vector>

#include "kernels/backend_pair.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

constexpr double kTolerance = 1e-5;

}  // namespace

TEST_CASE("backend: a GPU's memory is zeroed, and what is copied arrives", "[unit]") {
  const TestDevice device;
  if (!TestDevice::there()) return;
  const auto gpu = make_backend({.kind = DeviceKind::kCuda});
  REQUIRE(gpu->device() == Device{.kind = DeviceKind::kCuda});
  const std::vector<float> values = random_floats(257, 1);
  const Memory memory = gpu->allocate(4 * 257 * sizeof(float));
  REQUIRE(memory.size() == 4 * 257 * sizeof(float));
  float* first = memory.as<float>().data();
  std::vector<float> seen(values.size(), 9.0F);
  gpu->download(first, seen.data(), values.size() * sizeof(float));
  gpu->wait();
  REQUIRE(seen == std::vector<float>(values.size(), 0.0F));
  gpu->upload(values.data(), first, values.size() * sizeof(float));
  gpu->copy(first, first + 257, 257);
  gpu->zero(first, 256);
  gpu->copy(first, first + 257, 0);
  gpu->zero(first + 257, 0);
  gpu->upload(nullptr, first, 0);
  gpu->download(first, nullptr, 0);
  gpu->download(first + 257, seen.data(), values.size() * sizeof(float));
  float last = 0.0F;
  gpu->download(first + 256, &last, sizeof last);
  gpu->wait();
  REQUIRE(seen == values);
  REQUIRE(last == values.back());
  REQUIRE(gpu->allocate(0).size() == 0);
}

TEST_CASE("backend: the CPU is a backend like any other", "[unit]") {
  const auto cpu = make_backend({});
  REQUIRE(cpu->device() == Device{});
  const Memory memory = cpu->allocate(8);
  const float value = 2.0F;
  cpu->upload(&value, memory.as<float>().data(), sizeof value);
  cpu->copy(memory.as<float>().data(), memory.as<float>().data() + 1, 1);
  cpu->wait();
  REQUIRE(memory.as<float>()[1] == 2.0F);
}

TEST_CASE("backend: activations have the CPU's bits", "[unit]") {
  const auto kind =
      GENERATE(ActivationKind::kRelu, ActivationKind::kLeakyRelu, ActivationKind::kSilu);
  const std::int64_t count = GENERATE(0, 1, 31, 257, 1031, 4096);
  const std::int64_t shift = GENERATE(0, 1);
  const Activation f{.kind = kind, .slope = 0.1F};
  auto x = random_floats(count, 1, -30.0, 30.0);
  if (count > 4) x = {0.0F, -0.0F, std::numeric_limits<float>::quiet_NaN(), 500.0F, -500.0F};
  x.resize(static_cast<std::size_t>(count), 0.75F);
  const auto dy = random_floats(count, 2);
  compare_backends(
      0.0,
      [&](Backend& backend, Arrays& arrays) {
        const float* in = arrays.in(x);
        const float* slope = arrays.in(dy);
        backend.activate(f, in, arrays.out(count), count);
        backend.activate_backward(f, in, slope, arrays.out(count), count);
        float* place = arrays.inout(x);
        backend.activate(f, place, place, count);
        float* gradient = arrays.inout(dy);
        backend.activate_backward(f, in, gradient, gradient, count);
      },
      shift);
}

TEST_CASE("backend: SiLU has the CPU's bits over its whole range", "[unit]") {
  const std::int64_t count = 20011;
  const auto x = random_floats(count, 3, -100.0, 100.0);
  const auto dy = random_floats(count, 4);
  compare_backends(0.0, [&](Backend& backend, Arrays& arrays) {
    const Activation f{.kind = ActivationKind::kSilu};
    const float* in = arrays.in(x);
    backend.activate(f, in, arrays.out(count), count);
    backend.activate_backward(f, in, arrays.in(dy), arrays.out(count), count);
  });
}

TEST_CASE("backend: sums of two arrays have the CPU's bits, beyond one grid, too", "[unit]") {
  // The last needs more threads than a grid has.
  const std::int64_t count = GENERATE(0, 1, 3, 4, 255, 1031, 4096 * 256 + 777);
  const std::int64_t shift = count < 2000 ? GENERATE(0, 3) : 1;
  const auto a = random_floats(count, 1);
  const auto b = random_floats(count, 2);
  compare_backends(
      0.0,
      [&](Backend& backend, Arrays& arrays) {
        const float* first = arrays.in(a);
        backend.add(first, arrays.in(b), arrays.out(count), count);
        if (count > 2000) return;
        float* place = arrays.inout(b);
        backend.add(first, place, place, count);
      },
      shift);
}

TEST_CASE("backend: multiples of an array have the CPU's bits", "[unit]") {
  const std::int64_t count = GENERATE(0, 1, 3, 4, 255, 1031);
  const std::int64_t shift = GENERATE(0, 3);
  const auto x = random_floats(count, 1);
  compare_backends(
      0.0,
      [&](Backend& backend, Arrays& arrays) {
        backend.scale(arrays.inout(x), count, 1.0F / 1024.0F);
        backend.scale(arrays.inout(x), count, 0.3F);
      },
      shift);
}

TEST_CASE("backend: a bias is added to each channel, and its gradient is their sums", "[unit]") {
  const Bias shape = GENERATE(Bias{0, 3, 4}, Bias{1, 1, 1}, Bias{3, 0, 5}, Bias{37, 67, 1},
                              Bias{300, 5, 1}, Bias{3, 5, 7}, Bias{2, 3, 400}, Bias{2, 1, 9001},
                              Bias{1, 2, 16384}, Bias{1, 130, 6});
  const std::int64_t shift = GENERATE(0, 1);
  const std::int64_t count = shape.batch * shape.channels * shape.plane;
  const auto y = random_floats(count, 1);
  const auto bias = random_floats(shape.channels, 2);
  compare_backends(
      0.0,
      [&](Backend& backend, Arrays& arrays) {
        backend.bias(shape, arrays.in(bias), arrays.inout(y));
      },
      shift);
  compare_backends(
      kTolerance,
      [&](Backend& backend, Arrays& arrays) {
        backend.bias_backward(shape, arrays.in(y), arrays.out(shape.channels));
      },
      shift);
}

namespace {

BatchNorm any_norm() {
  BatchNorm norm = GENERATE(BatchNorm{.batch = 1, .channels = 1, .plane = 2}, BatchNorm{3, 5, 7},
                            BatchNorm{31, 40, 1}, BatchNorm{2, 3, 400}, BatchNorm{2, 1, 4099},
                            BatchNorm{3, 2, 8192}, BatchNorm{2, 67, 3});
  norm.silu = GENERATE(false, true);
  return norm;
}

std::int64_t floats_of(const BatchNorm& norm) {
  return norm.batch * norm.channels * norm.plane;
}

}  // namespace

TEST_CASE("backend: batch normalization in training", "[unit]") {
  const BatchNorm shape = any_norm();
  const std::int64_t shift = GENERATE(0, 1);
  const std::int64_t count = floats_of(shape);
  const auto x = random_floats(count, 1, -2.0, 3.0);
  const auto dy = random_floats(count, 2);
  const auto gamma = random_floats(shape.channels, 3, 0.5, 1.5);
  const auto beta = random_floats(shape.channels, 4);
  compare_backends(
      kTolerance,
      [&](Backend& backend, Arrays& arrays) {
        BatchNorm norm = shape;
        norm.gamma = arrays.in(gamma);
        norm.beta = arrays.in(beta);
        const float* in = arrays.in(x);
        float* mean = arrays.out(shape.channels);
        float* variance = arrays.out(shape.channels);
        backend.batch_norm_training(norm, in, arrays.out(count), mean, variance);
        BatchNormBackward gradient{.x = in, .mean = mean, .variance = variance};
        gradient.dy = arrays.in(dy);
        gradient.dx = arrays.out(count);
        gradient.dgamma = arrays.out(shape.channels);
        gradient.dbeta = arrays.out(shape.channels);
        backend.batch_norm_backward(norm, gradient);
        gradient.dx = nullptr;
        gradient.dgamma = arrays.out(shape.channels);
        gradient.dbeta = arrays.out(shape.channels);
        backend.batch_norm_backward(norm, gradient);
      },
      shift);
}

TEST_CASE("backend: batch normalization works in place where it may", "[unit]") {
  const BatchNorm shape = any_norm();
  const std::int64_t count = floats_of(shape);
  const auto x = random_floats(count, 1, -2.0, 3.0);
  const auto dy = random_floats(count, 2);
  const auto gamma = random_floats(shape.channels, 3, 0.5, 1.5);
  const auto beta = random_floats(shape.channels, 4);
  compare_backends(kTolerance, [&](Backend& backend, Arrays& arrays) {
    BatchNorm norm = shape;
    norm.gamma = arrays.in(gamma);
    norm.beta = arrays.in(beta);
    float* mean = arrays.out(shape.channels);
    float* variance = arrays.out(shape.channels);
    float* place = arrays.inout(x);
    backend.batch_norm_training(norm, place, place, mean, variance);
    float* evaluated = arrays.inout(x);
    backend.batch_norm_evaluation(norm, evaluated, evaluated, mean, variance);
    float* gradient = arrays.inout(dy);
    backend.batch_norm_backward(norm, {.x = arrays.in(x),
                                       .mean = mean,
                                       .variance = variance,
                                       .dy = gradient,
                                       .dx = gradient,
                                       .dgamma = arrays.out(shape.channels),
                                       .dbeta = arrays.out(shape.channels)});
  });
}

TEST_CASE("backend: batch normalization by given statistics has the CPU's bits", "[unit]") {
  const BatchNorm shape = any_norm();
  const std::int64_t shift = GENERATE(0, 2);
  const std::int64_t count = floats_of(shape);
  const auto x = random_floats(count, 1, -2.0, 3.0);
  const auto mean = random_floats(shape.channels, 2);
  const auto variance = random_floats(shape.channels, 3, 0.1, 2.0);
  const auto gamma = random_floats(shape.channels, 4, 0.5, 1.5);
  compare_backends(
      0.0,
      [&](Backend& backend, Arrays& arrays) {
        BatchNorm norm = shape;
        norm.gamma = arrays.in(gamma);
        norm.beta = arrays.in(mean);
        backend.batch_norm_evaluation(norm, arrays.in(x), arrays.out(count), arrays.in(mean),
                                      arrays.in(variance));
      },
      shift);
}

TEST_CASE("backend: a variance far smaller than the mean's square is exact", "[unit]") {
  const BatchNorm shape{.batch = 2, .channels = 2, .plane = 5000, .epsilon = 1e-12F};
  auto x = random_floats(floats_of(shape), 1, 1000.0, 1001.0);
  x[0] = 900.0F;  // and an outlier that comes first
  const std::vector<float> ones(2, 1.0F);
  compare_backends(kTolerance, [&](Backend& backend, Arrays& arrays) {
    BatchNorm norm = shape;
    norm.gamma = arrays.in(ones);
    norm.beta = arrays.in(ones);
    backend.batch_norm_training(norm, arrays.in(x), arrays.workspace(floats_of(shape)),
                                arrays.out(2), arrays.out(2));
  });
}

TEST_CASE("backend: running statistics have the CPU's bits", "[unit]") {
  const std::int64_t channels = GENERATE(0, 1, 31, 257);
  const Tracking tracking{.channels = channels, .share = double{0.03F}, .scale = 401.0 / 400.0};
  const auto batch = random_floats(channels, 1);
  const auto running = random_floats(channels, 2);
  compare_backends(0.0, [&](Backend& backend, Arrays& arrays) {
    backend.track(tracking, arrays.in(batch), arrays.in(running), arrays.out(channels));
  });
}

}  // namespace ps::kernels
