// A GPU's memory, streams and events, as far as one GPU shows them; tests/kernels/device_test.cpp
// has the rest, on several emulated ones.
#include <algorithm>
#include <cstddef>
#include <vector>

#include "kernels/gpu_arrays.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

constexpr std::size_t kBytes = std::size_t{8} << 20;

TEST_CASE("gpu: memory is zeroed and aligned, and pinned memory goes there and back", "[gpu]") {
  const Gpu gpu;
  if (!gpu) return;
  const Stream stream(0);
  const DeviceBuffer there(0, kBytes);
  CHECK(reinterpret_cast<std::uintptr_t>(there.data()) % 256 == 0);
  const PinnedBuffer from(kBytes);
  const PinnedBuffer to(kBytes);
  auto* const sent = from.as<unsigned char>();
  auto* const back = to.as<unsigned char>();
  std::fill_n(back, kBytes, 1);
  copy_to_host(back, there.data(), kBytes, stream);
  stream.synchronize();
  CHECK(std::count(back, back + kBytes, 0) == static_cast<std::ptrdiff_t>(kBytes));
  for (std::size_t i = 0; i < kBytes; ++i) sent[i] = static_cast<unsigned char>(i * 7 + (i >> 8));
  copy_to_device(there.data(), sent, kBytes, stream);
  copy_to_host(back, there.data(), kBytes, stream);
  stream.synchronize();
  CHECK(std::equal(back, back + kBytes, sent));
}

TEST_CASE("gpu: a stream waits for another's event", "[gpu]") {
  const Gpu gpu;
  if (!gpu) return;
  const Stream first(0);
  const Stream second(0);
  const DeviceBuffer a(0, kBytes);
  const DeviceBuffer b(0, kBytes);
  const PinnedBuffer back(kBytes);
  Event copied(0);
  for (int round = 1; round <= 20; ++round) {
    const std::vector<std::byte> values(kBytes, static_cast<std::byte>(round));
    copy_to_device(a.data(), values.data(), kBytes, first);
    copy_on_device(b.data(), a.data(), kBytes, first);
    copied.record(first);
    second.view().wait(copied);
    copy_to_host(back.as<std::byte>(), b.data(), kBytes, second);
    second.synchronize();
    CHECK(copied.done());
    REQUIRE(std::equal(values.begin(), values.end(), back.as<std::byte>()));
  }
}

TEST_CASE("gpu: what is registered is pinned until it goes", "[gpu]") {
  const Gpu gpu;
  if (!gpu) return;
  const std::vector<std::byte> memory(kBytes);
  {
    const HostRegistration registration(memory);
    CHECK(registration.pinned());
    CHECK_FALSE(HostRegistration(memory).pinned());  // it is already
  }
  CHECK(HostRegistration(memory).pinned());
  CHECK_NOTHROW(Stream(0));  // the refusal is no later call's error
}

}  // namespace
}  // namespace ps::kernels
