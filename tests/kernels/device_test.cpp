// How users name devices; and memory, streams and events on emulated GPUs.
#include "kernels/device.h"

#include <cstring>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include <ps/device.h>
#include <ps/error.h>

#include "support/catch.h"
#if defined(PS_CUDA_EMULATED)
#include "kernels/emulated.h"
#endif

namespace ps {
namespace {

using Catch::Matchers::Contains;

// The code of what it throws; fails if it does not.
ErrorCode refusal(std::string_view text) {
  try {
    parse_devices(text, nullptr);
  } catch (const Error& error) {
    return error.code();
  }
  FAIL("taken: " << text);
  return ErrorCode::kInternal;
}

}  // namespace

TEST_CASE("parse_devices: the CPU needs nothing, and other texts are refused", "[unit]") {
  CHECK(parse_devices("cpu", nullptr) == std::vector<Device>{{}});
  CHECK(to_string(Device{}) == "cpu");
  CHECK(to_string(Device{DeviceKind::kCuda, 12}) == "cuda:12");
  const auto* const text = GENERATE("", "gpu", "CPU", "cuda:", "cuda:-1", "cuda:+1", "cuda:1,",
                                    "cuda:,1", "cuda: 1", "cuda1", "1.5", "cpu,0", "0 1",
                                    "cuda:99999999999", "cuda:0,cuda:1", "cuda:1,1", "0,0");
  CAPTURE(text);
  CHECK(refusal(text) == ErrorCode::kInvalidArgument);
}

#if !defined(PS_CUDA_EMULATED)

TEST_CASE("parse_devices: a build without CUDA has no GPU", "[unit]") {
  if (kernels::built_with_cuda()) return;
  CHECK(cuda_device_count() == 0);
  CHECK_THAT(why_no_cuda(), Contains("no CUDA"));
  CHECK(parse_devices("auto", nullptr) == std::vector<Device>{{}});
  CHECK(refusal(GENERATE("cuda", "cuda:0", "1", "0,1")) == ErrorCode::kUnavailable);
  CHECK_THROWS_AS(kernels::Stream(0), Error);
  CHECK_THROWS_AS(kernels::DeviceBuffer(0, 1), Error);
  CHECK_FALSE(kernels::HostRegistration(std::span<const std::byte>{}).pinned());
}

#else

TEST_CASE("parse_devices: names GPUs by number, one or several", "[unit]") {
  const kernels::Emulated emulated(3);
  const auto cuda = [](int index) { return Device{DeviceKind::kCuda, index}; };
  std::string note = "old";
  CHECK(parse_devices("auto", &note) == std::vector{cuda(0)});
  CHECK(note.empty());
  CHECK(parse_devices("cuda", nullptr) == std::vector{cuda(0)});
  CHECK(parse_devices("cuda:2", nullptr) == std::vector{cuda(2)});
  CHECK(parse_devices("1", nullptr) == std::vector{cuda(1)});
  CHECK(parse_devices("cuda:2,0", nullptr) == std::vector{cuda(2), cuda(0)});
  CHECK(parse_devices("0,1,2", nullptr) == std::vector{cuda(0), cuda(1), cuda(2)});
  CHECK(refusal("cuda:3") == ErrorCode::kInvalidArgument);
  CHECK_THROWS_WITH(parse_devices("0,3", nullptr), Contains("there are 3"));
  CHECK(cuda_device_count() == 3);
  CHECK(why_no_cuda().empty());
  CHECK_THAT(cuda_device_name(1), Contains("emulated"));
  CHECK_THROWS_AS(cuda_device_name(3), Error);
}

TEST_CASE("parse_devices: without a driver a GPU's work is the CPU's, with a note", "[unit]") {
  const kernels::Emulated emulated(0);
  std::string note;
  CHECK(parse_devices("cuda:1", &note) == std::vector<Device>{{}});
  CHECK_THAT(note, Contains("cuda:1") && Contains("CPU"));
  CHECK(parse_devices("auto", &note) == std::vector<Device>{{}});
  CHECK(note.empty());
  CHECK(cuda_device_count() == 0);
  CHECK_FALSE(why_no_cuda().empty());
}

namespace kernels {
namespace {

std::vector<int> numbers(std::size_t count) {
  std::vector<int> values(count);
  std::iota(values.begin(), values.end(), 1);
  return values;
}

std::vector<int> downloaded(const DeviceBuffer& buffer, StreamView stream) {
  std::vector<int> values(buffer.size() / sizeof(int), -1);
  copy_to_host(values.data(), buffer.data(), buffer.size(), stream);
  stream.synchronize();
  return values;
}

}  // namespace

TEST_CASE("DeviceBuffer: is zeroed, aligned, and moves", "[unit]") {
  const Emulated emulated(2);
  const int device = GENERATE(0, 1);
  const std::size_t count = GENERATE(1U, 31U, 257U);
  const Stream stream(device);
  DeviceBuffer buffer(device, count * sizeof(int));
  CHECK(buffer.size() == count * sizeof(int));
  CHECK(reinterpret_cast<std::uintptr_t>(buffer.data()) % 256 == 0);
  CHECK(downloaded(buffer, stream) == std::vector<int>(count, 0));
  std::byte* const data = buffer.data();
  DeviceBuffer moved(std::move(buffer));
  CHECK(moved.data() == data);
  DeviceBuffer assigned;
  assigned = std::move(moved);
  CHECK(assigned.data() == data);
  CHECK(assigned.size() == count * sizeof(int));
  const auto before = cuda_host::counters();
  { const DeviceBuffer last(std::move(assigned)); }
  CHECK(cuda_host::counters().frees - before.frees == 1);
}

TEST_CASE("DeviceBuffer: one of no bytes is null and takes part in nothing", "[unit]") {
  const Emulated emulated;
  const Stream stream(0);
  const DeviceBuffer buffer(0, 0);
  CHECK(buffer.data() == nullptr);
  copy_to_device(buffer.data(), nullptr, 0, stream);
  copy_on_device(buffer.data(), buffer.data(), 0, stream);
  fill_zero(buffer.data(), 0, stream);
  stream.synchronize();
  CHECK_THROWS_AS(DeviceBuffer(1, 4), Error);
}

TEST_CASE("device copies: to a device, on it, to another, and back", "[unit]") {
  const Emulated emulated(2, GENERATE(1U, 2U, 3U, 4U));
  const Stream first(0);
  const Stream second(1);
  const DeviceBuffer a(0, 100 * sizeof(int));
  const DeviceBuffer b(0, 100 * sizeof(int));
  const DeviceBuffer c(1, 100 * sizeof(int));
  Event copied(0);
  const std::vector<int> values = numbers(100);
  copy_to_device(a.data(), values.data(), a.size(), first);
  copy_on_device(b.data(), a.data(), a.size(), first);
  fill_zero(a.data(), a.size(), first);
  copied.record(first);
  second.view().wait(copied);
  copy_between(c.data(), 1, b.data(), 0, c.size(), second);
  CHECK(downloaded(c, second) == values);
  CHECK(copied.done());
  CHECK(downloaded(a, first) == std::vector<int>(100, 0));
}

TEST_CASE("Event: done when its stream has got there, at once if never recorded", "[unit]") {
  const Emulated emulated(1, GENERATE(1U, 2U, 3U, 4U));
  const Stream stream(0);
  const Stream other(0);
  const DeviceBuffer a(0, sizeof(int));
  Event event(0);
  event.synchronize();
  CHECK(event.done());
  other.view().wait(event);
  const int one = 1;
  copy_to_device(a.data(), &one, sizeof(int), stream);
  event.record(stream);
  bool done = false;
  for (int i = 0; i < 1000 && !done; ++i) done = event.done();  // a query lets time pass
  CHECK(done);
  // Recorded again on another stream, it stands for that one's work.
  copy_to_device(a.data(), &one, sizeof(int), other);
  Event moved(std::move(event));
  moved.record(other);
  moved.synchronize();
  CHECK(downloaded(a, other) == std::vector<int>{1});
}

TEST_CASE("Stream: moves with its work", "[unit]") {
  const Emulated emulated;
  const DeviceBuffer a(0, 4 * sizeof(int));
  const std::vector<int> values = numbers(4);
  Stream stream(0);
  copy_to_device(a.data(), values.data(), a.size(), stream);
  const Stream moved(std::move(stream));
  CHECK(moved.view().device() == 0);
  CHECK(downloaded(a, moved) == values);
  CHECK_THROWS_AS(Stream(1), Error);
}

TEST_CASE("PinnedBuffer: is zeroed host memory that copies go through", "[unit]") {
  const Emulated emulated;
  const Stream stream(0);
  PinnedBuffer pinned(5 * sizeof(int));
  CHECK(std::vector<int>(pinned.as<int>(), pinned.as<int>() + 5) == std::vector<int>(5, 0));
  const DeviceBuffer a(0, pinned.size());
  pinned.as<int>()[4] = 9;
  copy_to_device(a.data(), pinned.as<int>(), a.size(), stream);
  CHECK(downloaded(a, stream) == std::vector<int>{0, 0, 0, 0, 9});
  const PinnedBuffer moved(std::move(pinned));
  CHECK(moved.as<int>()[4] == 9);
  CHECK(PinnedBuffer(0).as<int>() == nullptr);
}

TEST_CASE("HostRegistration: pins for its lifetime, or says that it cannot", "[unit]") {
  const Emulated emulated;
  const std::vector<std::byte> memory(4096);
  {
    HostRegistration registration(memory);
    CHECK(registration.pinned());
    CHECK_FALSE(HostRegistration(memory).pinned());  // it is already
    const HostRegistration moved(std::move(registration));
    CHECK(moved.pinned());
  }
  CHECK(HostRegistration(memory).pinned());
  CHECK_FALSE(HostRegistration(std::span<const std::byte>{}).pinned());
  cuda_host::refuse_registration(true);
  CHECK_FALSE(HostRegistration(memory).pinned());
  CHECK_NOTHROW(Stream(0));  // the refusal is no later call's error
}

TEST_CASE("PS_CUDA_CHECK: says the error, the call and its place", "[unit]") {
  const Emulated emulated;
  CHECK_THROWS_WITH(Stream(7), Contains("cudaErrorInvalidDevice") &&
                                   Contains("cudaSetDevice(device)") &&
                                   Contains("device_cuda.cpp:"));
}

TEST_CASE("device: a wait ends at its deadline, and what hangs is not freed", "[unit]") {
  const Emulated emulated;
  const Stream stream(0);
  Event event(0);
  std::optional<DeviceBuffer> memory(std::in_place, 0, 64);
  std::optional<PinnedBuffer> pinned(std::in_place, 64);
  copy_to_host(pinned->as<int>(), memory->data(), 64, stream);
  event.record(stream);
  cuda_host::hang(true);
  set_cuda_deadline(std::chrono::milliseconds(1));
  CHECK_THROWS_WITH(stream.synchronize(), Contains("cuda:0 has not finished"));
  CHECK_THROWS_WITH(event.synchronize(), Contains("set_cuda_deadline"));
  set_cuda_deadline(std::chrono::seconds(120));
  const std::int64_t frees = cuda_host::counters().frees;
  memory.reset();
  pinned.reset();
  CHECK(cuda_host::counters().frees == frees);
  cuda_host::hang(false);
  event.synchronize();
  { const DeviceBuffer other(0, 64); }
  CHECK(cuda_host::counters().frees == frees + 1);
}

TEST_CASE("DeviceGuard: touches no device but its own where none was current", "[unit]") {
  const Emulated emulated(3);
  {
    const DeviceGuard guard(2);
    const DeviceBuffer memory(2, 4);
  }
  const Stream stream(2);
  CHECK(cuda_host::has_context(2));
  CHECK_FALSE(cuda_host::has_context(0));
  const DeviceGuard outer(1);
  { const DeviceGuard inner(2); }
  Event event(1);
  CHECK_NOTHROW(event.record(Stream(1)));
  CHECK_FALSE(cuda_host::has_context(0));
}

TEST_CASE("DeviceGuard: is for a scope", "[unit]") {
  const Emulated emulated(3);
  const DeviceGuard outer(1);
  {
    const DeviceGuard inner(2);
    const DeviceBuffer elsewhere(0, 4);
    const Stream stream(2);
    Event event(2);
    event.record(stream);
  }
  Event event(1);
  const Stream stream(1);
  event.record(stream);
  CHECK_THROWS_AS(event.record(Stream(2)), Error);
}

}  // namespace kernels

#endif
}  // namespace ps
