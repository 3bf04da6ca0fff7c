// Counts what a step allocates. Replaces the whole program's operator new for it.
// gcc pairs free() with the operator new that this file replaces and takes it for the library's.
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#include <atomic>
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

}  // namespace ps::nn
