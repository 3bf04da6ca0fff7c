// The GPU's pooling, enlarging, padding, joining and classification loss against the CPU's.
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/backend.h"
#include "kernels/backend_pair.h"
#include "support/catch.h"

namespace ps::kernels {

TEST_CASE("backend: maxima and their winners are the CPU's", "[unit]") {
  const MaxPool pool = GENERATE(
      MaxPool{.planes = 0, .height = 4, .width = 4}, MaxPool{.planes = 1, .height = 2, .width = 2},
      MaxPool{.planes = 3, .height = 7, .width = 9}, MaxPool{2, 13, 6, 5, 1, 2},
      MaxPool{2, 7, 8, 3, 2, 1}, MaxPool{2, 9, 9, 2, 1, 0, 1}, MaxPool{2, 8, 10, 3, 3, 0},
      MaxPool{31, 8, 8, 2, 2, 0, 0});
  const std::int64_t inputs = pool.planes * pool.height * pool.width;
  const std::int64_t outputs = pool.planes * pool.out_height() * pool.out_width();
  auto x = random_floats(inputs, 1);
  // Equals, and what is no number.
  for (float& value : x) value = std::round(value * 4.0F);
  if (inputs > 60) x[17] = x[50] = std::numeric_limits<float>::quiet_NaN();
  // Windows without a winner give their gradient to their first pixel.
  for (auto i = static_cast<std::size_t>(inputs / 2); i < x.size(); ++i) {
    x[i] = -std::numeric_limits<float>::infinity();
  }
  const auto dy = random_floats(outputs, 2);
  compare_backends(0.0, [&](Backend& backend, Arrays& arrays) {
    std::int32_t* winners = arrays.out_indices(outputs);
    backend.max_pool(pool, arrays.in(x), arrays.out(outputs), winners);
    backend.max_pool_backward(pool, arrays.in(dy), winners, arrays.out(inputs));
  });
}

TEST_CASE("backend: averages of planes", "[unit]") {
  const std::int64_t planes = GENERATE(0, 1, 31, 257);
  const std::int64_t plane = GENERATE(1, 49, 1031);
  const auto x = random_floats(planes * plane, 1);
  const auto dy = random_floats(planes, 2);
  compare_backends(1e-6, [&](Backend& backend, Arrays& arrays) {
    backend.average_pool(planes, plane, arrays.in(x), arrays.out(planes));
    backend.average_pool_backward(planes, plane, arrays.in(dy), arrays.out(planes * plane));
  });
}

TEST_CASE("backend: enlarged pixels have the CPU's bits", "[unit]") {
  const Upsample shape =
      GENERATE(Upsample{.planes = 0, .height = 2, .width = 2}, Upsample{1, 1, 1},
               Upsample{3, 5, 19}, Upsample{2, 4, 3, 3}, Upsample{2, 4, 35, 1}, Upsample{5, 8, 16});
  const std::int64_t shift = GENERATE(0, 1);
  const std::int64_t inputs = shape.planes * shape.height * shape.width;
  const std::int64_t outputs = inputs * shape.factor * shape.factor;
  const auto x = random_floats(inputs, 1);
  const auto dy = random_floats(outputs, 2);
  compare_backends(
      0.0,
      [&](Backend& backend, Arrays& arrays) {
        backend.upsample(shape, arrays.in(x), arrays.out(outputs));
        backend.upsample_backward(shape, arrays.in(dy), arrays.out(inputs));
      },
      shift);
}

TEST_CASE("backend: padded planes have the CPU's bits", "[unit]") {
  const Pad pad =
      GENERATE(Pad{.planes = 3, .height = 4, .width = 21, .left = 2, .right = 1, .bottom = 3},
               Pad{2, 1, 1}, Pad{0, 3, 3, 1, 1, 1, 1}, Pad{31, 7, 5, 0, 1, 2, 0});
  const std::int64_t inputs = pad.planes * pad.height * pad.width;
  const std::int64_t outputs = pad.planes * pad.out_height() * pad.out_width();
  const auto x = random_floats(inputs, 1);
  const auto dy = random_floats(outputs, 2);
  compare_backends(0.0, [&](Backend& backend, Arrays& arrays) {
    backend.pad(pad, arrays.in(x), arrays.out(outputs));
    backend.pad_backward(pad, arrays.in(dy), arrays.out(inputs));
  });
}

TEST_CASE("backend: parts are joined and taken as on the CPU", "[unit]") {
  const JoinedPart shape =
      GENERATE(JoinedPart{3, 7, 5, 15}, JoinedPart{3, 8, 4, 16}, JoinedPart{1, 1, 0, 1},
               JoinedPart{2, 0, 3, 3}, JoinedPart{0, 4, 4, 8}, JoinedPart{5, 400, 0, 804},
               JoinedPart{2, 4, 2, 8});
  const std::int64_t shift = GENERATE(0, 1);
  const auto part = random_floats(shape.batch * shape.floats, 1);
  const auto whole = random_floats(shape.batch * shape.whole, 2);
  compare_backends(
      0.0,
      [&](Backend& backend, Arrays& arrays) {
        const float* in = arrays.in(part);
        backend.join(shape, in, arrays.inout(whole));
        backend.take(shape, arrays.in(whole), arrays.out(shape.batch * shape.floats));
        backend.join_alone(shape, in, arrays.out(shape.batch * shape.whole));
      },
      shift);
}

namespace {

struct Classified {
  ClassificationLoss loss;
  std::vector<float> gradient;
};

Classified classify(Backend& backend,
                    const SoftmaxCrossEntropy& shape,
                    const std::vector<float>& logits,
                    const std::vector<std::int32_t>& labels,
                    bool in_place) {
  Arrays arrays(backend, 0);
  float* input = in_place ? arrays.inout(logits) : arrays.in(logits);
  float* output = in_place ? input : arrays.out(shape.batch * shape.classes);
  const ClassificationLoss poison{9.0, 9, 9};
  const Memory memory = backend.allocate(sizeof poison);
  backend.upload(&poison, memory.bytes().data(), sizeof poison);
  backend.softmax_cross_entropy(shape, input, arrays.in(labels), output,
                                memory.as<ClassificationLoss>().data());
  Classified result;
  backend.download(memory.bytes().data(), &result.loss, sizeof result.loss);
  backend.wait();
  result.gradient = arrays.results().front();
  return result;
}

void require_same(const Classified& actual, const Classified& expected) {
  REQUIRE(actual.loss.samples == expected.loss.samples);
  REQUIRE(actual.loss.correct == expected.loss.correct);
  REQUIRE(actual.loss.loss == Approx(expected.loss.loss).epsilon(1e-6));
  REQUIRE(worst_error(actual.gradient, expected.gradient) < 1e-6);
}

}  // namespace

TEST_CASE("backend: the classification loss and its gradient", "[unit]") {
  const TestDevice device;
  if (!TestDevice::there()) return;
  const SoftmaxCrossEntropy shape = GENERATE(
      SoftmaxCrossEntropy{1, 1}, SoftmaxCrossEntropy{7, 10}, SoftmaxCrossEntropy{0, 10},
      SoftmaxCrossEntropy{257, 33}, SoftmaxCrossEntropy{3, 1031}, SoftmaxCrossEntropy{2100, 3});
  auto logits = random_floats(shape.batch * shape.classes, 1, -9.0, 9.0);
  for (float& value : logits) value = std::round(value);  // so that some are equal
  std::vector<std::int32_t> labels(static_cast<std::size_t>(shape.batch));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    labels[i] = static_cast<std::int32_t>(i % static_cast<std::size_t>(shape.classes + 1)) -
                (i == 3 ? 9000 : 0);
  }
  const auto cpu = cpu_backend();
  const auto gpu = cuda_backend(0);
  const Classified expected = classify(*cpu, shape, logits, labels, false);
  require_same(classify(*gpu, shape, logits, labels, false), expected);
  require_same(classify(*gpu, shape, logits, labels, true), expected);
}

TEST_CASE("backend: a classification loss without valid samples is zero", "[unit]") {
  const TestDevice device;
  if (!TestDevice::there()) return;
  const SoftmaxCrossEntropy shape{40, 3};
  const std::vector<std::int32_t> labels(40, 3);
  const auto logits = random_floats(120, 1);
  const Classified result = classify(*cuda_backend(0), shape, logits, labels, false);
  REQUIRE(result.loss.samples == 0);
  REQUIRE(result.loss.loss == 0.0);
  REQUIRE(result.loss.correct == 0);
  REQUIRE(result.gradient == std::vector<float>(120, 0.0F));
}

TEST_CASE("backend: a classification loss is computed without a gradient, too", "[unit]") {
  const TestDevice device;
  if (!TestDevice::there()) return;
  const SoftmaxCrossEntropy shape{9, 4};
  const std::vector<float> logits = random_floats(36, 1);
  const std::vector<std::int32_t> labels{0, 1, 2, 3, 4, -1, 0, 1, 2};
  const auto gpu = cuda_backend(0);
  Arrays arrays(*gpu, 0);
  const Memory memory = gpu->allocate(sizeof(ClassificationLoss));
  gpu->softmax_cross_entropy(shape, arrays.in(logits), arrays.in(labels), nullptr,
                             memory.as<ClassificationLoss>().data());
  ClassificationLoss loss;
  gpu->download(memory.bytes().data(), &loss, sizeof loss);
  gpu->wait();
  const Classified expected = classify(*cpu_backend(), shape, logits, labels, false);
  REQUIRE(loss.samples == 7);
  REQUIRE(loss.loss == Approx(expected.loss.loss).epsilon(1e-6));
}

}  // namespace ps::kernels
