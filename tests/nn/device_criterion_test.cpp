// The detectors' losses on a GPU against the CPU's criterion: gradients to the bit, whatever the
// order of threads.
#include "nn/device_criterion.h"

#include <cmath>
#include <cstring>
#include <vector>

#include <ps/error.h>
#include <ps/nn/detection.h>

#include "base/random.h"
#include "kernels/aligned_loss_math.h"
#include "kernels/bce_math.h"
#include "kernels/gpu_arrays.h"
#include "support/catch.h"

namespace ps::nn {
namespace {

// Sides and sizes that no vector divides; levels of different anchors.
DetectionHead odd_head(std::int64_t classes, bool anchor_free) {
  DetectionHead head{.classes = classes,
                     .levels = {{8, 9, 11, {{16, 30}, {33, 23}}},
                                {16, 5, 6, {{62, 45}}},
                                {32, 3, 3, {{116, 90}, {60, 60}}}}};
  if (anchor_free) {
    for (HeadLevel& level : head.levels) level.anchors.clear();
  }
  return head;
}

std::vector<float> random_output(const DetectionHead& head, std::int64_t batch, Random& random) {
  std::vector<float> output(static_cast<std::size_t>(batch * head.size()));
  for (float& value : output) value = static_cast<float>(random.uniform(-4, 3));
  return output;
}

// Boxes anywhere and of any size, at borders, without area, and many in one place.
std::vector<Target> random_targets(std::int64_t count,
                                   std::int64_t batch,
                                   std::int64_t classes,
                                   Random& random) {
  std::vector<Target> targets;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto part = [&random](double low, double high) {
      return static_cast<float>(random.uniform(low, high));
    };
    const auto below = [&random](std::int64_t bound) {
      const auto number = static_cast<std::int32_t>(random.uniform(0, static_cast<double>(bound)));
      return number < bound ? number : 0;
    };
    Target target{.image = below(batch),
                  .category = below(classes),
                  .x = part(0, 1),
                  .y = part(0, 1),
                  .width = part(.02, .8),
                  .height = part(.02, .8)};
    const double kind = random.uniform(0, 1);
    if (kind < .1) target.x = kind < .05 ? 0.0F : 1.0F;
    if (kind > .1 && kind < .2) target.y = kind < .15 ? 0.0F : 1.0F;
    if (kind > .2 && kind < .25) target.width = 0.0F;
    if (kind > .25 && kind < .3) target.height = 40.0F;
    if (kind > .5) {
      target.image = 0;
      target.x = .52F + part(0, .01);
      target.y = .47F + part(0, .01);
    }
    targets.push_back(target);
  }
  return targets;
}

// A batch's arrays on the device; `shift` floats into their memory.
class Arrays {
 public:
  Arrays(const std::vector<float>& output, std::size_t shift, kernels::StreamView stream)
      : size_(output.size()),
        shift_(shift),
        output_(0, output.size() * sizeof(float)),
        gradient_(0, (output.size() + shift) * sizeof(float)) {
    const std::vector<float> poison(output.size() + shift, NAN);
    kernels::copy_to_device(output_.data(), output.data(), output_.size(), stream);
    kernels::copy_to_device(gradient_.data(), poison.data(), gradient_.size(), stream);
    stream.synchronize();
  }

  [[nodiscard]] const float* output() const { return output_.as<float>(); }
  [[nodiscard]] float* gradient() const { return gradient_.as<float>() + shift_; }
  [[nodiscard]] std::vector<float> read_gradient(kernels::StreamView stream) const {
    std::vector<float> read(size_);
    kernels::copy_to_host(read.data(), gradient(), size_ * sizeof(float), stream);
    stream.synchronize();
    return read;
  }

 private:
  std::size_t size_;
  std::size_t shift_;
  kernels::DeviceBuffer output_;
  kernels::DeviceBuffer gradient_;
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Sums over many cells are float on the CPU, in lanes: they differ more.
void require_close(const DetectionLoss& device, const DetectionLoss& host, bool anchor_free) {
  constexpr double kExact = 1e-12;
  constexpr double kFloat = 1e-6;
  REQUIRE(device.positives == host.positives);
  REQUIRE(device.box == Approx(host.box).epsilon(kExact));
  REQUIRE(device.dfl == Approx(host.dfl).epsilon(kExact));
  REQUIRE(device.category == Approx(host.category).epsilon(anchor_free ? kFloat : kExact));
  REQUIRE(device.objectness == Approx(host.objectness).epsilon(kFloat));
  REQUIRE(device.total == Approx(host.total).epsilon(kFloat));
}

// Several batches with one criterion, in several orders of threads.
void require_same(const DetectionHead& head,
                  const DetectionLossOptions& options,
                  const std::vector<std::int64_t>& counts) {
  constexpr std::int64_t kBatch = 3;
  const kernels::Gpu gpu;
  if (!gpu) return;
  const kernels::Stream stream(0);
  DetectionCriterion host(head, options, kBatch);
  const auto criterion = device_criterion(head, options, kBatch, stream);
  Random random(static_cast<std::uint64_t>(head.classes));
  for (const std::int64_t count : counts) {
    const std::int64_t batch = count == 1 ? 1 : kBatch;
    const std::vector<float> output = random_output(head, batch, random);
    const std::vector<Target> targets = random_targets(count, batch, head.classes, random);
    std::vector<float> expected(output.size(), NAN);
    const DetectionLoss loss = host.run(output, batch, targets, expected);
    double total = 0.0;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      CAPTURE(count, batch, seed);
      kernels::another_order(seed);
      const Arrays arrays(output, seed == 2 ? 1 : 0, stream);
      criterion->run(arrays.output(), batch, targets, arrays.gradient());
      const DetectionLoss found = criterion->loss();
      REQUIRE(same_bits(arrays.read_gradient(stream), expected));
      require_close(found, loss, head.anchor_free());
      if (seed > 1) REQUIRE(found.total == total);
      total = found.total;
    }
    criterion->run(Arrays(output, 0, stream).output(), batch, targets, nullptr);
    REQUIRE(criterion->loss().total == total);
  }
}

const std::vector<std::int64_t> kFewAndMany{24, 0, 1, 36};

}  // namespace

TEST_CASE("device criterion: heads with anchors have the CPU's gradients", "[unit]") {
  const std::int64_t classes = GENERATE(1, 37);
  DetectionLossOptions options;
  SECTION("plain") {}
  SECTION("focal") {
    options.focal_gamma = 1.5F;
    options.label_smoothing = .1F;
  }
  SECTION("weighted") {
    options.category_weight = 2.0F;
    options.objectness_weight = .5F;
    options.label_smoothing = .2F;
    options.anchor_threshold = 8.0F;
    options.balance = {1.0F, .5F, .25F};
  }
  CAPTURE(classes);
  require_same(odd_head(classes, false), options, kFewAndMany);
}

TEST_CASE("device criterion: anchor-free heads have the CPU's gradients", "[unit]") {
  const std::int64_t classes = GENERATE(1, 37);
  const DetectionHead head = odd_head(classes, true);
  CAPTURE(classes);
  require_same(head, default_loss_options(head), kFewAndMany);
}

TEST_CASE("device criterion: crowds in one cell, and more boxes than there was memory for",
          "[unit]") {
  // Up to half of them are in one cell: more than a warp sorts at a time.
  DetectionHead head{.classes = 2, .levels = {{16, 3, 5, {{30, 20}}}}};
  if (GENERATE(false, true)) head.levels[0].anchors.clear();
  require_same(head, default_loss_options(head), {3, 180, 90});
}

TEST_CASE("device criterion: sums over all cells are float64", "[unit]") {
  const bool anchor_free = GENERATE(false, true);
  const DetectionHead head = odd_head(5, anchor_free);
  const kernels::Gpu gpu;
  if (!gpu) return;
  const kernels::Stream stream(0);
  Random random(5);
  const std::vector<float> output = random_output(head, 2, random);
  double expected = 0.0;
  const float* logits = output.data();
  for (int image = 0; image < 2; ++image) {
    for (std::size_t i = 0; i < head.levels.size(); ++i) {
      const HeadLevel& level = head.levels[i];
      const std::int64_t plane = level.cells();
      const std::int64_t channels = head.channels(level);
      const auto anchors = static_cast<std::int64_t>(level.anchors.size());
      const std::vector<double> balance{4.0, 1.0, 0.4};
      for (std::int64_t at = 0; at < channels * plane; ++at) {
        const std::int64_t channel = at / plane;
        if (anchor_free && channel >= kernels::kBoxChannels) {
          expected += double{kernels::against_zero(logits[at]).loss};
        }
        if (!anchor_free && channel % 10 == 4) {
          expected += double{kernels::BinaryCrossEntropy{}(logits[at], 0.0F).loss} * balance[i] /
                      static_cast<double>(2 * anchors * plane);
        }
      }
      logits += channels * plane;
    }
  }
  const auto criterion = device_criterion(head, default_loss_options(head), 2, stream);
  criterion->run(Arrays(output, 0, stream).output(), 2, {}, nullptr);
  const DetectionLoss loss = criterion->loss();
  REQUIRE((anchor_free ? loss.category : loss.objectness) == Approx(expected).epsilon(1e-12));
}

TEST_CASE("device criterion: an output that is not finite makes the loss so", "[unit]") {
  const DetectionHead head = odd_head(2, GENERATE(false, true));
  const kernels::Gpu gpu;
  if (!gpu) return;
  const kernels::Stream stream(0);
  const std::vector<float> output(static_cast<std::size_t>(head.size()), NAN);
  const auto criterion = device_criterion(head, default_loss_options(head), 1, stream);
  const std::vector<Target> targets{{0, 1, .4F, .5F, .5F, .6F}};
  criterion->run(Arrays(output, 0, stream).output(), 1, targets, nullptr);
  REQUIRE(std::isnan(criterion->loss().total));
}

TEST_CASE("device criterion: refuses what the CPU's refuses", "[unit]") {
  const DetectionHead head = odd_head(2, GENERATE(false, true));
  const kernels::Gpu gpu;
  if (!gpu) return;
  const kernels::Stream stream(0);
  REQUIRE_THROWS_AS(device_criterion(head, default_loss_options(head), 0, stream), Error);
  const auto criterion = device_criterion(head, default_loss_options(head), 1, stream);
  const std::vector<float> output(static_cast<std::size_t>(head.size()));
  const Arrays arrays(output, 0, stream);
  const std::vector<Target> wrong{{0, 2, .5F, .5F, .1F, .1F}};
  REQUIRE_THROWS_AS(criterion->run(arrays.output(), 1, wrong, nullptr), Error);
  REQUIRE_THROWS_AS(criterion->run(arrays.output(), 2, {}, nullptr), Error);
}

#if defined(PS_CUDA_EMULATED)
TEST_CASE("device criterion: a step neither allocates nor waits", "[unit]") {
  const DetectionHead head = odd_head(2, GENERATE(false, true));
  const kernels::Gpu gpu;
  if (!gpu) return;
  const kernels::Stream stream(0);
  Random random(3);
  const std::vector<float> output = random_output(head, 2, random);
  const std::vector<Target> targets = random_targets(20, 2, 2, random);
  const auto criterion = device_criterion(head, default_loss_options(head), 2, stream);
  const Arrays arrays(output, 0, stream);
  const cuda_host::Counters before = cuda_host::counters();
  criterion->run(arrays.output(), 2, targets, arrays.gradient());
  criterion->run(arrays.output(), 2, targets, arrays.gradient());
  const cuda_host::Counters after = cuda_host::counters();
  REQUIRE(after.allocations == before.allocations);
  REQUIRE(after.stream_waits == before.stream_waits);
  REQUIRE(after.device_waits == before.device_waits);
  REQUIRE(after.launches - before.launches <= 2 * 7);
}
#endif

}  // namespace ps::nn
