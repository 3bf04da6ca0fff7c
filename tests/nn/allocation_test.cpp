// Counts what a step allocates. Replaces the whole program's operator new for it.
// gcc pairs free() with the operator new that this file replaces and takes it for the library's.
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include <ps/nn/nn.h>

#include "nn/network.h"
#include "support/catch.h"

namespace {

std::atomic<long> allocations{0};

void* checked(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t bytes) {
  ++allocations;
  return checked(std::malloc(bytes == 0 ? 1 : bytes));
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  ++allocations;
  void* memory = nullptr;
  // Not aligned_alloc: it wants a rounded size, which would hide overruns from AddressSanitizer.
  if (posix_memalign(&memory, static_cast<std::size_t>(alignment), bytes) != 0) memory = nullptr;
  return checked(memory);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace ps::nn {

TEST_CASE("nn: a prepared graph allocates nothing", "[unit]") {
  Network network(every_layer(), 3, 5);
  const auto images = random_values(5 * 128, 4);
  const std::vector<std::int32_t> labels{0, 1, 2, 0, 1};
  std::size_t calls = 0;
  const GradientReady ready = [&calls](std::size_t) { ++calls; };
  const long before = allocations;
  for (const std::size_t batch : {5U, 2U, 5U}) {
    const auto part = std::span(images).first(batch * 128);
    network.graph.forward_backward(part, std::span(labels).first(batch), ready);
    network.graph.evaluate(part, std::span(labels).first(batch));
  }
  const long after = allocations;
  REQUIRE(after == before);
  REQUIRE(calls == 3 * network.weights.size());
  // The count counts.
  const auto one = std::make_unique<int>(1);
  REQUIRE(allocations == before + 1);
}

TEST_CASE("nn: a prepared graph of joined heads allocates nothing", "[unit]") {
  Network network(pyramid(), 3, 4);
  const auto images = random_values(4 * 128, 4);
  std::vector<float> slopes(network.graph.forward(images).begin(),
                            network.graph.forward(images).end());
  const long before = allocations;
  for (const std::size_t batch : {4U, 1U}) {
    const auto part = std::span(images).first(batch * 128);
    network.graph.forward_training(part);
    network.graph.backward(std::span(slopes).first(batch * slopes.size() / 4), {});
  }
  const long after = allocations;
  REQUIRE(after == before);
}

TEST_CASE("detection loss: no more targets than before, no allocation", "[unit]") {
  const bool anchor_free = GENERATE(false, true);
  DetectionHead head{.classes = 3, .levels = {{8, 8, 8, {{10, 13}, {33, 23}}}}};
  if (anchor_free) head.levels[0].anchors.clear();
  DetectionCriterion criterion(head, default_loss_options(head), 4);
  const std::vector<float> output = random_values(4 * head.size(), 5);
  std::vector<float> gradient(output.size());
  std::vector<Target> targets;
  for (int i = 0; i < 12; ++i)
    targets.push_back({i % 4, i % 3, .05F * static_cast<float>(i), .5F, .3F, .2F});
  // The first step finds few cells (anchor-free: none), later ones many, then all in one image.
  const std::vector<float> none(output.size(), NAN);
  criterion.run(none, 4, targets, gradient);
  const long before = allocations;
  const DetectionLoss loss = criterion.run(output, 4, targets, gradient);
  criterion.run(output, 4, std::span(targets).first(5), {});
  for (Target& target : targets) target.image = 2;
  const DetectionLoss crowded = criterion.run(output, 4, targets, gradient);
  const long after = allocations;
  REQUIRE(after == before);
  REQUIRE(loss.positives > 0);
  REQUIRE(crowded.positives > 0);
}

}  // namespace ps::nn
